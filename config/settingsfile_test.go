package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config"
)

// loadFolder reads the settings of a folder with these files, and returns it too.
func loadFolder(t *testing.T, files map[string]string) (*config.Result, string, error) {
	t.Helper()
	p := paths(t)
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(p.Settings, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	return r, p.Settings, err
}

// warnings are those of r, a line each.
func warnings(r *config.Result) string {
	var lines []string
	for _, w := range r.Warnings {
		lines = append(lines, w.Error())
	}
	return strings.Join(lines, "\n")
}

func TestWhichSettingsFileIsInForce(t *testing.T) {
	t.Parallel()
	const one, other, same = "listen=localhost:1\n", "listen=localhost:2\n", "; the same\n LISTEN = LocalHost:1\nkeepalive=30s\n"
	tests := []struct {
		name    string
		files   map[string]string
		want    string   // the file in force
		port    int      // of listen
		notRead []string // named in a warning
	}{
		{name: "the old product's own spelling", files: map[string]string{"PNS4OneS.ini": one}, want: "PNS4OneS.ini",
			port: 1},
		{name: "any letter case", files: map[string]string{"PNS4ONES.INI": one}, want: "PNS4ONES.INI", port: 1},
		{name: "a TOML with settings beats all", files: map[string]string{"pns4ones.toml": "listen='localhost:3'",
			"pns4ones.ini": one, "PNS4OneS.ini": other},
			want: "pns4ones.toml", port: 3, notRead: []string{"pns4ones.ini", "PNS4OneS.ini"}},
		{name: "the TOML of the packages beats none",
			files: map[string]string{"pns4ones.toml": "# listen = 'localhost:3'\n", "PNS4OneS.ini": other},
			want:  "PNS4OneS.ini", port: 2},
		{name: "nor does one that is empty throughout", files: map[string]string{"pns4ones.toml": "listen = ''\n",
			"PNS4OneS.ini": other}, want: "PNS4OneS.ini", port: 2},
		{name: "pns4ones.ini beats other letter cases", files: map[string]string{"pns4ones.ini": one,
			"PNS4OneS.ini": other}, want: "pns4ones.ini", port: 1, notRead: []string{"PNS4OneS.ini"}},
		{name: "even an empty one", files: map[string]string{"pns4ones.ini": "", "PNS4OneS.ini": other},
			want: "pns4ones.ini", port: 36696, notRead: []string{"PNS4OneS.ini"}},
		{name: "what says the same is no matter", files: map[string]string{"pns4ones.ini": one, "PNS4OneS.ini": same},
			want: "pns4ones.ini", port: 1},
		{name: "several that say the same", files: map[string]string{"Pns4ones.ini": one, "PNS4OneS.ini": same},
			want: "PNS4OneS.ini", port: 1},
		{name: "a mistake in one that is not in force", files: map[string]string{"pns4ones.ini": one,
			"PNS4OneS.ini": "lissen=*\n"}, want: "pns4ones.ini", port: 1, notRead: []string{"PNS4OneS.ini"}},
		{name: "what looks like settings", files: map[string]string{"pns4ones.ini": one, "pns4ones.ini.txt": "",
			"pns4ones.conf": "", "PNS4OneS.toml": "", "settings.ini": "", "pns4ones.toml.rpmsave": ""},
			want: "pns4ones.ini", port: 1, notRead: []string{"PNS4OneS.toml", "pns4ones.conf", "pns4ones.ini.txt",
				"pns4ones.toml.rpmsave", "settings.ini"}},
		{name: "what else lies there", files: map[string]string{"pns4ones.ini": one, "keys": "", "pns4ones.db": "",
			"pns4ones.log": "", "pns4ones.crt": "", "pns4ones.key": "", "pns4ones.toml~": "",
			"pns4ones.toml.dpkg-dist": "", ".pns4ones.ini.swp": ""},
			want: "pns4ones.ini", port: 1},
		{name: "what looks like settings, alone", files: map[string]string{"PNS4OneS.ini.txt": one}, port: 36696,
			notRead: []string{"PNS4OneS.ini.txt"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, folder, err := loadFolder(t, tt.files)
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if tt.want != "" {
				want = filepath.Join(folder, tt.want)
			}
			if r.File != want || r.Config.Listen.Port != tt.port {
				t.Errorf("%q is in force, with port %d", r.File, r.Config.Listen.Port)
			}
			if len(r.NotRead) != len(tt.notRead) || len(r.Warnings) != len(tt.notRead) {
				t.Errorf("not read are %q, want %q; warnings:\n%s", r.NotRead, tt.notRead, warnings(r))
			}
			for _, name := range tt.notRead {
				if !strings.Contains(warnings(r)+"\n", filepath.Join(folder, name)+" is not read") {
					t.Errorf("%s is not named:\n%s", name, warnings(r))
				}
			}
		})
	}
}

func TestRefusesSeveralOldFilesThatDiffer(t *testing.T) {
	t.Parallel()
	_, folder, err := loadFolder(t, map[string]string{"PNS4OneS.ini": "listen=localhost:1\n",
		"PNS4ONES.INI": "listen=localhost:2\n", "Pns4ones.ini": "listen=localhost:1\n"})
	if err == nil {
		t.Fatal("one of them was taken")
	}
	for _, name := range []string{"PNS4OneS.ini", "PNS4ONES.INI", "Pns4ones.ini"} {
		if !strings.Contains(err.Error(), filepath.Join(folder, name)) {
			t.Errorf("%s is not named: %v", name, err)
		}
	}
}

// TestReadsTheFileOfTheOldProduct has the file that the old product is delivered
// with, and values that it takes.
func TestReadsTheFileOfTheOldProduct(t *testing.T) {
	t.Parallel()
	const shipped = "listen = *\nservice = *\nssl_mode = None\nssl_certificate =\nssl_certificate_key =\nssl_certificate_password =\nlog_level =\n"
	for content, check := range map[string]func(config.Config) bool{
		shipped: func(c config.Config) bool { return c.LogLevel == config.LevelWarning && c.SSLMode == config.SSLNone },
		"listen=\nservice =  \n": func(c config.Config) bool {
			return c.Listen.Port == 36696 && c.Service.Port == 36695 && c.Listen.Host == ""
		},
		"listen=\"\"\ndata_dir=\n": func(c config.Config) bool {
			return c.Listen.Port == 36696 && c.DataDir == "/data"
		},
		"listen=:8092\nssl_mode=0\n": func(c config.Config) bool {
			return c.Listen.Port == 8092 && c.SSLMode == config.SSLNone
		},
		"ssl_mode=1\nssl_certificate=x": func(c config.Config) bool { return c.SSLMode == config.SSLFromStorage },
		"ssl_mode = 3\nssl_certificate = /a.pfx\nssl_certificate_password =\n": func(c config.Config) bool {
			return c.SSLMode == config.SSLFromFileWithPassword && c.SSLCertificatePassword == ""
		},
	} {
		r, _, err := loadFolder(t, map[string]string{"PNS4OneS.ini": content})
		if err != nil || !check(r.Config) || len(r.Warnings) > 0 {
			t.Errorf("%q: %+v, %v", content, r, err)
		}
	}
}

// TestRefusesAPathThatABackslashSpoiled: "D:\temp" in TOML is a tab and «emp».
func TestRefusesAPathThatABackslashSpoiled(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"data_dir", "control", "ssl_certificate", "ssl_certificate_key",
		"ssl_certificate_password"} {
		for _, escape := range []string{`\t`, `\b`, `\f`, `\n`, `\r`, `\u0001`, `\u007F`, `\u0085`} {
			_, err := load(t, "pns4ones.toml", name+` = "D:`+escape+`emp"`)
			if err == nil || !strings.Contains(err.Error(), "pns4ones.toml:1: "+name) ||
				!strings.Contains(err.Error(), `'C:\folder\file'`) {
				t.Errorf("%s with %s: %v", name, escape, err)
			}
		}
	}
	if _, err := load(t, "pns4ones.ini", "", "-data_dir", "/srv/a\tb"); err == nil {
		t.Error("a tab in a path was taken")
	}
}

// TestAProblemStaysOnItsLine: what a value holds cannot begin a line of its own.
func TestAProblemStaysOnItsLine(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		`listen = "a\nb"`, `"lis\nten" = "x"`, `log_level = "Err\ror"`, `keepalive = "1\n2s"`,
		`max_message_size = "\n"`, `trusted_proxies = ["a\nb"]`,
		"listen = \"\"\"\na\nb\"\"\"", `expires_in_epoch = "auto\u2028"`, `ssl_mode = "No\u0085ne"`,
	} {
		_, err := load(t, "pns4ones.toml", content)
		if err == nil || strings.ContainsAny(err.Error(), "\n\r\u0085\u2028") {
			t.Errorf("%s gives %q", content, err)
		}
	}
}

// TestRefusesAControlPathThatNoSocketCanHave: the system calls it an invalid argument.
func TestRefusesAControlPathThatNoSocketCanHave(t *testing.T) {
	t.Parallel()
	long := "/run/" + strings.Repeat("x", 300)
	_, err := load(t, "pns4ones.ini", "\ncontrol="+long+"\n")
	if err == nil || !strings.Contains(err.Error(), "pns4ones.ini:2: control: ") ||
		!strings.Contains(err.Error(), "305 bytes") {
		t.Errorf("got %v", err)
	}
	p := paths(t)
	p.Control = long // where the user's own folder is that deep
	if _, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p}); err == nil ||
		!strings.Contains(err.Error(), "control: ") {
		t.Errorf("got %v", err)
	}
}
