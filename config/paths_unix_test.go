//go:build unix

package config

import (
	"os"
	"slices"
	"testing"
)

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// TestPathsOfAUser calls userPaths itself: the tests may be run by root, whose
// paths are others.
func TestPathsOfAUser(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want Paths
	}{
		{"XDG", map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d",
			"XDG_RUNTIME_DIR": "/r"},
			Paths{Settings: "/c/pns4ones", Data: "/d/pns4ones", Control: "/r/pns4ones/control.sock"}},
		{"HOME alone", map[string]string{"HOME": "/h"},
			Paths{Settings: "/h/.config/pns4ones", Data: "/h/.local/share/pns4ones",
				Control: "/h/.local/share/pns4ones/control.sock"}},
		{"relative XDG folders count for nothing", map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "c",
			"XDG_RUNTIME_DIR": "."},
			Paths{Settings: "/h/.config/pns4ones", Data: "/h/.local/share/pns4ones",
				Control: "/h/.local/share/pns4ones/control.sock"}},
	}
	for _, tt := range tests {
		if got, err := userPaths(environment(tt.env)); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestPathsOfThePackagedService(t *testing.T) {
	t.Parallel()
	got, err := DefaultPaths(environment(map[string]string{
		"CONFIGURATION_DIRECTORY": "/etc/pns4ones", "STATE_DIRECTORY": "/var/lib/pns4ones:/var/lib/other",
		"RUNTIME_DIRECTORY": "/run/pns",
	}))
	want := Paths{Settings: "/etc/pns4ones", Data: "/var/lib/pns4ones", Control: "/run/pns/control.sock"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestControlCandidates(t *testing.T) {
	t.Parallel()
	env := map[string]string{"HOME": "/h", "XDG_RUNTIME_DIR": "/r"}
	want := []string{"/r/pns4ones/control.sock", "/h/.local/share/pns4ones/control.sock", "/run/pns4ones/control.sock"}
	if os.Geteuid() == 0 {
		want = want[2:]
	}
	if got := ControlCandidates(environment(env)); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
