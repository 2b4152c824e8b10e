package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// service is the far end of one session.
type service struct {
	t    *testing.T
	conn net.Conn
}

// listen returns an address and what accepts the next session there.
func listen(t *testing.T) (addr string, accept func() service) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String(), func() service {
		t.Helper()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return service{t, conn}
	}
}

// dial opens a session and returns both of its ends; the registration is not
// read yet.
func dial(t *testing.T, r wire.Registration, k *wire.ClientKey) (*wire.Client, service) {
	t.Helper()
	addr, accept := listen(t)
	c, err := wire.Dial(t.Context(), addr, r, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, accept()
}

func (s service) registration(k *wire.ClientKey) wire.Registration {
	s.t.Helper()
	var header [2]byte
	if _, err := io.ReadFull(s.conn, header[:]); err != nil {
		s.t.Fatal(err)
	}
	n, err := wire.PacketLen(header)
	if err != nil {
		s.t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(s.conn, body); err != nil {
		s.t.Fatal(err)
	}
	p, err := wire.ParseRegistration(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if !p.Verify(k) {
		s.t.Fatal("the registration is not verified")
	}
	return p.Registration
}

func (s service) send(k *wire.ClientKey, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if _, err := s.conn.Write(k.AppendFrame(nil, []byte(text))); err != nil {
			s.t.Error(err) // not Fatal: tests call this from goroutines too
			return
		}
	}
}

func wantMessages(t *testing.T, c *wire.Client, texts ...string) {
	t.Helper()
	for _, text := range texts {
		got, err := c.Receive()
		if err != nil || string(got) != text {
			t.Fatalf("received %.100q, %v, want %.100q", got, err, text)
		}
	}
}

func TestClientRegistersAndReceives(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	c, s := dial(t, plain, k)
	if got := s.registration(k); got != plain {
		t.Errorf("registered %+v", got)
	}
	if got := s.conn.RemoteAddr().String(); c.LocalAddr().String() != got {
		t.Errorf("LocalAddr %v, the service sees %v", c.LocalAddr(), got)
	}
	large := `{"topic":"` + strings.Repeat("Ж", 50_000) + `"}`
	go s.send(k, `{"topic":"1"}`, `{}`, large, `{"topic":"2"}`)
	wantMessages(t, c, `{"topic":"1"}`, `{}`, large, `{"topic":"2"}`)

	s.conn.Close()
	if _, err := c.Receive(); err != io.EOF {
		t.Errorf("after the service closed: %v, want io.EOF itself", err)
	}
}

func TestClientReportsAFrameUnderAnotherKey(t *testing.T) {
	t.Parallel()
	c, s := dial(t, plain, mustKey(t, keyText))
	s.send(mustKey(t, otherKeyText), `{"topic":"Hello"}`)
	if got, err := c.Receive(); !errors.Is(err, wire.ErrBadFrame) {
		t.Errorf("received %q, %v", got, err)
	}
}

func TestClientRegistersAgainUnderAnotherKey(t *testing.T) {
	t.Parallel()
	old, fresh := mustKey(t, keyText), mustKey(t, otherKeyText)
	c, s := dial(t, plain, old)
	s.registration(old)

	again := wire.Registration{AppID: "app", IbID: "ib", UserID: "someone else"}
	if err := c.Register(again, fresh); err != nil {
		t.Fatal(err)
	}
	if got := s.registration(fresh); got != again {
		t.Errorf("registered %+v, want %+v", got, again)
	}
	s.send(old, `{"topic":"queued before"}`, `{"topic":"queued before too"}`)
	s.send(fresh, `{"topic":"new"}`)
	wantMessages(t, c, `{"topic":"queued before"}`, `{"topic":"queued before too"}`, `{"topic":"new"}`)

	s.send(old, `{"topic":"too late"}`)
	if got, err := c.Receive(); !errors.Is(err, wire.ErrBadFrame) {
		t.Errorf("a frame under the old key after one under the new: %q, %v", got, err)
	}
}

func TestClientRefusesARegistrationNoPacketCanSay(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	c, s := dial(t, plain, k)
	bad := wire.Registration{AppID: "app"}
	if err := c.Register(bad, k); err == nil {
		t.Error("Register took it")
	}
	if _, err := wire.Dial(t.Context(), s.conn.LocalAddr().String(), bad, k); err == nil {
		t.Error("Dial took it")
	}
	s.registration(k)
	s.send(k, `{}`)
	wantMessages(t, c, `{}`) // the session goes on
}

func TestClientCloseEndsReceive(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	c, s := dial(t, plain, k)
	s.registration(k)
	received := make(chan error)
	go func() {
		_, err := c.Receive()
		received <- err
	}()
	var closing sync.WaitGroup
	for range 4 {
		closing.Go(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	closing.Wait()
	if err := <-received; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v", err)
	}
	if err := c.Register(plain, k); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Register: %v", err)
	}
}

func TestClientGivesUpAtTheDeadlineAndGoesOn(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	c, s := dial(t, plain, k)
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Receive: %v", err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	s.send(k, `{"topic":"later"}`)
	wantMessages(t, c, `{"topic":"later"}`)
}

func TestDialHeedsItsContextAndNoLonger(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	addr, accept := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := wire.Dial(ctx, addr, plain, k)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := accept()
	cancel()
	s.send(k, `{}`)
	wantMessages(t, c, `{}`)

	if _, err := wire.Dial(ctx, addr, plain, k); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestDialReportsThatNobodyListens(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	_, err = wire.Dial(t.Context(), ln.Addr().String(), plain, mustKey(t, keyText))
	if _, ok := errors.AsType[*net.OpError](err); !ok || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("got %v", err)
	}
}
