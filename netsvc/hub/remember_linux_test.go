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

// pipeService is a service whose network is the test's.
type pipeService struct {
	*service
	ln   *pipeListener
	open []*pipe
}

func startPipes(t *testing.T) *pipeService {
	key := clientKey(t, 1)
	h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Limits: lasting})
	h.SetApp(appID, []hub.Key{{Generation: 1, Secret: key}})
	s := &pipeService{service: &service{Hub: h, t: t, key: key}, ln: newPipeListener()}
	go h.Serve(s.ln)
	return s
}

// connect opens a connection of an add-in; written is called when something was written to it, before the call returns.
func (s *pipeService) connect(a *addin, written func()) *pipe {
	p := newPipe(1 << 20)
	p.credit, p.written, p.onFrame = 1<<20, written, func([]byte, int, int) {}
	s.t.Cleanup(func() { pipes.Delete(p.fd) })
	p.incoming = a.packet(wire.ModeOpen)
	s.open = append(s.open, p)
	s.ln.backlog <- p
	return p
}

// ends ends the connections, and the hub.
func (s *pipeService) ends() {
	for _, p := range s.open {
		p.set(func() { p.ended = true })
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
}

// TestWritingHasEndedBeforeANewConnectionGoesOn: a client may count a frame and come back while the call that wrote it
// has not returned. Nobody may go on before that is accounted for: the frame would be sent again.
func TestWritingHasEndedBeforeANewConnectionGoesOn(t *testing.T) {
	t.Parallel()
	s := startPipes(t)
	a := s.addin("ann")
	returns := make(chan struct{})
	old := s.connect(a, func() { <-returns })
	eventually(t, "it is registered", func() bool { return s.Stats().Registrations == 1 })
	s.send("1")
	whole := s.key.AppendFrame(nil, topic("1").AppendJSON(nil))
	eventually(t, "the frame is written", func() bool { return bytes.Equal(old.content(), whole) })
	a.received, a.from = 1, 1

	next := s.connect(a, nil)
	eventually(t, "the old connection is closed", old.over)
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); runtime.Gosched() {
	}
	if s.Stats().Resumed > 0 {
		t.Error("the session goes on while the old connection is being written")
	}
	close(returns)
	eventually(t, "the session goes on", func() bool { return s.Stats().Resumed == 1 })
	s.send("2")
	only := s.key.AppendFrame(nil, topic("2").AppendJSON(nil))
	eventually(t, "something is written", func() bool { return len(next.content()) >= len(only) })
	if got := next.content(); !bytes.Equal(got, only) {
		t.Errorf("%d bytes came, and not the frame of %d", len(got), len(only))
	}
	s.ends()
}

// TestAConnectionThatEndsWhileItIsWrittenIsWrittenNoMore: the call that writes returns when the session is detached,
// and whoever made it has nothing left to write just then. What comes next waits for another connection.
func TestAConnectionThatEndsWhileItIsWrittenIsWrittenNoMore(t *testing.T) {
	t.Parallel()
	s := startPipes(t)
	a := s.addin("ann")
	var old *pipe
	second, detached := false, make(chan struct{})
	old = s.connect(a, func() {
		if !second { // a flusher writes twice before it looks at others
			second = true
			s.Publish(appID, toAll("ib"), topic("2"))
			return
		}
		old.set(func() { old.ended = true })
		<-detached
	})
	eventually(t, "it is registered", func() bool { return s.Stats().Registrations == 1 })
	s.send("1")
	eventually(t, "it is detached", func() bool { return s.Stats().Detached == 1 })
	close(detached)
	eventually(t, "the writing has ended", func() bool { return s.Stats().Delivered == 2 })
	if reach := s.Send(appID, toAll("ib"), topic("3")); reach != (hub.Reach{Sessions: 1, Waiting: 1}) {
		t.Errorf("a message reached %+v", reach)
	}
	next := s.connect(a, nil)
	var all []byte
	for _, text := range []string{"1", "2", "3"} {
		all = s.key.AppendFrame(all, topic(text).AppendJSON(nil))
	}
	eventually(t, "something is written", func() bool { return len(next.content()) >= len(all) })
	if got := next.content(); !bytes.Equal(got, all) {
		t.Errorf("%d bytes came, and not the frames of %d", len(got), len(all))
	}
	s.ends()
}

// content is what is in the send buffer.
func (p *pipe) content() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.sent)
}
