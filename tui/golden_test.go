package tui_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/google/go-cmp/cmp"
	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// scenes are what there is to see, each after what a person does for it.
var scenes = []struct {
	name string
	do   func(d *driver, daemon *fakeDaemon)
}{
	{"overview", func(d *driver, daemon *fakeDaemon) {
		for i := range 90 {
			daemon.events <- daemon.tick(1200+i%7, float64(i*i%4000))
			d.send(<-d.inbox)
		}
	}},
	{"overview_troubles", func(d *driver, daemon *fakeDaemon) {
		daemon.mu.Lock()
		soon := moment.AddDate(0, 0, 5)
		daemon.status.Detached = 1234
		daemon.status.TLSExpiresAt, daemon.status.RestartNeeded = &soon, []string{"listen", "data_dir"}
		daemon.mu.Unlock()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("r")
	}},
	{"overview_database", func(d *driver, daemon *fakeDaemon) {
		daemon.mu.Lock()
		daemon.status.DatabaseUnavailable = "/var/lib/pns4ones/pns4ones.db: the database is damaged: page 7 \x1b[2J"
		daemon.mu.Unlock()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
	}},
	{"overview_nodes", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
	}},
	{"overview_cut_off", func(d *driver, daemon *fakeDaemon) {
		daemon.cutOff()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
	}},
	{"sessions_nodes", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		d.press("3", "down")
	}},
	{"sessions_nodes_details", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		d.press("3", "enter")
	}},
	{"journal_nodes", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("4")
		d.await("ready", "105")
		d.press("n")
	}},
	{"journal_node", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("4")
		d.await("ready", "105")
		d.press("n", "down", "enter")
		d.await("seen by web2")
	}},
	{"apps", func(d *driver, _ *fakeDaemon) { d.press("2", "down") }},
	{"apps_detail", func(d *driver, _ *fakeDaemon) { d.press("2", "enter", "down", "c") }},
	{"apps_keys_shown", func(d *driver, _ *fakeDaemon) { d.press("2", "enter", "v", "down", "down") }},
	{"apps_create", func(d *driver, _ *fakeDaemon) {
		d.press("2", "n")
		d.write("Новая база 日本")
		d.press("left", "left")
	}},
	{"apps_create_unknown", func(d *driver, daemon *fakeDaemon) {
		d.press("2", "n")
		d.write("Новая база")
		daemon.mu.Lock()
		daemon.refuses = &control.Error{Code: control.CodeOutcomeUnknown, Message: "whether it was stored is not known"}
		daemon.mu.Unlock()
		d.press("enter")
	}},
	{"apps_client_key", func(d *driver, _ *fakeDaemon) { d.press("2", "enter", "C") }},
	{"apps_remove", func(d *driver, _ *fakeDaemon) {
		d.press("2", "d")
		d.write("Скл")
		d.press("enter")
	}},
	{"sessions", func(d *driver, _ *fakeDaemon) { d.press("3", "down", "down") }},
	{"sessions_filter", func(d *driver, _ *fakeDaemon) {
		d.press("3", "/")
		d.write("ev")
	}},
	{"sessions_details", func(d *driver, _ *fakeDaemon) { d.press("3", "end", "up", "enter") }},
	{"sessions_away", func(d *driver, daemon *fakeDaemon) {
		daemon.takeAway()
		d.press("3", "down", "down")
	}},
	{"sessions_away_details", func(d *driver, daemon *fakeDaemon) {
		daemon.takeAway()
		d.press("3", "down", "enter")
	}},
	{"sessions_away_forget", func(d *driver, daemon *fakeDaemon) {
		daemon.takeAway()
		d.press("3", "down", "x")
	}},
	{"sessions_sort", func(d *driver, _ *fakeDaemon) { d.press("3", "S") }},
	{"sessions_marked", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "space", "down", "space", "x")
	}},
	{"sessions_copy", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "c")
	}},
	{"sessions_nobody", func(d *driver, _ *fakeDaemon) {
		d.press("3", "/")
		d.write("user:сидоров")
		d.press("enter")
	}},
	{"sessions_wide", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "down", ">")
		d.send(tea.WindowSizeMsg{Width: 160, Height: 24})
	}},
	{"apps_wide", func(d *driver, _ *fakeDaemon) {
		d.press("2", "s")
		d.send(tea.WindowSizeMsg{Width: 160, Height: 24})
	}},
	{"phone", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "down")
		d.send(tea.WindowSizeMsg{Width: 40, Height: 20})
	}},
	{"commands", func(d *driver, _ *fakeDaemon) {
		d.press("2", ":")
		d.write("ключ")
	}},
	{"send_many", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "space", "space", "w")
		d.write("Обед")
	}},
	{"send_suggest", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("5", "down")
		d.write("бух")
		d.press("enter", "down")
		d.write("ов")
	}},
	{"send_data", func(d *driver, _ *fakeDaemon) {
		d.press("5", "up", "up", "up")
		d.write("document=17")
	}},
	{"sessions_explain", func(d *driver, daemon *fakeDaemon) {
		daemon.explains = control.Explanation{
			LastClosed:       &control.Event{Time: moment, Reason: hub.CloseReasons()[0], Session: &daemon.sessions[0]},
			InfobaseSessions: 3,
			OtherPlaces:      daemon.sessions[1:3],
			OtherGroups:      map[string]int{"": 3},
		}
		d.press("3", "e")
	}},
	{"sessions_names", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "down")
	}},
	{"sessions_names_details", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "enter")
	}},
	{"infobases", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("2", "i", "down")
	}},
	{"infobases_sessions", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("2", "i", "enter")
	}},
	{"find", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("f")
		d.write("ов")
		d.press("enter")
	}},
	{"find_nobody", func(d *driver, daemon *fakeDaemon) {
		d.press("f")
		d.write("Кузнецов")
		d.press("enter")
	}},
	{"find_absent", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		daemon.explains = control.Explanation{InfobaseSessions: 3, Unmet: []control.Unmet{{
			Recipient: control.Recipient{Type: "user"}, Count: 3, First: moment.Add(-10 * time.Minute),
			Last: moment.Add(-6 * time.Minute),
			Spans: []control.UnmetSpan{{First: moment.Add(-10 * time.Minute), Last: moment.Add(-10 * time.Minute),
				Count: 1},
				{First: moment.Add(-7 * time.Minute), Last: moment.Add(-6 * time.Minute), Count: 2}},
		}}}
		d.press("3", "f")
		d.write("Иванов И. И.")
		d.press("enter")
	}},
	{"send_names", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("3", "w", "up")
	}},
	{"send_pick", func(d *driver, daemon *fakeDaemon) {
		daemon.giveNames()
		d.press("5", "down", "down", "down", "ctrl+o")
	}},
	{"journal", func(d *driver, _ *fakeDaemon) {
		d.press("4")
		d.await("ready", "105")
	}},
	{"journal_record", func(d *driver, _ *fakeDaemon) {
		d.press("4")
		d.await("ready", "105")
		d.press("up", "up", "enter")
	}},
	{"send", func(d *driver, _ *fakeDaemon) {
		d.press("3", "w")
		d.write("Обед 🍲")
		d.press("tab")
		d.write("В столовой")
		d.press("enter")
		d.write("с 12:00")
		d.press("ctrl+s")
	}},
	{"send_unconfirmed", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.unconfirmed = []string{"web2", "web3"}
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("3", "w")
		d.write("Обед")
		d.press("ctrl+s")
	}},
	{"send_waits", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("3", "w")
		d.write("Обед")
		d.slow = true
		d.press("ctrl+s")
		d.passed.Add(int64(2 * time.Second))
	}},
	{"apps_create_waits", func(d *driver, daemon *fakeDaemon) {
		daemon.joinCluster()
		daemon.events <- daemon.tick(5, 0)
		d.send(<-d.inbox)
		d.press("2", "n")
		d.write("one")
		d.slow = true
		d.press("enter")
		d.passed.Add(int64(3 * time.Second))
	}},
	{"help", func(d *driver, _ *fakeDaemon) { d.press("2", "?") }},
	{"gone", func(d *driver, daemon *fakeDaemon) {
		d.press("3")
		daemon.events <- daemon.tick(5, 0) // it is followed
		d.send(<-d.inbox)
		daemon.goAway()
		d.send(<-d.inbox)
	}},
	{"empty", func(d *driver, daemon *fakeDaemon) {
		daemon.mu.Lock()
		daemon.apps, daemon.sessions = nil, nil
		daemon.mu.Unlock()
		d.press("2")
		daemon.events <- control.Event{Event: control.EventAppChanged}
		d.send(<-d.inbox)
	}},
}

// TestScreensLookAsTheyDid compares screens with those in testdata, where an
// escape is written as ␛. With -update they are written anew: look at them then.
func TestScreensLookAsTheyDid(t *testing.T) {
	t.Parallel()
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			var all strings.Builder
			for _, size := range [][2]int{{80, 24}, {120, 40}} {
				for _, lang := range []locale.Lang{locale.Russian, locale.English} {
					for _, colours := range []struct {
						name    string
						profile termenv.Profile
					}{{"colour", termenv.ANSI256}, {"NO_COLOR", termenv.Ascii}} {
						daemon := aDaemon()
						d := open(t, daemon, look{size[0], size[1], lang, colours.profile})
						d.await(locale.New(lang).T("tui.online"))
						scene.do(d, daemon)
						fmt.Fprintf(&all, "=== %dx%d %s %s\n%s\n", size[0], size[1], lang, colours.name,
							strings.ReplaceAll(d.panel.View(), "\x1b", "␛"))
						d.stop()
					}
				}
			}
			path := filepath.Join("testdata", "screens", scene.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), all.String()); diff != "" {
				t.Errorf("another screen (-want +got):\n%s", diff)
			}
		})
	}
}
