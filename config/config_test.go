package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file below testdata.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("%s differs (-want +got), -update writes it anew:\n%s", name, diff)
	}
}

func noEnv(string) string { return "" }

// paths are those of a settings folder of the test's own.
func paths(t *testing.T) config.Paths {
	return config.Paths{Settings: t.TempDir(), Data: "/data", Control: "/run/control.sock"}
}

// load reads settings from a file with that content.
func load(t *testing.T, name, content string, args ...string) (*config.Result, error) {
	t.Helper()
	return loadIn(t, paths(t), name, content, args...)
}

// loadIn is load with a folder of settings that may have been used before.
func loadIn(t *testing.T, p config.Paths, name, content string, args ...string) (*config.Result, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.Settings, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(config.LoadOptions{Args: args, Getenv: noEnv, Paths: p})
}

func address(t *testing.T, text string) config.Address {
	t.Helper()
	a, err := config.ParseAddress(text, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// manualExample is the settings file of the old product's manual.
const manualExample = `listen=localhost
service=192.168.10.0:8270
ssl_mode=FromFileWithPrivateKey
ssl_certificate=/etc/pns4ones/cert/pns4ones.crt
ssl_certificate_key=/etc/pns4ones/cert/pns4ones.key
ssl_certificate_password=password
log_level=Error
`

func TestReadsTheManualsExample(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{
		manualExample,
		strings.ReplaceAll(manualExample, "\n", "\r\n"),
		"\ufeff" + manualExample,
		"[settings]\n; a comment\n// another, in Windows-1251: \xea\xeb\xfe\xf7\n\n" + manualExample,
		strings.ReplaceAll(manualExample, "log_level", "log level"), // as it is printed in some copies
		strings.ToUpper(manualExample[:len("listen")]) + manualExample[len("listen"):],
	} {
		r, err := load(t, "pns4ones.ini", variant)
		if err != nil {
			t.Fatalf("%q: %v", variant, err)
		}
		c := r.Config
		if c.Listen != address(t, "localhost:36696") || c.Service != address(t, "192.168.10.0/24:8270") ||
			c.LogLevel != config.LevelError ||
			c.SSLMode != config.SSLFromFileWithPrivateKey || c.SSLCertificate != "/etc/pns4ones/cert/pns4ones.crt" ||
			c.SSLCertificateKey != "/etc/pns4ones/cert/pns4ones.key" || c.SSLCertificatePassword != "password" {
			t.Errorf("%q gives %+v", variant, c)
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	p := paths(t)
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Listen:              config.Address{Port: 36696},
		Service:             config.Address{Port: 36695},
		SSLMode:             config.SSLNone,
		LogLevel:            config.LevelWarning,
		DataDir:             "/data",
		Control:             "/run/control.sock",
		TokenLifetime:       time.Hour,
		ExpiresInEpoch:      config.EpochAuto,
		RegistrationTimeout: 10 * time.Second,
		PeerTimeout:         5 * time.Minute,
		ResumeWindow:        2 * time.Minute,
		ResumeBytes:         64 << 10,
		KeepAlive:           30 * time.Second,
		MaxUnregistered:     4096,
		MaxSessionsPerUser:  1000,
		SessionQueueSize:    1 << 20,
		WriteTimeout:        30 * time.Second,
		MaxMessageSize:      1 << 20,
		ClusterName:         "main",
		ClusterKey:          filepath.Join(p.Settings, "cluster.key"),
		ClusterWait:         time.Second,
	}
	if diff := cmp.Diff(want, r.Config, cmpopts.EquateComparable(config.Address{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	p := paths(t)
	if err := os.WriteFile(filepath.Join(p.Settings, "pns4ones.toml"),
		[]byte("listen = 'localhost:1'\nservice = 'localhost:2'\nkeepalive = '5s'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"PNS4ONES_LISTEN": "localhost:3", "PNS4ONES_SERVICE": "localhost:4"}
	r, err := config.Load(config.LoadOptions{Args: []string{"-listen", "localhost:5"}, Getenv: func(k string) string {
		return env[k]
	}, Paths: p})
	if err != nil {
		t.Fatal(err)
	}
	if r.Config.Listen.Port != 5 || r.Config.Service.Port != 4 || r.Config.KeepAlive != 5*time.Second {
		t.Errorf("flag, variable and file give %+v", r.Config)
	}
}

func TestFlagSpellings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-listen", "localhost:7"}, {"-listen=localhost:7"}, {"/listen", "localhost:7"}, {"/listen=localhost:7"},
		{"--listen", "localhost:7"}, {"--listen=localhost:7"}, {"-Listen=localhost:7"},
		{"listen=localhost:7"}, {"Listen=localhost:7"}, {"log_level=Error", "listen=localhost:7"},
	} {
		r, err := config.Load(config.LoadOptions{Args: args, Getenv: noEnv, Paths: paths(t)})
		if err != nil || r.Config.Listen != address(t, "localhost:7") {
			t.Errorf("%q: %+v, %v", args, r, err)
		}
	}
	r, err := config.Load(config.LoadOptions{Args: []string{"-data_dir", "/srv/data", "-log-level", "none"},
		Getenv: noEnv, Paths: paths(t)})
	if err != nil || r.Config.DataDir != "/srv/data" || r.Config.LogLevel != config.LevelNone {
		t.Errorf("a path as a value, a dash in a name: %+v, %v", r, err)
	}
	r, err = config.Load(config.LoadOptions{Args: []string{"-data_dir", "/config", "-control", "/control"},
		Getenv: noEnv, Paths: paths(t)})
	if err != nil || r.Config.DataDir != "/config" || r.Config.Control != "/control" {
		t.Errorf("paths with the names of flags: %+v, %v", r, err)
	}
	r, err = config.Load(config.LoadOptions{Args: []string{"stray", "-h"}, Getenv: noEnv, Paths: paths(t)})
	if err != nil || r.Mode != config.ModeHelp {
		t.Errorf("help for those who got it wrong: %+v, %v", r, err)
	}
	for word, mode := range map[string]config.Mode{"-h": config.ModeHelp, "/?": config.ModeHelp,
		"--help":   config.ModeHelp,
		"-version": config.ModeVersion, "-check": config.ModeCheck, "--print_config": config.ModePrintConfig, "--print-config": config.ModePrintConfig} {
		r, err := config.Load(config.LoadOptions{Args: []string{word}, Getenv: noEnv, Paths: paths(t)})
		if err != nil || r.Mode != mode {
			t.Errorf("%s: %+v, %v", word, r, err)
		}
	}
}

// TestSaysWhatIsWrong has one row for each kind of mistake; golden is how it is
// said in English.
func TestSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, content string
		args                []string
		want                string // FOLDER stands for the settings folder
	}{
		{name: "unknown key", file: "pns4ones.ini", content: "listen=*\nlisen=*\n",
			want: "FOLDER/pns4ones.ini:2: lisen: there is no such setting. Did you mean “listen”? pns4ones -h lists all of them."},
		{name: "unknown key in TOML", file: "pns4ones.toml", content: "\n\nwrite_timeut = '1s'\n",
			want: "FOLDER/pns4ones.toml:3: write_timeut: there is no such setting. Did you mean “write_timeout”? pns4ones -h lists all of them."},
		{name: "no equals sign", file: "pns4ones.ini", content: "listen\n",
			want: "FOLDER/pns4ones.ini:1: the “=” is missing: a line is name=value."},
		{name: "twice", file: "pns4ones.ini", content: "listen=*\n\nlisten=localhost\n",
			want: "FOLDER/pns4ones.ini:3: listen: the setting was given in line 1 already. Keep one of the two."},
		{name: "not UTF-8", file: "pns4ones.ini", content: "listen=*\nssl_certificate=\xcf\xf3\xf2\xfc\n",
			want: "FOLDER/pns4ones.ini:2: the line is not UTF-8. Save the file as UTF-8 (for example: iconv -f CP1251 -t UTF-8; -f UTF-16 for “Unicode” of Notepad)."},
		{name: "bad address", file: "pns4ones.ini", content: "listen=192.168.10.300\n",
			want: "FOLDER/pns4ones.ini:1: listen: “192.168.10.300” is not an address. Examples: *, *:8092, localhost, 192.168.10.3:9062, [::1]:36696; for a network 192.168.10.0 or 192.168.10.0/24:8270."},
		{name: "bad level", file: "pns4ones.ini", content: "log_level=Eror\n",
			want: "FOLDER/pns4ones.ini:1: log_level: “Eror” is not allowed. Allowed are: Trace, Debug, Information, Warning, Error, Critical, None. Did you mean “Error”?"},
		{name: "several at once", file: "pns4ones.toml", content: "keepalive = '1'\nmax_unregistered = 0\n",
			want: "FOLDER/pns4ones.toml:1: keepalive: “1” is not a duration. Examples: 10s, 1m30s, 24h, 7d.\nFOLDER/pns4ones.toml:2: max_unregistered: 0 is out of range: 1 to 1000000 is allowed."},
		{name: "wrong type", file: "pns4ones.toml", content: "listen = 5\n",
			want: "FOLDER/pns4ones.toml:1: listen: a text in quotes is needed."},
		{name: "table", file: "pns4ones.toml", content: "[server]\nlisten = '*'\n",
			want: "FOLDER/pns4ones.toml:1: server: there are no tables in the settings file: all settings stand at the top level."},
		{name: "beaten by a flag, still wrong", file: "pns4ones.toml", content: "listen = '!'\n",
			args: []string{"-listen=*"},
			want: "FOLDER/pns4ones.toml:1: listen: “!” is not an address. Examples: *, *:8092, localhost, 192.168.10.3:9062, [::1]:36696; for a network 192.168.10.0 or 192.168.10.0/24:8270."},
		{name: "flag value", args: []string{"-session_queue_size=many"},
			want: "-session_queue_size: “many” is not a size. Give a number of bytes, or for example 64KiB, 1MiB."},
		{name: "unknown flag", args: []string{"-lisen=*"},
			want: "-lisen: there is no such setting. Did you mean “listen”? pns4ones -h lists all of them."},
		{name: "flag without a value", args: []string{"-listen", "-check"},
			want: "-listen: a value must follow, after a blank or “=”."},
		{name: "stray word", args: []string{"localhost"},
			want: "localhost: a stray word. A setting begins with a dash, its value follows after a blank or “=”."},
		{name: "no certificate", args: []string{"-ssl_mode=FromStorage"},
			want: "ssl_certificate: this setting is required with ssl_mode=FromStorage."},
		{name: "no key", args: []string{"-ssl_mode=fromfilewithprivatekey", "-ssl_certificate=a"},
			want: "ssl_certificate_key: this setting is required with ssl_mode=FromFileWithPrivateKey."},
		{name: "no password", args: []string{"-ssl_mode=FromFileWithPassword", "-ssl_certificate=a"},
			want: "ssl_certificate_password: this setting is required with ssl_mode=FromFileWithPassword."},
		{name: "nothing near", args: []string{"-log_level=Loudest"},
			want: "-log_level: “Loudest” is not allowed. Allowed are: Trace, Debug, Information, Warning, Error, Critical, None."},
		{name: "nothing proposed that turns TLS off", args: []string{"-ssl_mode=File"},
			want: "-ssl_mode: “File” is not allowed. Allowed are: None, FromStorage, FromFileWithPrivateKey, FromFileWithPassword."},
		{name: "missing where the mode is", file: "pns4ones.ini", content: "\nssl_mode=FromStorage\n",
			want: "FOLDER/pns4ones.ini:2: ssl_certificate: this setting is required with ssl_mode=FromStorage."},
		{name: "same port on all interfaces", args: []string{"-listen=*:7", "-service=localhost:7"},
			want: "-service: is the same as listen (*:7). Each needs a port of its own."},
		{name: "same address twice", args: []string{"-listen=*:7", "-service=*:7"},
			want: "-service: is the same as listen (*:7). Each needs a port of its own."},
		{name: "listen moved to the default of service", args: []string{"-listen=*:36695"},
			want: "-listen: is the same as service (*:36695). Each needs a port of its own."},
		{name: "a wrong address is wrong only once", args: []string{"-listen=!", "-service=*:36696"},
			want: "-listen: “!” is not an address. Examples: *, *:8092, localhost, 192.168.10.3:9062, [::1]:36696; for a network 192.168.10.0 or 192.168.10.0/24:8270."},
		{name: "IPv6 without brackets", args: []string{"-listen=::1:8092"},
			want: "-listen: “::1:8092”: it is not plain where the port is. An IPv6 address with a port stands in brackets: [::1]:8092; without one: [::1:8092]."},
		{name: "bits beyond the network", args: []string{"-listen=192.168.10.3/24"},
			want: "-listen: “192.168.10.3/24”: the address has bits beyond the network. Did you mean “192.168.10.0/24”?"},
		{name: "a proxy or a network of them", file: "pns4ones.toml",
			content: "trusted_proxies = ['10.0.0.1', '192.168.10.0']\n",
			want:    "FOLDER/pns4ones.toml:1: trusted_proxies: “192.168.10.0”: is an address that ends in zero a network, or one machine? Give 192.168.10.0/24 or 192.168.10.0/32."},
		{name: "a path in TOML", file: "pns4ones.toml",
			content: "ssl_mode = 'None'\nssl_certificate = \"C:\\cert\\a.pfx\"\n",
			want:    "FOLDER/pns4ones.toml:2: a mistake in TOML: invalid escape character U+0063 'c'. A path with backslashes stands in single quotes: 'C:\\folder\\file'."},
		{name: "UTF-16", file: "pns4ones.ini", content: "\xff\xfel\x00=\x00\r\x00\n\x00x\x00",
			want: "FOLDER/pns4ones.ini:1: the line is not UTF-8. Save the file as UTF-8 (for example: iconv -f CP1251 -t UTF-8; -f UTF-16 for “Unicode” of Notepad)."},
		{name: "UTF-16 in TOML", file: "pns4ones.toml", content: "\n\x00=\x00",
			want: "FOLDER/pns4ones.toml:2: the line is not UTF-8. Save the file as UTF-8 (for example: iconv -f CP1251 -t UTF-8; -f UTF-16 for “Unicode” of Notepad)."},
		{name: "no file named", args: []string{"-config="},
			want: "-config: a value must follow, after a blank or “=”."},
		{name: "missing file", args: []string{"-config=/no/such.toml"},
			want: "/no/such.toml: there is no such file."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := paths(t)
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(p.Settings, tt.file), []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := config.Load(config.LoadOptions{Args: tt.args, Getenv: noEnv, Paths: p})
			if _, ok := errors.AsType[*config.Error](err); !ok {
				t.Fatalf("got %v, want a *config.Error", err)
			}
			if got := strings.ReplaceAll(err.Error(), p.Settings+string(filepath.Separator),
				"FOLDER/"); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			// In Russian it is said too, and differently.
			if russian := locale.New(locale.Russian).Error(err); russian == err.Error() ||
				strings.Contains(russian, "config.") {
				t.Errorf("in Russian it is %s", russian)
			}
		})
	}
}

func TestDoesNotShowAPassword(t *testing.T) {
	t.Parallel()
	content := "ssl_certificate_password = 'hunter2'\nssl_mode = 'FromFileWithPassword'\nssl_certificate = '/x.pfx'\n"
	r, err := load(t, "pns4ones.toml", content)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	config.WriteTOML(&out, r, locale.New(locale.English))
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), "********") {
		t.Errorf("the password is not masked:\n%s", &out)
	}
}

func TestTOMLWinsOverINIWithAWarning(t *testing.T) {
	t.Parallel()
	p := paths(t)
	os.WriteFile(filepath.Join(p.Settings, "pns4ones.toml"), []byte("listen = 'localhost:1'\n"), 0o600)
	os.WriteFile(filepath.Join(p.Settings, "pns4ones.ini"), []byte("listen=localhost:2\n"), 0o600)
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil {
		t.Fatal(err)
	}
	if r.Config.Listen.Port != 1 || len(r.Warnings) != 1 ||
		!strings.Contains(r.Warnings[0].Error(), "pns4ones.ini is not read") {
		t.Errorf("listen is %s, warnings %v", r.Config.Listen, r.Warnings)
	}
}

// TestATOMLOfCommentsLeavesTheOldSettingsInForce is about the file that comes with
// the packages.
func TestATOMLOfCommentsLeavesTheOldSettingsInForce(t *testing.T) {
	t.Parallel()
	p := paths(t)
	write := func(name, content string) { os.WriteFile(filepath.Join(p.Settings, name), []byte(content), 0o600) }
	write("pns4ones.toml", "# listen = '*:36696'\n")
	write("pns4ones.ini", "listen=localhost:2\n")
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil || r.Config.Listen.Port != 2 || len(r.Warnings) != 0 || filepath.Base(r.File) != "pns4ones.ini" {
		t.Errorf("%+v, %v", r, err)
	}
	write("pns4ones.toml", "lissen = '*:36696'\n")
	if _, err = config.Load(config.LoadOptions{Getenv: noEnv, Paths: p}); err == nil ||
		!strings.Contains(err.Error(), "pns4ones.toml") {
		t.Errorf("a mistake in the TOML was passed over: %v", err)
	}
}

func TestINIValuesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		`a;b#c%d=e`:    `a;b#c%d=e`,
		`"quoted ; x"`: `quoted ; x`,
		`back\slash\n`: `back\slash\n`,
		`'single'`:     `'single'`,
		`"`:            `"`,
		` spaces `:     `spaces`,
	} {
		r, err := load(t, "pns4ones.ini", "ssl_certificate_password="+given+"\n")
		if err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		if got := r.Config.SSLCertificatePassword; got != want {
			t.Errorf("%s is read as %s, want %s", given, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"*", "*:36696"}, {"*:8092", "*:8092"}, {"localhost", "localhost:36696"}, {"localhost:7777", "localhost:7777"},
		{"192.168.10.3", "192.168.10.3:36696"}, {"192.168.10.3:9062", "192.168.10.3:9062"},
		{"::1", "[::1]:36696"}, {"[::1]", "[::1]:36696"}, {"[::1]:1", "[::1]:1"}, {"fd00::5", "[fd00::5]:36696"},
		{"srv-1.example", "srv-1.example:36696"}, {"SRV", "srv:36696"},
		{"192.168.10.0", "192.168.10.0/24:36696"}, {"192.168.10.0:8270", "192.168.10.0/24:8270"},
		{"10.0.0.0", "10.0.0.0/8:36696"}, {"127.1.0.0", "127.1.0.0/16:36696"}, {"0.0.0.0:1", "0.0.0.0/0:1"},
		{"[::]:1", "[::/0]:1"},
		{"192.168.10.0/24:8270", "192.168.10.0/24:8270"}, {"192.168.10.0/32", "192.168.10.0/32:36696"},
		{"fe80::1", "[fe80::1]:36696"}, {"1:2:3:4:5:6:7:8", "[1:2:3:4:5:6:7:8]:36696"},
		{"[fd00::/8]:8270", "[fd00::/8]:8270"}, {"fd00::/8", "[fd00::/8]:36696"}, {"*:0", "*:0"}, {":80", "*:80"},
	}
	for _, tt := range tests {
		a, err := config.ParseAddress(tt.text, 36696)
		if err != nil || a.String() != tt.want {
			t.Errorf("%s is read as %s, %v; want %s", tt.text, a, err, tt.want)
			continue
		}
		again, err := config.ParseAddress(a.String(), 1)
		if err != nil || again != a {
			t.Errorf("%s is read as %s, %v", a, again, err)
		}
	}
	for _, text := range []string{"", ":", "[]:80", "*:", "*:65536", "*:-1", "*:+1", "*:01", "*:http", "192.168.10.300",
		"192.168.10", "1.2.3.4.5", "a b", "http://x",
		"[::1", "[::1]x", "[localhost]:1", "::1]:5", "192.168.10.3/24", "192.168.10.0/33", "/24", "-x", "x-", "a..b",
		"*.example",
		"::1:8092", "fe80::1:2", "[::ffff:10.0.0.0/104]", "lоcalhost" /* a Cyrillic о */} {
		if a, err := config.ParseAddress(text, 36696); err == nil {
			t.Errorf("%q is read as %s", text, a)
		}
	}
}

func TestSizesAndDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"2048": 2048, "64KiB": 64 << 10, "1MiB": 1 << 20, "1 mib": 1 << 20,
		"1GiB": 1 << 30} {
		r, err := config.Load(config.LoadOptions{Args: []string{"-session_queue_size", text}, Getenv: noEnv,
			Paths: paths(t)})
		if err != nil || r.Config.SessionQueueSize != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"", "KiB", "1KB", "-1", "1.5MiB", "99999999999GiB", "1023"} {
		if _, err := config.Load(config.LoadOptions{Args: []string{"-session_queue_size=" + text}, Getenv: noEnv,
			Paths: paths(t)}); err == nil {
			t.Errorf("%q is taken for a size", text)
		}
	}
	for text, want := range map[string]time.Duration{"10s": 10 * time.Second, "1m30s": 90 * time.Second,
		"24h": 24 * time.Hour} {
		r, err := config.Load(config.LoadOptions{Args: []string{"-keepalive", text}, Getenv: noEnv, Paths: paths(t)})
		if err != nil || r.Config.KeepAlive != want {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, lang := range []locale.Lang{locale.Russian, locale.English} {
		var out bytes.Buffer
		if err := config.WriteHelp(&out, locale.New(lang), "pns4ones"); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("%s: a line of %d letters: %s", lang, n, line)
			}
		}
		golden(t, "help."+string(lang)+".txt", out.String())
	}
}

func TestPrintsTheSettingsAsTOMLThatMeansTheSame(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"pns4ones.ini": manualExample +
			"trusted_proxies=10.0.0.0/8 192.168.1.1\nmax_unregistered=7\nsession_queue_size=65536\nkeepalive=90s\n" +
			"cluster_nats=nats://one:4222,tls://me:hush@two\ncluster_node=web1\n",
		"pns4ones.toml": "# nothing\n",
	} {
		r, err := load(t, name, content)
		if err != nil {
			t.Fatal(err)
		}
		for _, lang := range []locale.Lang{locale.Russian, locale.English} {
			var out bytes.Buffer
			if err := config.WriteTOML(&out, r, locale.New(lang)); err != nil {
				t.Fatal(err)
			}
			again, err := load(t, "pns4ones.toml", out.String())
			if err != nil {
				t.Fatalf("what was printed is not accepted: %v\n%s", err, &out)
			}
			want := r.Config
			want.SSLCertificatePassword, want.ClusterNATS = "", nil // masked
			want.ClusterKey = again.Config.ClusterKey               // beside the settings
			if diff := cmp.Diff(want, again.Config, cmpopts.EquateComparable(config.Address{}, netip.Prefix{}),
				cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if strings.HasSuffix(name, ".ini") {
				golden(t, "print_config."+string(lang)+".toml",
					strings.ReplaceAll(out.String(), filepath.Dir(r.File), "/etc/pns4ones"))
			}
		}
	}
}

func TestLangFlag(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, ""}, {[]string{"-h"}, ""}, {[]string{"--lang", "en", "-h"}, "en"}, {[]string{"/lang=ru"}, "ru"},
		{[]string{"-lang"}, ""},
	} {
		if got := config.LangFlag(tt.args); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
		}
	}
	if r, err := config.Load(config.LoadOptions{Args: []string{"-lang", "EN", "-check"}, Getenv: noEnv,
		Paths: paths(t)}); err != nil || r.Mode != config.ModeCheck {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := config.Load(config.LoadOptions{Args: []string{"-lang=de"}, Getenv: noEnv,
		Paths: paths(t)}); err == nil || err.Error() != "-lang: “de” is not allowed. Allowed are: ru, en." {
		t.Errorf("got %v", err)
	}
}

func TestPathsInAFileBeginAtItsFolder(t *testing.T) {
	t.Parallel()
	const content = "ssl_mode = 'FromFileWithPrivateKey'\nssl_certificate = 'cert/a.crt'\nssl_certificate_key = '/abs/a.key'\ndata_dir = '..'\n"
	r, err := load(t, "pns4ones.toml", content, "-control=control.sock")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(r.File)
	current, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	c := r.Config
	got := []string{c.SSLCertificate, c.SSLCertificateKey, c.DataDir, c.Control}
	want := []string{filepath.Join(folder, "cert", "a.crt"), "/abs/a.key", filepath.Dir(folder),
		filepath.Join(current, "control.sock")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	r, err = load(t, "pns4ones.ini", "ssl_mode=FromStorage\nssl_certificate=Company\n")
	if err != nil || r.Config.SSLCertificate != "Company" {
		t.Errorf("the name of a stored certificate is no path: %+v, %v", r, err)
	}
}

func TestReadsNoFileOfTheCurrentFolderWithoutASettingsFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("pns4ones.ini", []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := config.Load(config.LoadOptions{Getenv: noEnv})
	if err != nil || r.File != "" {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestBlamesTheLineThatGaveASetting(t *testing.T) {
	t.Parallel()
	r, err := load(t, "pns4ones.ini", "\nlog_level=Error\n", "-keepalive=1m")
	if err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{
		"log_level": r.File + ":2: log_level: there is no such file.",
		"keepalive": "-keepalive: there is no such file.",
		"listen":    "listen: there is no such file.",
	} {
		if got := r.Blame(setting, locale.NewText("config.no_file")).Error(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWarnsOfCertificateSettingsWithoutHTTPS(t *testing.T) {
	t.Parallel()
	r, err := load(t, "pns4ones.ini", "ssl_certificate=a\nssl_certificate_key=b\nssl_certificate_password=c\n")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"ssl_certificate", "ssl_certificate_key", "ssl_certificate_password"} {
		want := fmt.Sprintf("%s:%d: %s: has no effect while ssl_mode=None.", r.File, i+1, name)
		if len(r.Warnings) != 3 || r.Warnings[i].Error() != want {
			t.Fatalf("warnings: %v, want %s", r.Warnings, want)
		}
	}
}

func TestWarnsOfAMisspeltVariable(t *testing.T) {
	t.Parallel()
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: paths(t),
		Environ: []string{"PNS4ONES_LISTN=localhost", "PNS4ONES_LANG=ru", "PATH=/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Error(),
		"PNS4ONES_LISTN: there is no such setting. Did you mean “listen”?") {
		t.Errorf("warnings: %v", r.Warnings)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for l := config.LevelTrace; l <= config.LevelNone; l++ {
		parsed, err := config.ParseLevel(strings.ToLower(l.String()))
		if err != nil || parsed != l {
			t.Errorf("%s is read as %s, %v", l, parsed, err)
		}
		if l < config.LevelNone && config.LevelOf(l.Slog()) != l {
			t.Errorf("%s is named %s", l, config.LevelOf(l.Slog()))
		}
	}
}
