package hub_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// What nobody means well, or a broken add-in sends (protocol.md section 4.4): nothing is refused because of attributes,
// and a packet that is not newer changes nothing.

// TestBadAttributesCostNobodyHisSession: he is registered as who he is, and is remembered if what asks for that is right.
func TestBadAttributesCostNobodyHisSession(t *testing.T) {
	t.Parallel()
	const (
		session = "session=AAAAAAAAAAAAAAAAAAAAAA\x00"
		numbers = "turn=1\x00received=0\x00from=0\x00"
		right   = session + numbers
	)
	for _, c := range []struct {
		name, said string
		remembered bool
	}{
		{"all is right", right, true},
		{"cut in a name", right + "hos", true},
		{"cut in the last value that is needed", strings.TrimSuffix(right, "\x00"), false},
		{"a session that comes twice", session + strings.ReplaceAll(session, "A", "B") + numbers, true},
		{"numbers that come twice", right + "turn=x\x00received=x\x00from=x\x00", true},
		{"a name of 300 bytes", "host=" + strings.Repeat("h", 300) + "\x00" + right, true},
		{"a session of 300 bytes", "session=" + strings.Repeat("A", 300) + "\x00" + numbers, false},
		{"a NUL in a name, whose rest is no attribute", "user=an\x00n\x00" + right, false},
		{"a NUL in a session", "session=AAAAAAAAAAA\x00AAAAAAAAAAA\x00" + numbers, false},
		{"a name that is not UTF-8", "user=\xff\xfe\x00" + right, true},
		{"a session that is not UTF-8", "session=\xff" + strings.Repeat("A", 21) + "\x00" + numbers, false},
		{"a session of 21 characters", "session=" + strings.Repeat("A", 21) + "\x00" + numbers, false},
		{"a session of 23 characters", "session=" + strings.Repeat("A", 23) + "\x00" + numbers, false},
		{"received is no number", session + "turn=1\x00received=many\x00from=0\x00", false},
		{"received is negative", session + "turn=1\x00received=-1\x00from=0\x00", false},
		{"received is more than 64 bits", session + "turn=1\x00received=18446744073709551616\x00from=0\x00", false},
		{"received is more than was ever written", session + "turn=1\x00received=18446744073709551615\x00from=0\x00", true},
		{"turn is 0", session + "turn=0\x00received=0\x00from=0\x00", false},
		{"turn is missing", session + "received=0\x00from=0\x00", false},
		{"65 attributes before it", strings.Repeat("a=b\x00", 65) + right, false},
		{"noise", "\x01\x02\xff=\x00" + right, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: lasting})
			conn := s.speak(packet(32, fields(appID, "ib", "u", "")+c.said))
			if st := s.Stats(); st.Sessions != 1 {
				t.Fatalf("it is not registered: %v", st.Refused)
			}
			s.send("1")
			conn.SetReadDeadline(time.Now().Add(patience))
			if text, err := wire.ReadFrame(conn, s.key, 1<<10); err != nil || string(text) != `{"topic":"1"}` {
				t.Errorf("it gets %q: %v", text, err)
			}
			conn.Close()
			eventually(t, "its connection has ended", func() bool { return s.Stats().Sessions == 0 })
			if remembered := s.Stats().Detached == 1; remembered != c.remembered {
				t.Errorf("it is remembered: %v", remembered)
			}
		})
	}
}

// TestAPacketThatIsNotNewerChangesNothing, whatever it is for, whether its turn repeats or falls back, and whoever sends
// it: it ends the connection on which it comes, and no message is lost.
func TestAPacketThatIsNotNewerChangesNothing(t *testing.T) {
	t.Parallel()
	for _, turn := range []struct {
		name  string
		lower uint64
	}{{"it repeats", 0}, {"it falls back", 1}} {
		for _, mode := range []wire.Mode{wire.ModeOpen, wire.ModeAgain, wire.ModeEnd} {
			for _, own := range []bool{false, true} {
				name := turn.name + " with mode " + string(mode)
				if own {
					name += " on its own connection"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					s := start(t, hub.Options{Limits: lasting})
					a := s.addin("ann")
					a.turn = 7
					a.connect() // with turn 8
					s.send("1")
					a.gets("1")
					old := *a
					old.turn -= 1 + turn.lower
					packet := old.packet(mode)
					conn := a.conn
					if own {
						a.say(packet)
					} else {
						conn = s.speak(packet)
					}
					closedGently(t, conn)
					st := s.Stats()
					if st.Refused[hub.ReasonStale] != 1 || st.Sessions+st.Detached != 1 || own != (st.Detached == 1) {
						t.Errorf("%d are connected, %d detached, %d were stale", st.Sessions, st.Detached,
							st.Refused[hub.ReasonStale])
					}
					s.send("2")
					if own {
						a.connect()
					}
					a.gets("2")
					if n := s.Stats().Missed; n != 0 {
						t.Errorf("%d messages are missed", n)
					}
				})
			}
		}
	}
}
