package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

// Not parallel: it counts the goroutines of the process.
func TestLeavesNoGoroutineBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	d := start(t, nil)
	a := d.newApp("one")
	c := d.connect(a, "ib", "ann", "")
	if _, err := d.Sessions(t.Context(), control.SessionQuery{}); err != nil {
		t.Fatal(err)
	}
	silent, err := socket.Dial(t.Context(), d.path) // it never asks anything
	if err != nil {
		t.Fatal(err)
	}
	silent.Close()
	c.Close()
	d.stop()
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
	if _, err := os.Lstat(d.path); err == nil && runtime.GOOS != "windows" {
		t.Error("the socket is still there")
	}
}

func TestShutdownLetsARequestFinish(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	d := start(t, func() server.Info {
		close(asked)
		<-answer
		return server.Info{Control: "slow"}
	})
	got := make(chan error, 1)
	go func() {
		s, err := d.Status(context.Background())
		if err == nil && s.Control != "slow" {
			err = errors.New("another answer")
		}
		got <- err
	}()
	<-asked
	stopped := make(chan struct{})
	go func() {
		d.stop()
		close(stopped)
	}()
	eventually(t, "nobody listens any more", func() bool {
		conn, err := socket.Dial(context.Background(), d.path)
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	close(answer)
	if err := <-got; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	<-stopped
}

func TestShutdownCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	server := server.New(server.Options{Apps: d.apps, Hub: d.hub, Publish: d.hub.Alone, Stats: d.stats, Logger: discard(),
		HandingOver: d.hub.Frozen, Info: func() server.Info { return server.Info{} }})
	path := sockettest.Path(t)
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	conn, err := socket.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A body that is announced and never comes.
	io.WriteString(conn, "POST /v1/apps HTTP/1.1\r\nHost: pns\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n")
	conn.SetReadDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown: %v, want %v", err, context.DeadlineExceeded)
	}
	if err := <-served; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := io.Copy(io.Discard, in); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still there")
	}
}
