package hub_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

var (
	modelSchedules = flag.Int("hub.model", 1000, "how many schedules of the model TestTheModelsSchedules plays")
	modelSeed      = flag.Int("hub.modelseed", 1, "seed of the first of them")
)

// violation is what a world says when a property does not hold.
type violation struct{ property, text string }

// TestTheModelsSchedules plays them against the hub and the registrations and frames of package wire, with the
// properties P1 to P8 that the model checks.
func TestTheModelsSchedules(t *testing.T) {
	t.Parallel()
	var next atomic.Int64
	next.Store(int64(*modelSeed))
	end := int64(*modelSeed + *modelSchedules)
	t.Cleanup(func() {
		t.Logf("%d schedules, %d ops; %d messages were accepted", *modelSchedules, opsPlayed.Load(), messagesAccepted.Load())
	})
	for range runtime.GOMAXPROCS(0) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1) - 1; seed < end && !t.Failed(); seed = next.Add(1) - 1 {
				s := modelSchedule(uint32(seed), 120)
				if v := play(t, uint32(seed), s, nil); v != nil {
					report(t, uint32(seed), s, v)
				}
			}
		})
	}
}

// TestTheModelsTraces plays the traces that break the model when a rule is left out, or is as it was before the
// traces were found, in every size of frames.
func TestTheModelsTraces(t *testing.T) {
	t.Parallel()
	for _, one := range traces(t) {
		s := schedule{one.Config, one.Ops}
		for size := range uint32(worldSizes) {
			if v := play(t, size, s, nil); v != nil {
				t.Logf("the trace of %s, which breaks %s (seed %d)", one.Rule, one.Property, one.Seed)
				report(t, size, s, v)
			}
		}
	}
}

// TestAFrameThatIsBeingWrittenIsKept, however long that takes: longer than it would be if it were written. It is
// sent whole when the connection has broken.
func TestAFrameThatIsBeingWrittenIsKept(t *testing.T) {
	t.Parallel()
	s := schedule{config: modelConfig{
		sendBuffer: 2, receiveBuffer: 9, largest: 60, peerTimeout: 4, window: 3, writeTimeout: 3,
		queueBytes: noBound, resumeBytes: noBound,
	}}
	s.ops = append(s.ops, op{"flow", 0, 0}, op{"post", 59, 0})
	for range 25 {
		s.ops = append(s.ops, op{"write", 0, 0}, op{"deliver", 8, 0}, op{"read", 8, 0}, op{"tick", 0, 0})
	}
	s.ops = append(s.ops, op{"abandon", 1, 0}, op{"flow", 0, 0}, op{"connect", 0, 0})
	for size := range uint32(worldSizes) {
		if v := play(t, size, s, nil); v != nil {
			report(t, size, s, v)
		}
	}
}

// TestAHandOverDoesNotWaitForWhoWasRefused: the second packet on a connection was stale, so the service reads on for a
// while before it closes that; meanwhile the session that the connection had goes on on another.
func TestAHandOverDoesNotWaitForWhoWasRefused(t *testing.T) {
	t.Parallel()
	s := schedule{config: modelConfig{
		sendBuffer: 9, receiveBuffer: 9, largest: 1, peerTimeout: 8, window: 4, writeTimeout: 4,
		queueBytes: noBound, resumeBytes: noBound,
	}, ops: []op{
		{"flow", 0, 0}, {"abandon", 0, 0}, {"connect", 0, 0}, {"replay", 1, 3}, {"abandon", 0, 0}, {"connect", 0, 0},
		{"flow", 0, 0}, {"freeze", 0, 0}, {"thaw", 1, 0},
	}}
	for size := range uint32(worldSizes) {
		if v := play(t, size, s, nil); v != nil {
			report(t, size, s, v)
		}
	}
}

var opsPlayed, messagesAccepted atomic.Int64

// play plays a schedule in a world whose kind the seed says, and returns what does not hold.
func play(t *testing.T, seed uint32, s schedule, log *[]string) (found *violation) {
	synctest.Test(t, func(t *testing.T) {
		w := newModelWorld(t, seed, s.config)
		w.log = log
		defer w.end()
		defer func() {
			switch v := recover().(type) {
			case nil:
			case violation:
				found = &v
			default:
				panic(v)
			}
		}()
		w.connect()
		for _, o := range s.ops {
			w.step(o)
		}
		w.quiesce()
		opsPlayed.Add(int64(len(s.ops)))
	})
	return found
}

// report tells of a violation, with the shortest part of the schedule that has it still.
func report(t *testing.T, seed uint32, s schedule, v *violation) {
	t.Helper()
	for size := (len(s.ops) + 1) / 2; size >= 1; size /= 2 {
		for i := 0; i < len(s.ops); {
			shorter := schedule{s.config, append(append([]op(nil), s.ops[:i]...), s.ops[min(i+size, len(s.ops)):]...)}
			if again := play(t, seed, shorter, nil); again != nil && again.property == v.property {
				s, v = shorter, again
			} else {
				i += size
			}
		}
	}
	var log []string
	play(t, seed, s, &log)
	t.Errorf("seed %d, %+v, %d ops: %s: %s\n%s", seed, s.config, len(s.ops), v.property, v.text, strings.Join(log, "\n"))
}

const (
	tick       = time.Second // of the model
	worldSizes = 12          // kinds of worlds
)

// units are how many bytes one of the model's may be: many frames in a write, some, and many writes for a frame.
var units = [3]int{48, 700, 5000}

// modelWorld is a service, an add-in, somebody who plays packets again, and the network.
type modelWorld struct {
	t      *testing.T
	log    *[]string
	config modelConfig
	unit   int
	eager  bool // the hub may write as soon as there is room
	kernel bool // send buffers are as large as they may be at most

	h        *hub.Hub
	ln       *pipeListener
	served   chan error
	limits   hub.Limits
	up       bool
	state    *hub.State // not nil: frozen
	eventsMu sync.Mutex
	events   []hub.Event

	key, oldKey int
	conns       []*modelConn
	packets     []*modelPacket
	cl          *modelClient
	ledgers     map[int]*ledger
	mems        map[int]*modelMemory
	graves      map[int]modelGrave
	texts       []string // of the messages posted, from number 1 on
	framesMu    sync.Mutex
	frames      map[frameOf][]byte
	served0     time.Duration // that a process has served, ever
}

// frameOf is a message under a key.
type frameOf struct{ id, gen int }

// modelConn is a connection, with what is in the network.
type modelConn struct {
	*pipe
	id       int
	evil     bool
	admitted bool
	toHub    [][]byte // parts of packets
	packets  []*modelPacket
	parts    int
	arrived  []byte // at the peer, and not read
	up, down bool
	open     bool // the client has it
	fin      bool // the client has closed it, and the service will hear
	reset    bool // the client will hear that it is broken
	acked    time.Time
	turn     uint64 // of the packet that the client opened it with
	client   int    // generation of the key of that
	gen      int    // of the key that it is registered under
	has      int    // number of the session that it has; 0: none
	freed    bool   // a packet that was played again has acknowledged something
}

// modelPacket is a registration.
type modelPacket struct {
	sid            int
	gen            int
	turn, received uint64
	from           uint64
	mode           wire.Mode
	bytes          []byte
}

// modelClient is what an add-in object knows.
type modelClient struct {
	sid                  int
	session              string
	gen                  int
	turn, received, from uint64
	reading              uint64 // turn of the connection that it reads or has read last
	conn                 *modelConn
	stream               []byte
	held                 int // message that 1C has not accepted yet; 0: none
	refusing             bool
}

// ledger is what one session was promised and what it got. Its bounds are those that were exceeded.
type ledger struct {
	offered, accepted []int
	bounds            map[string]bool
	missed            []int
	again             bool // its memory began anew
	left              bool // it has said goodbye, or its client
	said              bool // its client has said so
	frames            map[int]*lastWritten
}

// lastWritten is where a message was written last.
type lastWritten struct {
	conn        *modelConn
	start, size int
	age         time.Duration // while a process served and it did not wait to be sent again
}

// whole reports whether all of it is in the send buffer, or was.
func (at *lastWritten) whole() bool {
	at.conn.mu.Lock()
	defer at.conn.mu.Unlock()
	return at.start+at.size <= at.conn.passed
}

// modelMemory is what the service has to remember of a session, as far as the test knows it.
type modelMemory struct {
	turn  uint64
	conn  *modelConn // nil: detached
	since time.Duration
	last  *modelConn // that it had last
}

type modelGrave struct {
	turn  uint64
	until time.Duration
}

func newModelWorld(t *testing.T, seed uint32, c modelConfig) *modelWorld {
	w := &modelWorld{
		t: t, config: c, unit: units[seed%3], eager: seed/3%2 == 1, kernel: seed/6%2 == 1, up: true, key: 1,
		ledgers: make(map[int]*ledger), mems: make(map[int]*modelMemory), frames: make(map[frameOf][]byte), graves: make(map[int]modelGrave),
	}
	w.limits = hub.Limits{
		WriteTimeout: time.Duration(c.writeTimeout) * tick, PeerTimeout: time.Duration(c.peerTimeout) * tick,
		ResumeWindow: time.Duration(c.window) * tick, ResumeBytes: c.resumeBytes * w.unit, QueueBytes: c.queueBytes * w.unit,
	}
	w.begin()
	w.newClient(1)
	return w
}

func (w *modelWorld) say(format string, args ...any) {
	if w.log != nil {
		*w.log = append(*w.log, fmt.Sprintf("t=%v ", w.served0)+fmt.Sprintf(format, args...))
	}
}

func (w *modelWorld) fail(property, format string, args ...any) {
	w.say("*** "+property+": "+format, args...)
	panic(violation{property, fmt.Sprintf(format, args...)})
}

func (w *modelWorld) ledger(sid int) *ledger {
	l := w.ledgers[sid]
	if l == nil {
		l = &ledger{bounds: make(map[string]bool), frames: make(map[int]*lastWritten)}
		w.ledgers[sid] = l
	}
	return l
}

// begin starts a process.
func (w *modelWorld) begin() {
	w.h = hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Limits: w.limits, Observe: func(e hub.Event) {
		w.eventsMu.Lock()
		defer w.eventsMu.Unlock()
		w.events = append(w.events, e)
	}})
	w.h.LeaveWatch()
	w.setApp()
	w.up = true
}

func (w *modelWorld) setApp() {
	keys := []hub.Key{{Generation: w.key, Secret: modelKey(w.key)}}
	if w.oldKey > 0 {
		keys = append(keys, hub.Key{Generation: w.oldKey, Secret: modelKey(w.oldKey)})
	}
	w.h.SetApp(appID, keys)
}

var modelKeys sync.Map

// modelKey is the client key of a generation.
func modelKey(generation int) *wire.ClientKey {
	if k, ok := modelKeys.Load(generation); ok {
		return k.(*wire.ClientKey)
	}
	k := clientKey(&testing.T{}, byte(generation))
	modelKeys.Store(generation, k)
	return k
}

// listen has the process accept, if it does not.
func (w *modelWorld) listen() {
	if w.ln == nil {
		w.ln, w.served = newPipeListener(), make(chan error, 1)
		h, ln, served := w.h, w.ln, w.served
		go func() { served <- h.Serve(ln) }()
	}
}

// deaf has the process accept no more.
func (w *modelWorld) deaf() {
	if w.ln != nil {
		w.ln.Close()
		<-w.served
		w.ln = nil
	}
}

// end ends the process, as if it was killed.
func (w *modelWorld) end() {
	for _, k := range w.conns {
		k.breaks(syscall.ECONNRESET)
		pipes.Delete(k.fd)
	}
	if w.up {
		w.deaf()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		w.h.Shutdown(gone)
	}
	w.up, w.state = false, nil
}

// settle waits until the hub has nothing to do, and takes note of what happened.
func (w *modelWorld) settle() {
	synctest.Wait()
	w.eventsMu.Lock()
	events := w.events
	w.events = nil
	w.eventsMu.Unlock()
	for _, e := range events {
		sid, _ := strconv.Atoi(e.Session.UserID)
		w.say("service: %s of session %d %s", e.Kind, sid, e.Reason)
		m, at := w.mems[sid], w.served0-time.Since(e.Time)
		switch {
		case m == nil:
		case e.Kind == hub.SessionDetached && m.conn != nil && m.conn.over():
			m.conn, m.since = nil, at
		case e.Kind == hub.SessionClosed && e.Reason == "not_resumed":
			away := at - m.since
			if m.conn != nil || away < w.limits.ResumeWindow {
				w.fail("P3", "session %d was forgotten when it had been away for %v", sid, away)
			}
			w.forget(sid, "window")
			w.graves[sid] = modelGrave{m.turn, at + w.limits.ResumeWindow}
		case e.Kind == hub.SessionClosed:
			w.fail("P3", "session %d was closed: %s", sid, e.Reason)
		}
	}
	for sid, m := range w.mems {
		if m.conn != nil && m.conn.over() {
			w.say("session %d is detached", sid)
			m.conn, m.since = nil, w.served0
		}
	}
	for _, k := range w.conns {
		if k.has != 0 && k.over() {
			k.has = 0
		}
	}
	w.inSendBuffers()
}

// slack is how much later than due the hub looks whether something is to be forgotten.
func (w *modelWorld) slack() time.Duration { return min(w.limits.ResumeWindow/8, tick) + tick/100 }

// inSendBuffers checks that every frame that is in the send buffer of a connection is kept.
func (w *modelWorld) inSendBuffers() {
	if !w.up || w.state != nil {
		return
	}
	for sid, m := range w.mems {
		if m.conn == nil || m.conn.freed {
			continue
		}
		has, ok := w.h.Remembered(strconv.Itoa(sid))
		if !ok {
			w.fail("P3", "session %d is not remembered", sid)
		}
		m.conn.mu.Lock()
		sent, capped := len(m.conn.sent), m.conn.capped
		m.conn.mu.Unlock()
		if capped == 0 {
			w.fail("P8", "the send buffer of c%d may hold anything", m.conn.id)
		}
		if w.kernel && sent > int(has.Buffer) {
			w.fail("P8", "the send buffer holds %d bytes, and should hold %d at most", sent, has.Buffer)
		}
		for id, at := range w.ledger(sid).frames {
			if at.conn != m.conn {
				continue
			}
			frame := w.frame(id, m.conn.gen)
			kept := contains(has.Kept, frame)
			switch {
			case m.conn.holds(at.start, at.size) && (at.age < w.keptFor() || !at.whole()) && !kept && !contains(has.Going, frame):
				w.fail("P8", "m%d is in the send buffer and not kept", id)
			case kept && at.whole() && at.age > w.keptFor()+w.limits.WriteTimeout+w.slack()+tick: // who waits learns late what was taken
				w.fail("P8", "m%d is kept %v after it was written", id, at.age)
			}
		}
		kept, largest := 0, 0
		for _, f := range has.Kept {
			kept += len(f)
			largest = max(largest, len(f))
		}
		if most := max(w.limits.ResumeBytes, int(has.Buffer)) + 2*largest; kept > most {
			w.fail("P8", "%d bytes are kept, more than %d", kept, most)
		}
	}
}

func (w *modelWorld) keptFor() time.Duration { return w.limits.PeerTimeout + w.limits.ResumeWindow }

// forget takes note that the service remembers a session no longer, and why that may be.
func (w *modelWorld) forget(sid int, why string) {
	m := w.mems[sid]
	delete(w.mems, sid)
	if why != "kill" {
		w.graves[sid] = modelGrave{m.turn, w.served0 + w.limits.ResumeWindow}
	}
	w.ledger(sid).bounds[why] = true
	w.say("session %d is forgotten (%s)", sid, why)
}
