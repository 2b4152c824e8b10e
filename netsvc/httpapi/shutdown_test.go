package httpapi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// Not parallel: they count the goroutines of the process.

func TestLeavesNoGoroutineBehind(t *testing.T) {
	c, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	for name, options := range map[string]httpapi.Options{"HTTP": {}, "HTTPS": {Certificate: c}} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			// With silent connections Shutdown would never end, if it waited for them.
			s := start(t, options, within(time.Hour, time.Hour, time.Hour))
			a := s.newApp("one")
			s.connect(a, "ib", "ann", "").Close()
			keeping := tlsClient()
			keeping.Transport.(*http.Transport).DisableKeepAlives = false
			for range 20 {
				s.do(keeping, http.MethodPost, "/sendmessage", bearer(s.token(a)), strings.NewReader(toAll))
				s.do(tlsClient(), http.MethodPost, "/sendmessage", bearer("nonsense"), strings.NewReader(toAll))
			}
			s.raw() // silent
			s.raw().write("POST /sendm")
			s.stop()
			keeping.CloseIdleConnections()
			eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}

func TestShutdownLetsARequestFinish(t *testing.T) {
	s := start(t, httpapi.Options{}, nil)
	token := s.token(s.newApp("one"))
	c := s.underWay(token)
	done := make(chan error)
	go func() { done <- s.http.Shutdown(context.Background()) }()
	s.wantNobodyAccepted()
	c.write(toAll[10:])
	c.read().wantSent(t, 0)
	if err := <-done; err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}

func TestShutdownCutsOffWhatTakesTooLong(t *testing.T) {
	s := start(t, httpapi.Options{}, nil)
	c := s.underWay(s.token(s.newApp("one")))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.http.Shutdown(ctx) }()
	s.wantNobodyAccepted()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown() = %v, want the error of its context", err)
	}
	if _, err := io.ReadAll(c.in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection was not closed")
	}
	s.http.Shutdown(context.Background())
}

func TestServeReturnsNilWhenItsListenerIsClosed(t *testing.T) {
	server := httpapi.New(httpapi.Options{})
	ln := listen(t)
	served := runAll(func() error { return server.Serve(ln) })
	ln.Close()
	if err := <-served; err != nil {
		t.Errorf("Serve() = %v", err)
	}
	if err := server.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
	late := listen(t)
	if err := server.Serve(late); err != nil {
		t.Errorf("Serve() after Shutdown = %v", err)
	}
	if _, err := late.Accept(); err == nil {
		t.Error("Serve() after Shutdown left the listener open")
	}
}

// underWay returns a connection with a request half of whose body has arrived.
func (s *service) underWay(token string) *rawConn {
	s.t.Helper()
	c := s.raw()
	c.writeHeader(sendHeader(token, length(toAll), "Expect: 100-continue")...)
	if line, err := c.in.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		s.t.Fatalf("got %q, %v; want 100 Continue", line, err)
	}
	c.in.ReadString('\n')
	c.write(toAll[:10])
	return c
}

func (s *service) wantNobodyAccepted() {
	s.t.Helper()
	eventually(s.t, "the listener to be closed", func() bool {
		response, err := client().Get(s.url + "/auth")
		if err == nil {
			response.Body.Close()
		}
		return err != nil
	})
}
