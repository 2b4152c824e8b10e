package config_test

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// fuzzFile feeds a settings file: either each problem names a line of it, or the
// settings, printed, mean the same again.
func fuzzFile(t *testing.T, name string, content []byte) {
	p := config.Paths{Settings: t.TempDir(), Data: "/data", Control: "/control"}
	path := filepath.Join(p.Settings, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil {
		problems, ok := errors.AsType[*config.Error](err)
		if !ok {
			t.Fatalf("got %v, want a *config.Error", err)
		}
		lines := bytes.Count(content, []byte("\n")) + 1
		for _, problem := range problems.Problems {
			// What is missing has no line.
			if problem.Line < 0 || problem.Line > lines || problem.File != path && problem.Key != "service" &&
				problem.Key != "listen" {
				t.Fatalf("a problem at %s:%d: %v", problem.File, problem.Line, problem)
			}
		}
		return
	}
	var out bytes.Buffer
	if err := config.WriteTOML(&out, r, locale.New(locale.Russian)); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.Settings, "pns4ones.toml"), out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	want := r.Config
	want.SSLCertificatePassword = "" // masked
	if want.SSLMode == config.SSLFromFileWithPassword {
		return // cannot do without it
	}
	again, err := config.Load(config.LoadOptions{Getenv: noEnv, Paths: p})
	if err != nil {
		t.Fatalf("what was printed is not accepted: %v\n%s", err, &out)
	}
	if diff := cmp.Diff(want, again.Config, cmpopts.EquateComparable(config.Address{}, netip.Prefix{}),
		cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func FuzzINI(f *testing.F) {
	f.Add([]byte(manualExample))
	f.Add([]byte("\ufefflisten=*\r\n[x]\n;c\n#c\nservice = \"localhost:1\"\n"))
	f.Add([]byte("trusted_proxies=10.0.0.0/8,::1\nmax_unregistered=5\nkeepalive=1m\nsession_queue_size=64KiB\n"))
	f.Add([]byte("listen=*\nlisten=*\nx\n=\n\xff"))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "pns4ones.ini", content) })
}

func FuzzTOML(f *testing.F) {
	f.Add([]byte("listen = 'localhost:1'\nservice = \"*\"\nlog_level = 'Error'\n"))
	f.Add([]byte("trusted_proxies = ['10.0.0.0/8', \"::1\"]\nmax_unregistered = 5\nsession_queue_size = 65536\n"))
	f.Add([]byte("[a]\nb = 1\n[[c]]\n\"l\\u0069sten\" = '*'\na.b = {}\n"))
	f.Add([]byte("ssl_certificate = '''\nx\\y\"\n'''\ndata_dir = \"\\u0001\"\n"))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, content []byte) { fuzzFile(t, "pns4ones.toml", content) })
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"*", "*:8092", "localhost:7777", "192.168.10.0:8270", "192.168.10.0/24", "[::1]:1",
		"fd00::/8", "a.b-c:0"} {
		f.Add(seed)
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, text string) {
		a, err := config.ParseAddress(text, 1)
		if err != nil {
			return
		}
		again, err := config.ParseAddress(a.String(), 2)
		if err != nil || again != a {
			t.Fatalf("%q is read as %s, which is read as %s, %v", text, a, again, err)
		}
		if a.Host == "" && !a.Network.IsValid() && text[0] != '*' {
			t.Fatalf("%q is taken for all interfaces", text)
		}
	})
}

// FuzzFlags feeds command lines, a word a line: the settings, or a *config.Error
// that names a word for each problem.
func FuzzFlags(f *testing.F) {
	for _, seed := range []string{"-listen\nlocalhost:7", "/ssl_mode=None\n--check", "-data_dir\n/config\n-h",
		"-\n--\n/\n-=\n-config", "-lisen\nx\nstray\n-version=1"} {
		f.Add(seed)
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, text string) {
		p := config.Paths{Settings: t.TempDir(), Data: "/data", Control: "/control"}
		r, err := config.Load(config.LoadOptions{Args: strings.Split(text, "\n"), Getenv: noEnv, Paths: p})
		if err == nil {
			if r == nil {
				t.Fatal("neither settings nor an error")
			}
			return
		}
		problems, ok := errors.AsType[*config.Error](err)
		if !ok || len(problems.Problems) == 0 {
			t.Fatalf("got %v, want a *config.Error", err)
		}
		for _, problem := range problems.Problems {
			if problem.Line != 0 || problem.Error() == "" {
				t.Fatalf("a problem of the command line stands at %s:%d: %v", problem.File, problem.Line, problem)
			}
		}
	})
}
