package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// pausing is a listener whose accepting can be ended and begun again. Close only
// ends it.
type pausing struct {
	*net.TCPListener
	accepted atomic.Int32
}

func (p *pausing) Accept() (net.Conn, error) {
	conn, err := p.TCPListener.Accept()
	if err != nil {
		return nil, net.ErrClosed
	}
	p.accepted.Add(1)
	return conn, nil
}

func (p *pausing) Close() error { return p.SetDeadline(time.Unix(1, 0)) }

// pausable is a service whose HTTP interface can be finished and resumed.
type pausable struct {
	*service
	ln     *pausing
	served chan error
}

func startPausable(t *testing.T) *pausable {
	t.Helper()
	s := start(t, httpapi.Options{}, nil)
	ln := listen(t)
	t.Cleanup(func() { ln.Close() })
	p := &pausable{
		service: &service{
			t: t, apps: s.apps, hub: s.hub, log: s.log, clock: s.clock, sessions: s.sessions,
			address: ln.Addr().String(), url: "http://" + ln.Addr().String(),
			http: httpapi.New(httpapi.Options{Apps: s.apps, Publish: s.hub.Alone, Limits: complete(httpapi.Limits{})}),
		},
		ln: &pausing{TCPListener: ln.(*net.TCPListener)}, served: make(chan error, 1),
	}
	p.serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := p.http.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown() = %v", err)
		}
	})
	return p
}

func (p *pausable) serve() {
	p.ln.SetDeadline(time.Time{})
	go func() { p.served <- p.http.Serve(p.ln) }()
}

// pause returns when nobody is accepted any more, and those that were are known.
func (p *pausable) pause() {
	p.t.Helper()
	p.ln.SetDeadline(time.Unix(1, 0))
	if err := <-p.served; err != nil {
		p.t.Errorf("Serve() = %v", err)
	}
}

// connected returns a connection that was accepted and has not asked yet.
func (p *pausable) connected() *rawConn {
	p.t.Helper()
	before := p.ln.accepted.Load()
	c := p.raw()
	eventually(p.t, "it is accepted", func() bool { return p.ln.accepted.Load() > before })
	return c
}

func (c *rawConn) ask(token string) {
	c.writeHeader(sendHeader(token, length(toAll))...)
	c.write(toAll)
}

func TestFinishLetsThoseAskWhoHaveConnected(t *testing.T) {
	p := startPausable(t)
	token := p.token(p.newApp("one"))
	for range 3 {
		idle := p.connected()
		idle.ask(token)
		idle.read().wantSent(t, 0)
		silent, underWay := p.connected(), p.underWay(token)
		p.pause()
		waiting := p.raw() // who is accepted after Resume

		finished := make(chan error, 1)
		go func() { finished <- p.http.Finish(t.Context()) }()
		if rest, err := io.ReadAll(idle.in); err != nil || len(rest) > 0 {
			t.Errorf("the idle connection got %q, %v", rest, err)
		}
		silent.ask(token)
		silent.read().wantSent(t, 0)
		underWay.write(toAll[10:])
		underWay.read().wantSent(t, 0)
		if err := <-finished; err != nil {
			t.Errorf("Finish() = %v", err)
		}
		for _, c := range []*rawConn{silent, underWay} {
			if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
				t.Errorf("behind its answer a connection got %q, %v", rest, err)
			}
		}

		p.http.Resume()
		p.serve()
		for range 2 { // connections are kept again
			waiting.ask(token)
			waiting.read().wantSent(t, 0)
		}
	}
}

func TestLeavingEndsConnectionsWithAnAnswer(t *testing.T) {
	p := startPausable(t)
	token := p.token(p.newApp("one"))
	kept := p.raw()
	kept.ask(token)
	kept.read().wantSent(t, 0)

	p.http.Leaving(true)
	for _, c := range []*rawConn{kept, p.raw()} {
		c.ask(token)
		answer := c.read()
		answer.wantSent(t, 0)
		if !answer.last {
			t.Error("the last answer does not say so")
		}
		c.wantClosed()
	}

	p.http.Leaving(false)
	again := p.raw()
	for range 2 {
		again.ask(token)
		again.read().wantSent(t, 0)
	}
}

func TestFinishCutsOffWhatTakesTooLong(t *testing.T) {
	p := startPausable(t)
	token := p.token(p.newApp("one"))
	silent, underWay := p.connected(), p.underWay(token)
	p.pause()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.http.Finish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Finish() = %v, want the error of its context", err)
	}
	for _, c := range []*rawConn{silent, underWay} {
		if _, err := io.ReadAll(c.in); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("the connection was not closed")
		}
	}
	p.http.Resume()
	p.serve()
	c := p.raw()
	c.ask(token)
	c.read().wantSent(t, 0)
}

// TestShutdownAfterFinish ends a server that was finished, and one that was resumed.
func TestShutdownAfterFinish(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		p := startPausable(t)
		p.pause()
		if err := p.http.Finish(t.Context()); err != nil {
			t.Errorf("Finish() = %v", err)
		}
		if resumed {
			p.http.Resume()
			p.serve()
			if got := p.get("/auth"); got.status != http.StatusUnauthorized && got.status != http.StatusBadRequest {
				t.Errorf("/auth answered %d", got.status)
			}
		}
		if err := p.http.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown() = %v", err)
		}
		if resumed {
			if err := <-p.served; err != nil {
				t.Errorf("Serve() = %v", err)
			}
		}
	}
}
