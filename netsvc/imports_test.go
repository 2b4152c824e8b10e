package netsvc_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms are the packages below the programs, from the top down: each may import what
// stands below it.
var rooms = []string{
	"netsvc",
	"netsvc/control/server",
	"netsvc/internal/stats",
	"netsvc/internal/history",
	"netsvc/httpapi",
	"netsvc/hub",
	"netsvc/cluster",
	"netsvc/cluster/bucket",
	"netsvc/cluster/stream",
	"netsvc/cluster/moving",
	"netsvc/cluster/seal/sealtest",
	"netsvc/cluster/seal",
	"netsvc/handover",
	"netsvc/internal/systemd",
	"netsvc/certificate/certificatetest",
	"netsvc/certificate",
	"netsvc/control/describe",
	"netsvc/control",
	"netsvc/control/socket/sockettest",
	"netsvc/control/socket",
	"netsvc/internal/listen",
	"netsvc/internal/logring",
	"netsvc/internal/ring",
	"netsvc/internal/failurelog",
	"netsvc/internal/fold",
	"netsvc/internal/natstest",
	"netsvc/internal/testlog",
	"netsvc/internal/testclock",
	"netsvc/internal/testsessions",
	"netsvc/wire",
	"app",
	"app/names",
	"app/internal/pages",
	"app/clientkey",
	"config",
	"config/files/filestest",
	"config/files",
	"config/locale",
}

const module = "github.com/pns4ones/pns4ones/"

func goList(t *testing.T, arguments ...string) []string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", arguments, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestArrowsPointDown(t *testing.T) {
	t.Parallel()
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "../netsvc/...", "../app/...",
		"../config/...") {
		imports := strings.Fields(strings.ReplaceAll(line, module, ""))
		level := slices.Index(rooms, imports[0])
		if level < 0 {
			t.Errorf("%s has no place in the table of rooms", imports[0])
			continue
		}
		for _, other := range imports[1:] {
			if below := slices.Index(rooms, other); below >= 0 && below < level {
				t.Errorf("%s imports %s, which stands above it", imports[0], other)
			}
		}
	}
}

// The panel and the commands see the daemon through the control channel alone.
func TestTheClientsOfTheChannelKnowNothingOfTheDaemon(t *testing.T) {
	t.Parallel()
	behind := []string{"app", "netsvc", "netsvc/hub", "netsvc/httpapi", "netsvc/certificate", "netsvc/handover",
		"netsvc/control/server"}
	for _, path := range goList(t, "-deps", "../netsvc/control", "../tui") {
		name := strings.TrimPrefix(path, module)
		if slices.Contains(behind, name) || strings.HasPrefix(name, "netsvc/internal/") ||
			strings.Contains(name, "prometheus") || strings.Contains(name, "bbolt") {
			t.Errorf("the client of the control channel brings %s with it", name)
		}
	}
}
