package hub

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// packetless is a hub whose sessions register without packets.
type packetless struct {
	*Hub
	t   *testing.T
	key *key
}

func newPacketless(t *testing.T) *packetless {
	h := New(Options{Logger: slog.New(slog.DiscardHandler), Limits: Limits{ResumeWindow: time.Hour, ResumeBytes: 1 << 20}})
	t.Cleanup(func() {
		if err := h.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	raw := make([]byte, 56) // protocol.md section 2
	raw[0], raw[4] = 32, 16
	secret, err := wire.ParseClientKey(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	h.SetApp("app", []Key{{1, secret}})
	return &packetless{h, t, h.app("app").inForce()[0]}
}

func (p *packetless) connection() (s *session, peer net.Conn) {
	here, peer := net.Pipe()
	p.t.Cleanup(func() { peer.Close() })
	s = &session{id: p.lastID.Add(1), conn: here, since: time.Now().UnixNano()}
	p.mu.Lock()
	p.sessions[s.id] = s
	p.mu.Unlock()
	return s, peer
}

func (p *packetless) enterOnce(s *session, user string) error {
	_, err := p.Hub.enterOnce(s, &registration{session: s, key: p.key, user: user}, infobaseKey{"app", "ib"})
	return err
}

func (p *packetless) enterRemembered(s *session, user string, turn uint64) error {
	said := &wire.Attributes{Session: "AAAAAAAAAAAAAAAAAAAAAA", Turn: turn}
	r := newRegistration(s, p.key, user, "", said)
	_, err := p.Hub.enterRemembered(s, r, infobaseKey{"app", "ib"}, said)
	return err
}

func (p *packetless) publish(user string) int {
	return p.Publish("app", wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: user}, &wire.Message{Topic: "text"})
}

// TestWhoIsClosedWhileHeGoesOnAsAnotherTakesNobodyWithHim has a connection closed between the
// reading of its packet and its judging.
func TestWhoIsClosedWhileHeGoesOnAsAnotherTakesNobodyWithHim(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	away, _ := p.connection()
	closed, _ := p.connection()
	other, _ := p.connection()
	err := errors.Join(p.enterRemembered(away, "ann", 1), p.enterOnce(closed, "bob"), p.enterOnce(other, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	p.closeSession(away, closedByPeer)
	p.closeSession(closed, closedByAdmin)
	if err := p.enterRemembered(closed, "ann", 2); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("a connection that was closed goes on as another session: %v", err)
	}
	if n := p.publish("bob"); n != 1 {
		t.Errorf("a message reaches %d sessions, not the one that is there", n)
	}
	if n := p.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions are counted", n)
	}
}

// TestWhatIsPublishedWhenASessionComesBackIsWrittenOnce: whoever publishes may have handed it
// to a flusher already.
func TestWhatIsPublishedWhenASessionComesBackIsWrittenOnce(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	s, _ := p.connection()
	if err := p.enterRemembered(s, "ann", 1); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					p.publish("ann")
				}
			}
		})
	}
	for turn := range uint64(500) {
		next, peer := p.connection()
		go func() {
			for b := make([]byte, 4096); ; {
				if _, err := peer.Read(b); err != nil {
					return
				}
			}
		}()
		if err := p.enterRemembered(next, "ann", turn+2); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	publishers.Wait()
	for end := time.Now().Add(2 * time.Minute); p.writing.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d sessions are being written for ever", p.writing.Load())
		}
	}
}

// TestAMessageForASessionThatComesBackMeanwhileReachesIt has a session come back between the
// moment when who publishes collects it and that when the message is put into its queue.
func TestAMessageForASessionThatComesBackMeanwhileReachesIt(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	first, _ := p.connection()
	second, peer := p.connection()
	if err := p.enterRemembered(first, "ann", 1); err != nil {
		t.Fatal(err)
	}
	collected := first.registered()
	if err := p.enterRemembered(second, "ann", 2); err != nil {
		t.Fatal(err)
	}
	f := p.frame()
	became, reached := p.offer(collected, f, new(publication), 1<<20)
	f.delivery.counted(1, f.memory(), p.budget)
	if became != wakeable || reached != second {
		t.Fatalf("the message is not in the queue of the connection that the session goes on on: %d", became)
	}
	p.flusherOf(second).push(second, alone)
	got := make([]byte, len(f.bytes))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, f.bytes) {
		t.Errorf("%d bytes arrive: %v", len(got), err)
	}
}

// TestWhoeverHasASessionWhenItIsLockedHasItStill: who publishes for one that goes on on another connection meanwhile waits
// for the lock of the connection before.
func TestWhoeverHasASessionWhenItIsLockedHasItStill(t *testing.T) {
	t.Parallel()
	first, second := new(session), new(session)
	own := new(holder)
	own.session.Store(first)
	var moving sync.WaitGroup
	done := make(chan struct{})
	moving.Go(func() {
		defer close(done)
		for n := range 2000 {
			first.mu.Lock()
			second.mu.Lock()
			runtime.Gosched() // somebody may look who has it, and wait
			own.session.Store([]*session{second, first}[n%2])
			second.mu.Unlock()
			first.mu.Unlock()
			runtime.Gosched()
		}
	})
	defer moving.Wait()
	for {
		s := own.lock()
		has := own.session.Load()
		s.mu.Unlock()
		if has != s {
			t.Fatal("one is locked that the session has left")
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// frame is what is published, under the key that was in force before all others.
func (p *packetless) frame() *frame {
	return &frame{key: p.key, delivery: begin(0), bytes: p.key.Secret.AppendFrame(nil, []byte(`{}`))}
}

// TestAMessageForASessionThatComesBackMeanwhileIsUnderItsKey, and what was made anew for nothing takes no memory.
func TestAMessageForASessionThatComesBackMeanwhileIsUnderItsKey(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	first, _ := p.connection()
	second, peer := p.connection()
	if err := p.enterRemembered(first, "ann", 1); err != nil {
		t.Fatal(err)
	}
	collected := first.registered()
	under := *p
	secret, err := wire.ParseClientKey(base64.StdEncoding.EncodeToString(append([]byte{32, 0, 0, 0, 16, 0, 0, 0, 1},
		make([]byte, 47)...)))
	if err != nil {
		t.Fatal(err)
	}
	p.SetApp("app", []Key{{2, secret}, {1, p.key.Secret}})
	under.key = p.app("app").inForce()[0]
	if err := under.enterRemembered(second, "ann", 2); err != nil {
		t.Fatal(err)
	}
	f := p.frame()
	if became, _ := p.offer(collected, f, new(publication), 1<<20); became != wakeable {
		t.Fatalf("the message is not queued: %d", became)
	}
	f.delivery.counted(1, f.memory(), p.budget)
	p.flusherOf(second).push(second, alone)
	peer.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if text, err := wire.ReadFrame(peer, secret, 1<<20); err != nil || string(text) != "{}" {
		t.Errorf("%q arrives: %v", text, err)
	}
	p.closeSession(second, closedByPeer)
	p.publish("ann")
	before := p.Stats().QueueMemory.Bytes
	f = p.frame()
	if became, _ := p.offer(collected, f, new(publication), 1); became != overfull {
		t.Errorf("the message is queued though it is too much: %d", became)
	}
	f.delivery.counted(0, f.memory(), p.budget)
	if after := p.Stats().QueueMemory.Bytes; after != before {
		t.Errorf("%d bytes were taken, and now %d", before, after)
	}
}

// TestAMessageForWhoIsSomebodyElseMeanwhileReachesNobody: the connection has registered as another user since it was
// collected, and is not remembered.
func TestAMessageForWhoIsSomebodyElseMeanwhileReachesNobody(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	s, _ := p.connection()
	if err := p.enterOnce(s, "ann"); err != nil {
		t.Fatal(err)
	}
	collected := s.registered()
	if err := p.enterOnce(s, "bob"); err != nil {
		t.Fatal(err)
	}
	f := p.frame()
	if became, reached := p.offer(collected, f, new(publication), 1<<20); became != notFor || reached != nil {
		t.Errorf("a message for ann reached bob: %d", became)
	}
	f.delivery.counted(0, f.memory(), p.budget)
}

// TestTheEndOfASessionIsToldOnce, though whoever hears that its connection broke takes it off the books, too, when it has
// been ended meanwhile.
func TestTheEndOfASessionIsToldOnce(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	var told atomic.Int32
	p.options.Observe = func(e Event) {
		if e.Kind == SessionClosed {
			told.Add(1)
		}
	}
	s, _ := p.connection()
	if err := p.enterRemembered(s, "ann", 1); err != nil {
		t.Fatal(err)
	}
	p.closeSession(s, closedByPeer)
	p.closeSession(s, closedByAdmin)
	p.forget(s)
	if err := p.Shutdown(t.Context()); err != nil { // which waits for the other one
		t.Fatal(err)
	}
	if n := told.Load(); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// TestNothingIsForgottenWhileItIsHandedOver: whoever looks what is to be forgotten may do so once more when the hub has
// frozen. The window stands still, and who comes later goes on with what is remembered.
func TestNothingIsForgottenWhileItIsHandedOver(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	s, _ := p.connection()
	if err := p.enterRemembered(s, "ann", 1); err != nil {
		t.Fatal(err)
	}
	p.closeSession(s, closedByPeer)
	p.HandOver()
	p.forgetOld(time.Now().Add(2 * p.limits.Load().ResumeWindow))
	p.TakeBack()
	if n := p.Stats().Detached; n != 1 {
		t.Errorf("%d are away", n)
	}
}

// TestHowOftenItIsLookedWhatIsToBeForgotten: a window ends an eighth of it late at most, or a second.
func TestHowOftenItIsLookedWhatIsToBeForgotten(t *testing.T) {
	t.Parallel()
	for window, want := range map[time.Duration]time.Duration{
		0:                     time.Second, // nobody is remembered, but memory may be taken
		time.Microsecond:      time.Millisecond,
		80 * time.Millisecond: 10 * time.Millisecond,
		2 * time.Minute:       time.Second,
	} {
		if got := (&Limits{ResumeWindow: window}).tidyEvery(); got != want {
			t.Errorf("with a window of %v it is looked each %v, not each %v", window, got, want)
		}
	}
}

// TestTheLastTurnsAreBounded: of each session one is known, and of as many as may be away; which of
// them ended last stays known longest.
func TestTheLastTurnsAreBounded(t *testing.T) {
	t.Parallel()
	all := newMemories()
	key := func(n int) memoryDigest { return memoryKey{user: "ann", session: strconv.Itoa(n)}.digest() }
	for n := range maxDetached + 2 {
		all.bury(key(n), 1, time.Now())
		all.bury(key(n), 2, time.Now())
		if n == 2 { // the second one has come back, and ends again
			all.bury(key(1), 3, time.Now())
		}
	}
	if len(all.ended) != maxDetached || all.ends.Len() != maxDetached {
		t.Errorf("%d are known, of %d", len(all.ended), all.ends.Len())
	}
	for n, want := range map[int]uint64{0: 0, 1: 3, 2: 0, 3: 2, maxDetached + 1: 2} {
		if turn := all.ended[key(n)].turn; turn != want {
			t.Errorf("the last turn of number %d is %d, want %d", n, turn, want)
		}
	}
}

// TestAsManyAreRememberedAsMayBe away; the one that has been away longest makes room for the next.
func TestAsManyAreRememberedAsMayBe(t *testing.T) {
	t.Parallel()
	p := newPacketless(t)
	leaves := func(n int) {
		s := &session{id: p.lastID.Add(1), conn: goneConn{remote: new(net.TCPAddr)}, since: time.Now().UnixNano()}
		p.mu.Lock()
		p.sessions[s.id] = s
		p.mu.Unlock()
		said := &wire.Attributes{Session: fmt.Sprintf("%022d", n), Turn: 1}
		r := newRegistration(s, p.key, strconv.Itoa(n), "", said)
		if _, err := p.Hub.enterRemembered(s, r, infobaseKey{"app", "ib"}, said); err != nil {
			t.Fatal(err)
		}
		p.closeSession(s, closedByPeer)
	}
	for n := range maxDetached {
		leaves(n)
	}
	if n := p.Stats().Detached; n != maxDetached {
		t.Fatalf("%d are remembered of %d", n, maxDetached)
	}
	leaves(maxDetached)
	if n := p.Stats().Detached; n != maxDetached {
		t.Errorf("%d are remembered of one more", n)
	}
	for n, want := range map[int]int{0: 0, 1: 1, maxDetached - 1: 1, maxDetached: 1} {
		if got := p.publish(strconv.Itoa(n)); got != want {
			t.Errorf("a message for number %d reached %d", n, got)
		}
	}
}
