package tui_test

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// tasks are what administrators do most, with the keys that each may take, besides text
// that is typed, from the moment the panel is open.
var tasks = []struct {
	name string
	most int
	do   func(d *counted)
}{
	{"create an app and copy its three values", 4, func(d *counted) {
		d.press("2", "n")
		d.write("Новая")
		d.press("enter", "y")
		created := d.daemon.apps[len(d.daemon.apps)-1]
		for _, value := range []string{created.ID, created.ServerKey, created.ClientKey} {
			if !strings.Contains(strings.Join(d.clipboard, "\n"), value) {
				d.t.Errorf("%s was not copied", value)
			}
		}
	}},
	{"who is in one infobase", 3, func(d *counted) {
		d.press("3", "/")
		d.write("a1b2c3d4")
		d.press("enter")
		d.await("1 сеанс", "6f9619ff")
	}},
	{"why a user who is connected got nothing", 4, func(d *counted) {
		d.press("f")
		d.write("petrov")
		d.press("enter")
		d.await("petrov в базе demo")
	}},
	{"why a user who is absent got nothing", 4, func(d *counted) {
		d.daemon.named = []control.Person{{AppID: d.daemon.apps[0].ID, IbID: "demo", UserID: "17", UserName: "Сидоров",
			Exact: true}}
		d.press("f")
		d.write("Сидоров")
		d.press("enter")
		d.await("Сидоров в базе demo")
	}},
	{"renew a key with a grace", 4, func(d *counted) {
		d.press("2", "enter", "s", "enter")
		if len(d.daemon.graces) != 1 || d.daemon.graces[0] == 0 {
			d.t.Errorf("graces are %v", d.daemon.graces)
		}
	}},
	{"find the sender that fails", 2, func(d *counted) {
		d.press("right", "enter")
		d.await("[4 Журнал]", "отказ отправителю, адрес 10.0.0.9")
	}},
	{"follow from Warning on", 2, func(d *counted) {
		d.press("enter")
		d.await("[4 Журнал]", "от Warning")
	}},
	{"disconnect a session", 4, func(d *counted) {
		before := len(d.daemon.sessions)
		d.press("3", "x", "down", "enter")
		if len(d.daemon.sessions) != before-1 {
			d.t.Error("no session was closed")
		}
	}},
	{"send a test message", 5, func(d *counted) {
		d.press("3", "w")
		d.write("Test")
		d.press("ctrl+s")
		if len(d.daemon.sent) != 1 {
			d.t.Errorf("%d messages were sent", len(d.daemon.sent))
		}
	}},
	{"when the certificate ends", 0, func(d *counted) { d.await("сертификат до 2026-04-10") }},
	{"what the last hour was like", 1, func(d *counted) {
		d.press("h")
		d.await("1 ч", "08:05")
	}},
}

// counted is a person whose keys are counted.
type counted struct {
	*driver
	daemon *fakeDaemon
	keys   int
}

func (c *counted) press(names ...string) {
	c.keys += len(names)
	c.driver.press(names...)
}

func TestFrequentTasksTakeFewKeys(t *testing.T) {
	t.Parallel()
	for _, task := range tasks {
		t.Run(strings.ReplaceAll(task.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			daemon := aDaemon()
			daemon.records = append(daemon.records, control.LogRecord{Time: moment, Level: "Warning",
				Message: "request refused",
				Attrs:   control.LogAttrs{{Name: "reason", Value: "no_token"}, {Name: "peer", Value: "10.0.0.9"}}})
			d := &counted{driver: open(t, daemon, usual), daemon: daemon}
			d.await("● на связи", "отправителям 2")
			task.do(d)
			if d.keys > task.most {
				t.Errorf("it takes %d keys, and may take %d", d.keys, task.most)
			}
		})
	}
}
