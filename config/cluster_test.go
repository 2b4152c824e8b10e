package config_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

func TestReadsTheServersOfTheCluster(t *testing.T) {
	t.Parallel()
	want := []string{"nats://me:p%2Cw@one:4222", "tls://token@two", "nats://[::1]:4222"}
	for name, content := range map[string]string{
		"pns4ones.toml": `cluster_nats = ["nats://me:p%2Cw@one:4222", "tls://token@two", "nats://[::1]:4222"]`,
		"pns4ones.ini":  "cluster_nats=nats://me:p%2Cw@one:4222, tls://token@two nats://[::1]:4222\n",
	} {
		r, err := load(t, name, content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, r.Config.ClusterNATS); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNeverShowsWhatIsSecretInTheServersOfTheCluster(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"nats://me:hush@one", "nats://hush@one", "tls://a@hush@one", "nats://me:hush@[::1]:1"} {
		r, err := load(t, "pns4ones.toml", `cluster_nats = ["`+server+`"]`)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := config.WriteTOML(&out, r, locale.New(locale.English)); err != nil {
			t.Fatal(err)
		}
		_, host, _ := strings.Cut(server[len("nats://"):], "@")
		host = host[strings.LastIndex(host, "@")+1:]
		if got := out.String(); strings.Contains(got, "hush") || !strings.Contains(got, "********@"+host+`"`) ||
			!strings.Contains(got, "\n# cluster_nats") {
			t.Errorf("%s is printed as\n%s", server, got[strings.Index(got, "cluster_nats ="):])
		}
	}
	for _, wrong := range []string{"http://me:hush@one", "nats://me:hush@", "me:hush@one:4222", "nats://me:hush@one:port",
		"nats://me:hu%sh@one", "nats://me:hush@one/x", "nats://one nats://me:hush\x01@two", "tls://me:hush@one?x"} {
		_, err := config.Load(config.LoadOptions{Args: []string{"-cluster_nats", wrong}, Getenv: noEnv, Paths: paths(t)})
		if err == nil || strings.Contains(err.Error(), "hu") || !strings.Contains(err.Error(), "-cluster_nats: server number ") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

func TestNamesOfTheClusterHaveAForm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		setting, value string
		right          bool
	}{
		{"cluster_name", "push-1_a", true}, {"cluster_name", strings.Repeat("a", 32), true},
		{"cluster_name", strings.Repeat("a", 33), false}, {"cluster_name", "a.b", false}, {"cluster_name", "Main", false},
		{"cluster_name", "", false}, {"cluster_name", "a\n", false},
		{"cluster_node", "web-1", true}, {"cluster_node", strings.Repeat("a", 63), true},
		{"cluster_node", strings.Repeat("a", 64), false}, {"cluster_node", "web_1", false}, {"cluster_node", "web1.lan", false},
		{"cluster_node", "", true}, {"cluster_node", "all", false}, {"cluster_node", "all-1", true},
		{"cluster_wait", "100ms", true}, {"cluster_wait", "10s", true}, {"cluster_wait", "99ms", false},
		{"cluster_wait", "11s", false},
		{"cluster_replicas", "0", true}, {"cluster_replicas", "5", true}, {"cluster_replicas", "6", false},
	} {
		args := []string{"-" + tt.setting + "=" + tt.value}
		_, err := config.Load(config.LoadOptions{Args: args, Getenv: noEnv, Paths: paths(t)})
		if (err == nil) != tt.right {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestTheKeyOfTheClusterIsBesideTheSettings(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{"": "cluster.key", "cluster_key = 'keys/x'\n": "keys/x"} {
		r, err := load(t, "pns4ones.toml", content+"log_level = 'Error'\n")
		if err != nil {
			t.Fatal(err)
		}
		if want = filepath.Join(filepath.Dir(r.File), want); r.Config.ClusterKey != want {
			t.Errorf("%q: %s, want %s", content, r.Config.ClusterKey, want)
		}
	}
}

func TestSettingsOfTheClusterTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, warning, problem string }{
		{"a single node", "cluster_wait = '2s'\ncluster_node = 'a'\n",
			"2: cluster_node: has no effect while cluster_nats is empty.\n1: cluster_wait: has no effect while cluster_nats is empty.", ""},
		{"all that is needed", "cluster_nats = ['nats://a']\ncluster_wait = '2s'\n", "", ""},
		{"a certificate without its key", "cluster_nats = ['nats://a']\ncluster_certificate = 'x'\n", "",
			"2: cluster_certificate: cluster_certificate_key is needed, too."},
		{"a key without its certificate", "cluster_nats = ['nats://a']\ncluster_certificate_key = 'x'\n", "",
			"2: cluster_certificate_key: cluster_certificate is needed, too."},
		{"a wrong server", "cluster_nats = ['a']\ncluster_wait = '2s'\n", "",
			"1: cluster_nats: server number 1 is not of the form nats://host:port or tls://host:port. In a password, write a comma, " +
				"a blank, “@”, “/” and “%” as %2C, %20, %40, %2F and %25."},
	} {
		r, err := load(t, "pns4ones.toml", tt.content)
		problem := ""
		if err != nil {
			problem = err.Error()[strings.Index(err.Error(), ".toml:")+len(".toml:"):]
		}
		if problem != tt.problem {
			t.Errorf("%s: %s", tt.name, problem)
		}
		var warnings []string
		if r != nil {
			for _, w := range r.Warnings {
				warnings = append(warnings, w.Error()[strings.Index(w.Error(), ".toml:")+len(".toml:"):])
			}
		}
		if got := strings.Join(warnings, "\n"); got != tt.warning {
			t.Errorf("%s warns:\n%s", tt.name, got)
		}
	}
}
