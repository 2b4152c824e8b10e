package netsvc_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

var (
	movesFor  = flag.Duration("netsvc.moves", time.Second, "how long sessions move in TestSessionsMoveAmongNodes")
	movesSeed = flag.Uint64("netsvc.movesseed", 1, "seed of what they do")
)

// movingSession is an add-in's session, which counts what it has read.
type movingSession struct {
	t    *testing.T
	ann  wire.Registration
	key  *wire.ClientKey
	said wire.Attributes
	conn *wire.Client
	got  []string
}

func newMovingSession(t *testing.T, a control.App, user string) *movingSession {
	t.Helper()
	key, err := wire.ParseClientKey(a.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	var id [16]byte
	rand.Read(id[:])
	return &movingSession{t: t, ann: wire.Registration{AppID: a.ID, IbID: "ib", UserID: user}, key: key,
		said: wire.Attributes{Session: base64.RawURLEncoding.EncodeToString(id[:])}}
}

// comes has the session go on at a node.
func (s *movingSession) comes(to *daemon) {
	s.t.Helper()
	s.said.Turn++
	var err error
	s.conn, err = wire.Dial(context.Background(), fmt.Sprintf("127.0.0.1:%d", to.SessionsPort()), s.ann, s.key,
		s.said.List()...)
	if err != nil {
		s.t.Error(err)
	}
}

// goes ends the connection.
func (s *movingSession) goes() { s.conn.Close() }

// read reads a message; empty: none comes within that time.
func (s *movingSession) read(within time.Duration) (topic string) {
	s.conn.SetReadDeadline(time.Now().Add(within))
	text, err := s.conn.Receive()
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Errorf("turn %d: %v", s.said.Turn, err)
		}
		return ""
	}
	s.said.Received++
	s.said.From = s.said.Turn
	topic = strings.TrimSuffix(strings.TrimPrefix(string(text), `{"topic":"`), `"}`)
	s.got = append(s.got, topic)
	return topic
}

// reads reads messages up to one, and reports whether that came.
func (s *movingSession) reads(last string) bool {
	for {
		switch s.read(patience) {
		case "":
			return false
		case last:
			return true
		}
	}
}

// gets reads messages, which must be these.
func (s *movingSession) gets(want ...string) {
	s.t.Helper()
	from := len(s.got)
	if len(want) > 0 && !s.reads(want[len(want)-1]) || !slices.Equal(s.got[from:], want) {
		s.t.Errorf("got %q, want %q", s.got[from:], want)
	}
}

// moveNodes starts nodes for sessions that move, with an app; all of them can take sessions.
func moveNodes(t *testing.T, nats *natstest.Server, count int, change ...func(*config.Config)) (nodes []*daemon,
	a control.App, tokens []string) {
	t.Helper()
	key := clusterKey(t)
	for i := range count {
		c := nodeSettings(t, nats, key, fmt.Sprintf("web%d", i+1))
		for _, one := range change {
			one(&c)
		}
		nodes = append(nodes, start(t, netsvc.Options{Config: c, Version: "1.2.3"}))
	}
	for _, d := range nodes {
		eventually(t, "the nodes to know each other", func() bool {
			live := 0
			for _, n := range d.cluster().Nodes {
				if n.State == control.NodeLive {
					live++
				}
			}
			return live == count
		})
	}
	a, tokens = nodes[0].create("app"), make([]string, count)
	for i, d := range nodes {
		eventually(t, "the app to be everywhere", d.knows(a))
		tokens[i], _ = d.authorise(a.ServerKey)
	}
	return nodes, a, tokens
}

func (d *daemon) stats() control.Status {
	d.t.Helper()
	status, err := d.Status(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	return status
}

// tells is what the daemon has told of sessions of an app: what, why, and the other node.
func (d *daemon) tells(a control.App) string {
	d.t.Helper()
	var told []string
	query := control.EventQuery{Tail: 100, AppID: a.ID,
		Kinds: []string{control.EventSessionOpened, control.EventSessionDetached, control.EventSessionResumed,
			control.EventSessionClosed}}
	err := d.Events(context.Background(), query, false, func(e control.Event) error {
		told = append(told, strings.Join(strings.Fields(e.Event+" "+e.Reason+" "+e.PeerNode), " "))
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(told, ", ")
}

func TestASessionGoesOnAtAnotherNode(t *testing.T) {
	t.Parallel()
	nodes, a, tokens := moveNodes(t, natstest.Start(t, natstest.JetStream(t)), 3, func(c *config.Config) {
		c.ClusterWait = 3 * time.Second // a node that was just started takes no session for so long
	})
	s := newMovingSession(t, a, "ann")
	s.comes(nodes[0])
	eventually(t, "it is registered", func() bool { return nodes[0].stats().Sessions == 1 })
	posts := func(at int, topic, sessions, waiting string) {
		t.Helper()
		h := nodes[at].post(tokens[at], topic)
		if h.Get("X-Delivered-Sessions") != sessions || h.Get("X-Waiting-Sessions") != waiting ||
			h.Get("X-Unconfirmed-Nodes") != "" {
			t.Errorf("%s: %v", topic, h)
		}
	}
	posts(1, "1", "1", "")
	s.gets("1")
	s.goes()
	eventually(t, "it is away", func() bool { return nodes[0].stats().Detached == 1 })
	posts(1, "2", "1", "1")
	posts(0, "3", "1", "1")
	s.comes(nodes[1])
	s.gets("2", "3")
	posts(2, "4", "1", "")
	s.gets("4")
	eventually(t, "the former node has forgotten it", func() bool { return nodes[0].stats().Detached == 0 })

	// To the third one while the connection is there yet.
	old := s.conn
	s.comes(nodes[2])
	old.SetReadDeadline(time.Now().Add(patience))
	if text, err := old.Receive(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the former connection gets %s, %v", text, err)
	}
	eventually(t, "it is there", func() bool { return nodes[2].stats().Sessions == 1 })
	posts(0, "5", "1", "")
	s.gets("5")

	// Who administers sees where it came from and where it went.
	for i, want := range []string{
		"session_opened, session_detached closed_by_peer, session_closed moved web2",
		"session_resumed web1, session_detached moved web3, session_closed moved web3",
		"session_resumed web2",
	} {
		eventually(t, fmt.Sprintf("node %d to tell: %s", i+1, want), func() bool { return nodes[i].tells(a) == want })
	}

	// An older packet is stale, wherever it comes.
	turn := s.said.Turn
	now := s.conn
	for _, d := range nodes {
		s.said.Turn = 1
		s.comes(d)
		s.conn.SetReadDeadline(time.Now().Add(patience))
		if text, err := s.conn.Receive(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("an older packet gets %s, %v", text, err)
		}
	}
	s.said.Turn, s.conn = turn, now
	posts(1, "6", "1", "")
	s.gets("6")
}

// ledger is what was sent to all sessions, in the order of each sender.
type ledger struct {
	mu   sync.Mutex
	sent [][]string
	open map[string]bool // may have arrived or not, for a node did not confirm it
}

// senders post to random nodes, one message after the other, until stop.
func (l *ledger) begin(senders, nodes int, seed uint64, post func(at int, topic string) (confirmed bool)) (
	stop func()) {
	l.sent, l.open = make([][]string, senders), make(map[string]bool)
	var done atomic.Bool
	var group sync.WaitGroup
	for sender := range senders {
		group.Go(func() {
			r := mathrand.New(mathrand.NewPCG(seed, uint64(sender)))
			for i := 0; !done.Load(); i++ {
				topic := fmt.Sprintf("%d %d", sender, i)
				confirmed := post(r.IntN(nodes), topic)
				l.mu.Lock()
				l.sent[sender] = append(l.sent[sender], topic)
				if !confirmed {
					l.open[topic] = true
				}
				l.mu.Unlock()
			}
		})
	}
	return func() {
		done.Store(true)
		group.Wait()
	}
}

// check compares what a session has got with what was sent to it.
func (l *ledger) check(t *testing.T, who string, got []string) {
	t.Helper()
	times := make(map[string]int)
	for _, topic := range got {
		times[topic]++
	}
	lost, doubled, disordered := 0, 0, 0
	for _, sent := range l.sent {
		for _, topic := range sent {
			switch {
			case times[topic] > 1:
				doubled++
			case times[topic] == 0 && !l.open[topic]:
				lost++
			}
		}
	}
	last := make([]int, len(l.sent))
	for i := range last {
		last[i] = -1
	}
	for _, topic := range got {
		var sender, number int
		if n, _ := fmt.Sscan(topic, &sender, &number); n != 2 || l.open[topic] {
			continue
		}
		if number < last[sender] {
			disordered++
		}
		last[sender] = number
	}
	if lost+doubled+disordered > 0 {
		t.Errorf("%s: %d lost, %d doubled, %d out of order", who, lost, doubled, disordered)
	}
}

// TestSessionsMoveAmongNodes: sessions come and go at random while all nodes send. None misses a message, gets one
// twice, or gets one sender's out of order.
func TestSessionsMoveAmongNodes(t *testing.T) {
	t.Parallel()
	moveAmongNodes(t, time.Second, func(*natstest.Server) {})
}

// TestSessionsMoveWhileNATSIsRestarted: what all nodes have confirmed is not lost either.
func TestSessionsMoveWhileNATSIsRestarted(t *testing.T) {
	t.Parallel()
	moveAmongNodes(t, 3*time.Second, func(nats *natstest.Server) {
		nats.Stop()
		nats.Start()
	})
}

// moveAmongNodes has disturb called again and again meanwhile.
func moveAmongNodes(t *testing.T, wait time.Duration, disturb func(*natstest.Server)) {
	nats := natstest.Start(t, natstest.JetStream(t))
	// One is cut off when it has not heard for as long as senders wait: longer than NATS takes here.
	nodes, a, tokens := moveNodes(t, nats, 3, func(c *config.Config) {
		c.ClusterWait = wait
		c.ResumeBytes = 16 << 20 // what is sent while a node is not settled is more than what is kept by default
	})
	t.Logf("seed %d", *movesSeed)
	const count = 20
	sessions := make([]*movingSession, count)
	for i := range sessions {
		sessions[i] = newMovingSession(t, a, fmt.Sprint(i))
		sessions[i].comes(nodes[i%len(nodes)])
	}
	eventually(t, "all are there", func() bool {
		sum := 0
		for _, d := range nodes {
			sum += d.stats().Sessions
		}
		return sum == count
	})
	var book ledger
	stopSending := book.begin(4, len(nodes), *movesSeed, func(at int, topic string) bool {
		return nodes[at].post(tokens[at], topic).Get("X-Unconfirmed-Nodes") == ""
	})
	moves := atomic.Int64{}
	until := time.Now().Add(*movesFor)
	var group sync.WaitGroup
	for i, s := range sessions {
		group.Go(func() {
			r := mathrand.New(mathrand.NewPCG(*movesSeed, uint64(100+i)))
			for time.Now().Before(until) {
				s.read(patience) // a client comes again only when the registration before was decided
				for n := r.IntN(20); n > 0 && s.read(time.Millisecond) != ""; n-- {
				}
				if r.IntN(2) == 0 {
					s.goes()
					s.comes(nodes[r.IntN(len(nodes))])
				} else { // the former one is there yet
					old := s.conn
					s.comes(nodes[r.IntN(len(nodes))])
					old.Close()
				}
				moves.Add(1)
			}
		})
	}
	for time.Now().Before(until) {
		before := moves.Load()
		disturb(nats)
		eventually(t, "sessions to move", func() bool { return moves.Load() >= before+count || time.Now().After(until) })
	}
	group.Wait()
	stopSending()
	eventually(t, "all to get the last message", func() bool {
		return nodes[0].post(tokens[0], "end").Get("X-Unconfirmed-Nodes") == ""
	})
	for i, s := range sessions {
		group.Go(func() {
			if !s.reads("end") {
				t.Errorf("session %d does not get the last message", i)
			}
			s.goes()
		})
	}
	group.Wait()
	sum := 0
	for i, s := range sessions {
		book.check(t, fmt.Sprintf("session %d", i), s.got)
		sum += len(s.got)
	}
	t.Logf("%d moves, %d deliveries, %d messages not confirmed by all", moves.Load(), sum, len(book.open))
}
