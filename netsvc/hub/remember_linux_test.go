package hub_test

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestWritingHasEndedBeforeANewConnectionGoesOn: a client may count a frame and come back while the call that wrote it
// has not returned. Nobody may go on before that is accounted for: the frame would be sent again.
func TestWritingHasEndedBeforeANewConnectionGoesOn(t *testing.T) {
	t.Parallel()
	key := clientKey(t, 1)
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Limits: lasting})
	h.SetApp(appID, []hub.Key{{Generation: 1, Secret: key}})
	ln := newPipeListener()
	go h.Serve(ln)
	s := &service{Hub: h, t: t, key: key}
	a := s.addin("ann")
	connect := func(written func()) *pipe {
		p := newPipe(1 << 20)
		p.credit, p.written, p.onFrame = 1<<20, written, func([]byte, int, int) {}
		t.Cleanup(func() { pipes.Delete(p.fd) })
		p.incoming = a.packet(wire.ModeOpen)
		ln.backlog <- p
		return p
	}
	returns := make(chan struct{})
	old := connect(func() { <-returns })
	eventually(t, "it is registered", func() bool { return h.Stats().Registrations == 1 })
	s.send("1")
	whole := key.AppendFrame(nil, topic("1").AppendJSON(nil))
	eventually(t, "the frame is written", func() bool { return bytes.Equal(old.content(), whole) })
	a.received, a.from = 1, 1

	next := connect(nil)
	eventually(t, "the old connection is closed", old.over)
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); runtime.Gosched() {
	}
	if h.Stats().Resumed > 0 {
		t.Error("the session goes on while the old connection is being written")
	}
	close(returns)
	eventually(t, "the session goes on", func() bool { return h.Stats().Resumed == 1 })
	s.send("2")
	only := key.AppendFrame(nil, topic("2").AppendJSON(nil))
	eventually(t, "something is written", func() bool { return len(next.content()) >= len(only) })
	if got := next.content(); !bytes.Equal(got, only) {
		t.Errorf("%d bytes came, and not the frame of %d", len(got), len(only))
	}
	for _, p := range []*pipe{old, next} {
		p.set(func() { p.ended = true })
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// content is what is in the send buffer.
func (p *pipe) content() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.sent)
}
