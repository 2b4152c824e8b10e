package tui_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// busy opens the sessions' screen of a daemon with n sessions.
func busy(b *testing.B, n int) (*driver, *fakeDaemon) {
	daemon := aDaemon()
	for i := range n {
		daemon.sessions = append(daemon.sessions, control.Session{
			ID:        fmt.Sprintf("%09d", i),
			AppID:     daemon.apps[i%4].ID,
			IbID:      fmt.Sprintf("a1b2c3d4-0000-4000-8000-%012d", i%100),
			UserID:    fmt.Sprintf("Пользователь %d", i),
			Addr:      fmt.Sprintf("192.168.%d.%d:50000", i/250%250, i%250),
			Since:     moment,
			Delivered: uint64(i),
		})
	}
	d := open(b, daemon, look{120, 40, locale.Russian, termenv.ANSI256})
	d.await("на связи")
	d.press("3")
	return d, daemon
}

// BenchmarkKeyToFrame is what the panel does between a key and the frame that
// shows it, the daemon's answers not counted but where they are waited for.
func BenchmarkKeyToFrame(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprintf("sessions=%d/move", n), func(b *testing.B) {
			d, _ := busy(b, n)
			b.ReportAllocs()
			keys := []tea.Msg{keyMsg("down"), keyMsg("up")}
			for i := 0; b.Loop(); i++ {
				d.send(keys[i%2])
				d.panel.View()
			}
		})
	}
	b.Run("journal/move", func(b *testing.B) {
		d, daemon := busy(b, 100)
		for i := range 5000 {
			daemon.records = append(daemon.records, control.LogRecord{
				Time:    moment,
				Level:   "Information",
				Message: fmt.Sprintf("record %d", i),
				Attrs:   control.LogAttrs{{Name: "app", Value: daemon.apps[0].ID}},
			})
		}
		d.press("4")
		d.await("record 4999")
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.press([]string{"up", "down"}[i%2])
			d.panel.View()
		}
	})
	b.Run("overview/tick", func(b *testing.B) {
		d, daemon := busy(b, 100)
		d.press("1")
		b.ReportAllocs()
		for b.Loop() {
			daemon.events <- daemon.tick(rand.IntN(100), 100)
			d.send(<-d.inbox)
			d.panel.View()
		}
	})
}

// BenchmarkSecond is what a second costs on the sessions' screen while 200
// sessions open and 200 end: a tick, what is asked for, and the frame.
func BenchmarkSecond(b *testing.B) {
	d, daemon := busy(b, 20_000)
	d.press("down", "down")
	next := 20_000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		daemon.mu.Lock()
		for range 200 {
			s := daemon.sessions[rand.IntN(len(daemon.sessions))]
			daemon.sessions[rand.IntN(len(daemon.sessions))] = control.Session{
				ID:     fmt.Sprintf("%09d", next),
				AppID:  s.AppID,
				IbID:   s.IbID,
				UserID: s.UserID,
				Addr:   s.Addr,
				Since:  moment,
			}
			next++
		}
		daemon.mu.Unlock()
		b.StartTimer()
		daemon.events <- daemon.tick(len(daemon.sessions), 100)
		d.send(<-d.inbox)
		d.panel.View()
	}
}
