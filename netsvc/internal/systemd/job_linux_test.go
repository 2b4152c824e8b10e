package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// What systemd says is read; what it does not say, or not in time, is no stop.
func TestAStopIsToldFromARestart(t *testing.T) {
	t.Parallel()
	const service, v1 = "0::/system.slice/pns4ones.service\n", "9:name=systemd:/system.slice/pns4ones.service\n8:pids:/x\n"
	for name, test := range map[string]struct {
		cgroup, jobs string
		fails        bool
		want         bool
	}{
		"a stop":                {service, "  77 pns4ones.service stop running\n", false, true},
		"the old hierarchy":     {v1, "  77 pns4ones.service stop running\n", false, true},
		"a restart":             {service, "  77 pns4ones.service restart running\n", false, false},
		"the machine goes down": {service, "1 a.service stop waiting\n2 pns4ones.service stop running\n", false, true},
		"another one stops":     {service, "  77 xpns4ones.service stop running\n", false, false},
		"nothing is done":       {service, "", false, false},
		"systemd does not say":  {service, "  77 pns4ones.service stop running\n", true, false},
		"it is no service":      {"0::/user.slice\n", "  77 user.slice stop running\n", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			status := 0
			if test.fails {
				status = 1
			}
			script := "#!/bin/sh\n[ \"$1\" = list-jobs ] && cat <<'END'\n" + test.jobs + "END\nexit " + strconv.Itoa(status) + "\n"
			m := &Manager{"/notify", filepath.Join(dir, "cgroup"), filepath.Join(dir, "systemctl")}
			for path, text := range map[string]string{m.cgroup: test.cgroup, m.systemctl: script} {
				if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if got := m.Stops(time.Now().Add(patience)); got != test.want {
				t.Errorf("it stops: %v", got)
			}
			if m.Stops(time.Now()) {
				t.Error("it waited longer than it was to")
			}
		})
	}
	if (&Manager{cgroup: "/proc/self/cgroup", systemctl: "true"}).Stops(time.Now().Add(patience)) {
		t.Error("it stops, though nobody manages it")
	}
}
