package hub_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

var (
	schedules = flag.Int("hub.schedules", 12, "how many schedules TestNothingIsLostHoweverConnectionsBreak plays")
	firstSeed = flag.Uint64("hub.seed", 1, "seed of the first of them")
)

// world plays a schedule: an add-in, a service that may be handed over, and somebody who plays
// packets again.
type world struct {
	*addin
	t        *testing.T
	random   *rand.Rand
	limits   hub.Limits
	keys     []hub.Key
	frames   chan string // of the present connection; nil: there is none
	packets  [][]byte    // all that were sent
	offered  []int       // messages that were queued for the session, and those that it was said to miss
	accepted []int
	posted   int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, random: rand.New(rand.NewPCG(seed, 0)), limits: lasting}
	w.limits.QueueBytes, w.limits.ResumeBytes = 1<<30, 1<<30
	if seed%2 == 0 { // with bounds, which are reached
		w.limits.QueueBytes, w.limits.ResumeBytes = 400<<10, 32<<10
	}
	s, _ := open(t, hub.Options{Limits: w.limits})
	s.endsWith(t)
	w.keys = []hub.Key{{Generation: 1, Secret: s.key}}
	w.addin = s.addin("ann")
	return w
}

// connect opens a connection, whatever became of the one before.
func (w *world) connect() {
	packet := w.packet(wire.ModeOpen)
	w.opened = w.turn
	w.packets = append(w.packets, packet)
	w.conn = w.s.speak(packet)
	w.frames = make(chan string)
	gone := make(chan struct{})
	w.t.Cleanup(func() { close(gone) })
	go receiveAll(w.conn, w.key, w.frames, gone)
}

// receiveAll passes on the frames of a connection.
func receiveAll(conn net.Conn, key *wire.ClientKey, frames chan<- string, gone <-chan struct{}) {
	defer close(frames)
	for {
		text, err := wire.ReadFrame(conn, key, 1<<24)
		if err != nil {
			return
		}
		select {
		case frames <- string(text):
		case <-gone:
			return
		}
	}
}

// post publishes a message of any size.
func (w *world) post() {
	w.posted++
	text := strconv.Itoa(w.posted) + strings.Repeat("x", w.random.IntN(1+w.random.IntN(100<<10)))
	w.s.Publish(appID, toAll("ib"), topic(text))
	w.offered = append(w.offered, w.posted)
}

// read takes a frame, if one comes soon. It reports whether one did.
func (w *world) read(soon time.Duration) bool {
	select {
	case text, open := <-w.frames:
		if !open {
			w.frames = nil
			return false
		}
		w.received++
		w.from = w.opened
		n, err := strconv.Atoi(strings.Trim(text, `{"topic:}x`))
		if err != nil {
			w.t.Fatalf("got %.50s", text)
		}
		if len(w.accepted) > 0 && n <= w.accepted[len(w.accepted)-1] {
			w.t.Fatalf("%d came after %v", n, w.accepted[len(w.accepted)-1])
		}
		w.accepted = append(w.accepted, n)
		return true
	case <-time.After(soon):
		return false
	}
}

// giveUp leaves the connection, in one of the ways there are.
func (w *world) giveUp() {
	if w.frames == nil {
		return
	}
	w.frames = nil
	switch w.random.IntN(3) {
	case 0:
		w.conn.(*net.TCPConn).SetLinger(0)
		w.conn.Close()
	case 1:
		w.conn.Close()
	case 2: // the service is not told
	}
}

func (w *world) again() {
	if w.frames == nil {
		return
	}
	before := w.s.judged()
	packet := w.packet(wire.ModeAgain)
	w.packets = append(w.packets, packet)
	if _, err := w.conn.Write(packet); err != nil {
		return
	}
	eventually(w.t, "the packet was judged, or the connection has ended", func() bool { return w.s.judged() > before || w.s.Stats().Sessions == 0 })
}

// replay plays a packet again, which must change nothing.
func (w *world) replay() {
	w.s.speak(w.packets[w.random.IntN(len(w.packets))]).Close()
}

// handOver has another hub go on, or the same one.
func (w *world) handOver() {
	w.s.ln.Close()
	state := w.s.HandOver()
	if w.random.IntN(3) == 0 {
		w.s.TakeBack()
		w.s.listens()
		return
	}
	w.s, _ = successorWith(w.t, journey(w.t, state), w.limits, w.keys...)
	w.s.listens()
}

// rotate has the add-in come back under another key; the former one ends when it has none of
// its connections.
func (w *world) rotate() {
	w.giveUp()
	eventually(w.t, "it is detached or about to be replaced", func() bool { return w.s.Stats().Sessions+w.s.Stats().Detached == 1 })
	generation := w.keys[0].Generation + 1
	next := hub.Key{Generation: generation, Secret: clientKey(w.t, byte(generation))}
	w.keys = []hub.Key{next, w.keys[0]}
	w.s.SetApp(appID, w.keys)
	w.key = next.Secret
	w.connect()
}

func (w *world) step() {
	switch n := w.random.IntN(100); {
	case n < 40:
		w.post()
	case n < 65:
		w.read(2 * time.Millisecond)
	case n < 78:
		w.giveUp()
	case n < 86:
		if w.frames == nil {
			w.connect()
		}
	case n < 90:
		w.again()
	case n < 94:
		w.replay()
	case n < 98:
		w.handOver()
	default:
		w.rotate()
	}
}

// settle ends all faults, reads what is left, and checks that no more is missing than was said.
func (w *world) settle() {
	w.giveUp()
	w.connect()
	w.post()
	for end := time.Now().Add(patience); len(w.accepted) == 0 || w.accepted[len(w.accepted)-1] != w.posted; {
		switch {
		case w.read(100 * time.Millisecond):
		case time.Now().After(end):
			w.t.Fatalf("%d of %d came, then nothing", len(w.accepted), len(w.offered))
		case w.frames == nil:
			w.connect() // it was dropped as too slow
		default:
			w.post() // the last one was missed
		}
	}
	page, err := w.s.Sessions(hub.Query{})
	if err != nil || len(page.Sessions) != 1 {
		w.t.Fatalf("%+v, %v", page, err)
	}
	missed := int(page.Sessions[0].Missed)
	if lost := len(w.offered) - len(w.accepted); lost != missed || w.limits.QueueBytes == 1<<30 && lost > 0 {
		w.t.Errorf("%d lost, %d said to be missed", lost, missed)
	}
}

// TestNothingIsLostHoweverConnectionsBreak plays random schedules (P1 to P4 of the model that the rules
// of protocol.md section 4.4 were searched with) against the hub, over real connections.
func TestNothingIsLostHoweverConnectionsBreak(t *testing.T) {
	for seed := range uint64(*schedules) {
		t.Run(fmt.Sprint(*firstSeed+seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, *firstSeed+seed)
			w.connect()
			for range 20 + w.random.IntN(100) {
				w.step()
			}
			w.settle()
			if !slices.IsSorted(w.accepted) {
				t.Error("out of order")
			}
		})
	}
}
