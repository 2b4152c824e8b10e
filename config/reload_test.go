package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pns4ones/pns4ones/config"
)

// names writes the settings of changes one after the other; those that need a
// restart have an exclamation mark.
func names(changes []config.Change) string {
	var all []string
	for _, c := range changes {
		if !c.Live {
			c.Setting += "!"
		}
		all = append(all, c.Setting)
	}
	return strings.Join(all, " ")
}

func TestTellsWhatAReloadCanFollow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, from, to, want string }{
		{"nothing", `keepalive = "30s"`, ``, ""},
		{"a level", ``, `log_level = "Debug"`, "log_level"},
		{"limits", ``,
			"write_timeout = \"5s\"\nmax_unregistered = 7\nsession_queue_size = \"2MiB\"\nmax_message_size = \"2MiB\"",
			"max_message_size max_unregistered session_queue_size write_timeout"},
		{"proxies", ``, `trusted_proxies = ["10.0.0.0/8"]`, "trusted_proxies"},
		{"a port", ``, `listen = "*:1"`, "listen!"},
		{"a network where there was none", ``, `listen = "10.0.0.0/8"`, "listen"},
		{"another network", `service = "10.0.0.0/8"`, `service = "192.168.1.0"`, "service"},
		{"no network any more", `service = "10.0.0.0/8"`, ``, "service!"},
		{"a network of the other family", `service = "10.0.0.0/8"`, `service = "[fd00::/8]:36695"`, "service!"},
		{"a network and a port", ``, `listen = "10.0.0.0/8:1"`, "listen!"},
		{"an address", ``, `listen = "127.0.0.1"`, "listen!"},
		{"metrics", ``, `metrics_listen = "localhost"`, "metrics_listen!"},
		{"no metrics", `metrics_listen = "*"`, ``, "metrics_listen!"},
		{"a network for metrics", `metrics_listen = "*"`, `metrics_listen = "10.0.0.0"`, "metrics_listen"},
		{"the cluster", ``, "cluster_nats = ['nats://a']\ncluster_name = 'b'\ncluster_node = 'c'\ncluster_credentials = '/d'\n" +
			"cluster_ca = '/e'\ncluster_certificate = '/f'\ncluster_certificate_key = '/g'\ncluster_replicas = 1\n" +
			"cluster_key = '/h'\ncluster_wait = '2s'",
			"cluster_nats! cluster_name! cluster_node! cluster_key cluster_credentials! cluster_ca! cluster_certificate! " +
				"cluster_certificate_key! cluster_wait cluster_replicas!"},
		{"folders", ``, "data_dir = \"/elsewhere\"\ncontrol = \"/elsewhere/c\"", "data_dir! control!"},
		{"HTTPS from now on", ``, "ssl_mode = \"FromStorage\"\nssl_certificate = \"x\"", "ssl_mode! ssl_certificate!"},
		{"another kind of certificate", "ssl_mode = \"FromStorage\"\nssl_certificate = \"x\"",
			"ssl_mode = \"FromFileWithPassword\"\nssl_certificate = \"/x\"\nssl_certificate_password = \"secret\"",
			"ssl_mode ssl_certificate ssl_certificate_password"},
	} {
		p := paths(t)
		from, err := loadIn(t, p, "pns4ones.toml", tt.from)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		to, err := loadIn(t, p, "pns4ones.toml", tt.to)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		changes, applied := config.Changes(&from.Config, &to.Config)
		if got := names(changes); got != tt.want {
			t.Errorf("%s: changes are %q, want %q", tt.name, got, tt.want)
		}
		// What was applied is next, but for what waits; and that goes on waiting.
		again, _ := config.Changes(&applied, &to.Config)
		for _, c := range again {
			if c.Live || !strings.Contains(tt.want, c.Setting+"!") {
				t.Errorf("%s: %s still differs after it was applied", tt.name, c.Setting)
			}
		}
		if back, _ := config.Changes(&from.Config, &applied); strings.Contains(names(back), "!") {
			t.Errorf("%s: %q was applied, which needs a restart", tt.name, names(back))
		}
	}
}

func TestAReloadOfTheSameSettingsChangesNothing(t *testing.T) {
	t.Parallel()
	const all = `listen = "192.168.10.0:1"
service = "[::1]:2"
metrics_listen = "localhost:3"
trusted_proxies = ["10.0.0.0/8", "127.0.0.1"]
token_lifetime = "90m"
max_message_size = "1536KiB"`
	first, err := load(t, "pns4ones.toml", all)
	if err != nil {
		t.Fatal(err)
	}
	changes, applied := config.Changes(&first.Config, &first.Config)
	if len(changes) > 0 {
		t.Errorf("changes: %v", changes)
	}
	if diff := cmp.Diff(first.Config, applied, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
}
