package hub

import (
	"bytes"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestASessionThatHasJustTakenTheNewKeyStays has a session register again under a key that
// is in force while whoever closes those of its former key is on the way to it.
func TestASessionThatHasJustTakenTheNewKeyStays(t *testing.T) {
	t.Parallel()
	h := New(Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Shutdown(t.Context())
	here, there := net.Pipe()
	defer there.Close()
	tenant := &tenant{id: "app", budget: new(budget)}
	old, next := &key{Key: Key{1, new(wire.ClientKey)}, tenant: tenant},
		&key{Key: Key{2, new(wire.ClientKey)}, tenant: tenant}
	s := &session{id: 1, conn: here}
	h.sessions[s.id] = s
	ib := infobaseKey{"app", "ib"}
	if !h.register(&registration{session: s, key: old, user: "u"}, ib) {
		t.Fatal("it is closed")
	}
	old.revoked.Store(true)

	h.changing.Lock() // as a hand-over does for a moment
	closed := make(chan int)
	go func() { closed <- h.closeRevoked() }()
	for deadline := time.Now().Add(2 * time.Minute); !waitsForALock("closeRevoked"); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("nobody is on the way")
		}
	}
	if !h.register(&registration{session: s, key: next, user: "u"}, ib) {
		t.Fatal("it is closed")
	}
	h.changing.Unlock()
	if n := <-closed; n != 0 || s.closeReason() != "" {
		t.Errorf("closed %d, the session as %q", n, s.closeReason())
	}
	next.revoked.Store(true)
	if n := h.closeRevoked(); n != 1 || s.closeReason() != closedKeyRevoked {
		t.Errorf("its new key ended: closed %d, the session as %q", n, s.closeReason())
	}
}

// TestAWriterDoesNotWaitForAHandOverThatWaitsForIt has a connection become another session, and
// wait for its writer, while a hand-over begins and the writer cannot write.
func TestAWriterDoesNotWaitForAHandOverThatWaitsForIt(t *testing.T) {
	t.Parallel()
	h := New(Options{Logger: slog.New(slog.DiscardHandler)})
	defer h.Shutdown(t.Context())
	here, there := net.Pipe()
	defer there.Close()
	s := &session{id: 1, conn: here}
	h.changing.RLock() // as whoever registers does
	frozen := make(chan struct{})
	go func() {
		h.changing.Lock() // as a hand-over does
		close(frozen)
		h.changing.Unlock()
	}()
	for h.changing.TryRLock() {
		h.changing.RUnlock()
		runtime.Gosched()
	}
	s.out.state, s.out.leaving = outDetached, true
	h.closeUnwritable(s, closedWriteFailed)
	h.changing.RUnlock()
	<-frozen
	if why := s.closeReason(); why != "" {
		t.Errorf("the session is closed as %q", why)
	}
}

// waitsForALock reports whether a goroutine that is in the function waits for a lock.
func waitsForALock(function string) bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte(function)) && bytes.Contains(stack, []byte("sync.(*RWMutex).RLock")) {
			return true
		}
	}
	return false
}
