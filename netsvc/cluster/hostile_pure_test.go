package cluster

import (
	"encoding/binary"
	"hash/maphash"
	"log/slog"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// After a pause of two minutes heartbeats and messages are read as they were sent.
func TestWhatWaitedIsLateHoweverManyHeartbeatsWaitedWithIt(t *testing.T) {
	t.Parallel()
	const pause = 2 * agesKept
	var a ages
	for i := range 100 {
		a.heard(time.Duration(i)*time.Second, time.Duration(i)*time.Second)
	}
	woken := (100 + pause) * time.Second
	for i := range pause - 2 {
		sent := time.Duration(100+i) * time.Second
		now := woken + time.Duration(i)*time.Millisecond
		a.heard(now, sent)
		if got := a.of(now, sent); got < time.Second {
			t.Fatalf("after %d heartbeats a message of %v is %v old", i+1, now-sent, got)
		}
	}
	// Those that come in time afterwards are in time.
	for i := range 3 * agesKept {
		at := woken + time.Duration(i)*time.Second
		a.heard(at, at)
		if got := a.of(at, at); got != 0 {
			t.Fatalf("a message in time is %v old", got)
		}
	}
}

// startUnconnected starts a node that does nothing by itself.
func startUnconnected(t *testing.T) *Node {
	t.Helper()
	n, err := start(Options{NATS: NATS{Servers: []string{"nats://127.0.0.1:1"}}, Cluster: "main", Name: "web1",
		Keys: sealtest.Keys(t), Logger: slog.New(slog.DiscardHandler),
		Deliver: func(moving.Origin, string, wire.Recipient, []byte, func(Reach)) (Reach, bool) { return Reach{}, false },
	}, timing{beat: time.Hour, lost: time.Hour, ask: time.Hour, forget: time.Hour, absent: time.Hour,
		jump: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

// The clock on the wall is kept right, that of the node is not: a second a day is no jump.
func TestTheClocksMayDrift(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	drift := func(by time.Duration) (anew bool) {
		before := n.life.Load()
		before.ahead.Add(int64(-by))
		n.look()
		return n.life.Load() != before
	}
	for day := range 30 {
		if drift(time.Second) {
			t.Fatalf("on day %d it begins anew", day)
		}
	}
	if !drift(n.timing.jump+time.Second) || !drift(-n.timing.jump-time.Second) {
		t.Error("after a jump it does not begin anew")
	}
}

// A node that is started again and again leaves epochs behind, faster than they are forgotten.
func TestManyLivesLeaveRoomForTheNext(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	n.mu.Lock()
	defer n.mu.Unlock()
	own := n.life.Load().epoch
	for i := range 3 * maxPeers {
		head := seal.Head{Number: 1}
		binary.BigEndian.PutUint64(head.Epoch[:], uint64(i+1))
		h := heartbeat{least: 1, most: 1, id: NodeID{1}, name: "web2"}
		n.hear(head, &h)
		p := n.peers[head.Epoch]
		if p == nil {
			t.Fatalf("life %d is not heard", i+1)
		}
		head.Number, h.heard = 2, []heardOf{{own, 1, p.challenge, true}}
		n.hear(head, &h)
		if !p.live() {
			t.Fatalf("life %d is %s: %s", i+1, p.stateNow(), p.problem)
		}
		n.lose(p, "a test")
	}
	if len(n.peers) > maxPeers {
		t.Errorf("%d epochs are kept", len(n.peers))
	}
}

func TestFewNumbersAreTakenOnce(t *testing.T) {
	t.Parallel()
	var f few
	for _, test := range []struct {
		number uint64
		want   bool
	}{{0, false}, {1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {66, true}, {2, false}, {3, false},
		{4, true}, {4, false}, {1 << 40, true}, {66, false}, {1<<40 - 63, true}, {1<<40 - 64, false}} {
		if got := f.take(test.number); got != test.want {
			t.Errorf("%d is taken: %t", test.number, got)
		}
	}
}

// A peer is silent if it had the time that a message waits, not if the message had waited for
// its place.
func TestOnlyWhoHadTheTimeIsSilent(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	for _, c := range []struct {
		had  time.Duration
		want PeerState
	}{{time.Second, PeerLive}, {time.Minute, PeerSilent}} {
		p := &peer{admitted: true, admits: true}
		f := &flight{queued: n.now() - c.had, begun: -time.Minute, awaited: []await{{peer: p}}}
		var d Delivery
		n.land(f, &d)
		if got := p.stateNow(); got != c.want {
			t.Errorf("after %v it is %s, want %s", c.had, got, c.want)
		}
	}
}

// A frame of a stream is taken once, by whom it is for, and soon.
func TestAFrameIsTakenOnceByWhomItIsFor(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	const challenge, turn = 77, 1
	n.life.Load().turn = turn
	epoch := n.life.Load().epoch
	fresh := frameHead{epoch: epoch, turn: turn, challenge: challenge, sent: time.Second}
	for _, c := range []struct {
		name   string
		change func(h *frameHead, head *seal.Head)
		want   dropReason
		taken  bool
	}{
		{"the next one", func(*frameHead, *seal.Head) {}, 0, true},
		{"after a gap", func(_ *frameHead, head *seal.Head) { head.Number += 50 }, 0, true},
		{"of the sender's next turn", func(_ *frameHead, head *seal.Head) { head.Turn, head.Number = 1, 1 }, 0, true},
		{"played again", func(_ *frameHead, head *seal.Head) { head.Number = 10 }, droppedSeen, false},
		{"held back", func(_ *frameHead, head *seal.Head) { head.Number = 9 }, droppedSeen, false},
		{"for another node", func(h *frameHead, _ *seal.Head) { h.epoch[0]++ }, droppedForged, false},
		{"for another turn", func(h *frameHead, _ *seal.Head) { h.turn++ }, droppedForged, false},
		{"for the process before", func(h *frameHead, _ *seal.Head) { h.turn-- }, droppedLate, false},
		{"from before this node forgot", func(h *frameHead, _ *seal.Head) { h.challenge++ }, droppedForged, false},
		{"too late", func(h *frameHead, _ *seal.Head) { h.sent -= maxFrameAge + time.Second }, droppedLate, false},
	} {
		p := &peer{challenge: challenge, lastFrame: place{0, 10}}
		p.ages.heard(n.now(), fresh.sent)
		h := fresh
		head := seal.Head{Number: 11}
		c.change(&h, &head)
		reason, taken := n.admitFrame(p, head, &h)
		if taken != c.taken || !taken && reason != c.want {
			t.Errorf("%s: taken %t, dropped as %s", c.name, taken, dropWords[reason])
		}
		if _, again := n.admitFrame(p, head, &h); again {
			t.Errorf("%s: taken again", c.name)
		}
	}
}

func TestAFrameIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := frameHead{epoch: seal.Epoch{1, 2, 3}, turn: 4, challenge: 5, sent: 6}
	body := append(want.append(nil), "frame"...)
	got, frame, err := parseFrame(body)
	if err != nil || got != want || string(frame) != "frame" {
		t.Errorf("%+v, %q, %v", got, frame, err)
	}
	for cut := range frameHeadBytes {
		if _, _, err := parseFrame(body[:cut]); err == nil {
			t.Errorf("%d bytes are a frame", cut)
		}
	}
}

// Of several parts only what is lost is sent again, and not what is on its way still.
func TestOnlyLostPartsAreSentAgain(t *testing.T) {
	t.Parallel()
	n := startUnconnected(t)
	n.mu.Lock()
	defer n.mu.Unlock()
	now, long := n.now(), 2*patienceAsks*n.timing.ask
	p := &peer{}
	f := &flight{parts: make([]part, 3), next: 3, awaited: []await{{peer: p, has: make([]bool, 3)}}}
	for i := range f.parts {
		f.parts[i] = part{number: uint64(i + 1), envelope: []byte{1}, sent: now}
	}
	again := func(what string, index int, want uint64) {
		t.Helper()
		before := n.counts.again.Load()
		n.sendAgain(p, partOf{f, index})
		if got := n.counts.again.Load() - before; got != want {
			t.Errorf("%s is sent again %d times, want %d", what, got, want)
		}
	}
	again("a part that was just sent", 0, 0)
	n.arrived(partOf{f, 1}, p)
	again("one before another that has come", 0, 1)
	again("one that was just sent again", 0, 0)
	again("one behind what has come", 2, 0)
	f.parts[2].sent, f.awaited[0].progress = now-long, now-long
	again("one that nothing was heard of for long", 2, 1)
}

// What was sent while a node handed over may be as old as peers wait for it, and nothing else.
func TestOnlyWhatWasSentWhileANodeMovedMayBeOlder(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	for name, test := range map[string]struct {
		back time.Duration // since when the node is back; 0: it never handed over
		wait time.Duration
		age  time.Duration
		want time.Duration
	}{
		"it never handed over":                   {0, wait, time.Minute, wait},
		"sent before it was back":                {time.Minute, wait, 2 * time.Minute, handOverWait},
		"sent just before it was back":           {time.Hour, wait, time.Hour + time.Minute, handOverWait},
		"sent when it was back":                  {time.Hour, wait, time.Minute, wait},
		"a peer that waits longer than for that": {time.Minute, 2 * handOverWait, 2 * time.Minute, 2 * handOverWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := &Node{timing: normal, started: time.Now().Add(-24 * time.Hour)}
			if test.back > 0 {
				n.resumed.Store(int64(n.now() - test.back))
			}
			if got := n.allowed(test.wait, test.age); got != test.want {
				t.Errorf("a message of %v may be %v old, want %v", test.age, got, test.want)
			}
		})
	}
}

// What a node has no room for it refuses, which is counted each time and logged once.
func TestANodeWithoutRoomRefuses(t *testing.T) {
	tests := []struct {
		name       string
		room, size int // messages that a lane has room for, and the bytes of one
		taken      uint64
	}{
		{"by number", 100, 1, 100},
		{"by size", 100, 1 << 20, maxHeld >> 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := &Node{started: time.Now(), seed: maphash.MakeSeed(), notes: make(chan note, 10)}
			n.lanes = []chan job{make(chan job, test.room)}
			n.life.Store(new(life))
			n.away.Store(true) // nothing is said
			p := new(peer)
			arrive := func(number uint64) outcome {
				p.window.take(0, number)
				n.queue(job{peer: p, number: number, first: number, size: test.size}, false)
				return p.window.verdict(number).outcome
			}
			for number := range test.taken {
				if got := arrive(number + 1); got != underWay {
					t.Fatalf("number %d: %d", number+1, got)
				}
			}
			for number := test.taken + 1; number <= test.taken+2; number++ {
				if got := arrive(number); got != overloaded || !p.window.isSettled(number) {
					t.Errorf("one above the bound: %d, settled: %t", got, p.window.isSettled(number))
				}
			}
			if got := n.counts.dropped[droppedOverloaded].Load(); got != 2 || len(n.notes) != 1 {
				t.Errorf("of two that were refused %d are counted, %d logged", got, len(n.notes))
			}
			first := <-n.lanes[0]
			n.release(&first)
			if got := arrive(test.taken + 3); got != underWay || n.hold.Load() != int64(test.taken)*int64(test.size) {
				t.Errorf("with room again: %d, %d bytes wait", got, n.hold.Load())
			}
		})
	}
}
