//go:build unix

package hub_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestDropsNobodyWhoseSocketTakesMore sends far more than a queue may hold, and so
// much at once that no flusher can have come to it meanwhile.
func TestDropsNobodyWhoseSocketTakesMore(t *testing.T) {
	t.Parallel()
	for _, recipients := range []int{1, 50} {
		s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: 1000}})
		var clients []*wire.Client
		for i := range recipients {
			clients = append(clients, s.connect("ib", fmt.Sprint(i), ""))
		}
		// What the sockets' buffers take, without anybody reading.
		const senders, each = 4, 12
		var sending sync.WaitGroup
		for range senders {
			sending.Go(func() {
				for range each {
					if n := s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 300))); n != recipients {
						t.Errorf("queued for %d sessions, want %d", n, recipients)
					}
				}
			})
		}
		sending.Wait()
		for _, c := range clients {
			for range senders * each {
				receive(t, c)
			}
		}
		if got := s.Stats(); got.DroppedAsSlow != 0 || got.Sessions != recipients {
			t.Fatalf("%d dropped as slow, %d sessions left, want 0 and %d", got.DroppedAsSlow, got.Sessions, recipients)
		}
	}
}

// TestForgivesASessionThatReadsAgain: it stalls until its socket is full, then reads
// again, and is held to nothing that was.
func TestForgivesASessionThatReadsAgain(t *testing.T) {
	t.Parallel()
	const queueBytes = 1 << 20
	s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: queueBytes}})
	conn := s.dial()
	conn.Write(packet(32, fields(appID, "ib", "u", "")))
	eventually(t, "it is registered", func() bool { return s.Stats().Sessions == 1 })
	waiting := func() int {
		page, err := s.Sessions(hub.Query{})
		if err != nil || len(page.Sessions) != 1 {
			t.Fatalf("the session is gone: %+v, %v", page, err)
		}
		return page.Sessions[0].Queued
	}
	small := topic(strings.Repeat("x", 100))
	for waiting() < queueBytes/2 { // until the socket is full, and more
		s.Publish(appID, toAll("ib"), small)
	}
	stalled := waiting()
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(io.Discard, conn) })
	defer reading.Wait()
	defer conn.Close()
	// At once, for soon all of it is.
	for end := time.Now().Add(patience); waiting() >= stalled; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nothing of it is written, though the session reads")
		}
	}

	// More than the queue holds.
	for sent := 0; sent < 2*queueBytes; sent += 100 {
		if sent%1000 == 0 { // the reader may not have had its turn
			eventually(t, "there is room", func() bool { return waiting() < queueBytes/2 })
		}
		if n := s.Publish(appID, toAll("ib"), small); n != 1 {
			t.Fatalf("dropped after %d bytes", sent)
		}
	}
	eventually(t, "all is written", func() bool { return waiting() == 0 })
}

// TestPublishesNothingWhileItIsHandedOver: whoever publishes meanwhile has either had
// his message queued, and it is handed over, or is told that nobody got it.
func TestPublishesNothingWhileItIsHandedOver(t *testing.T) {
	t.Parallel()
	for range 10 {
		s, served := open(t, hub.Options{Limits: hub.Limits{QueueBytes: 900}})
		c := s.connect("ib", "u", "")
		var sending sync.WaitGroup
		begun := make(chan struct{})
		reached := make([]int, 4)
		for i := range reached {
			sending.Go(func() {
				for n := range 1000 {
					if i == 0 && n == 20 {
						close(begun)
					}
					if s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 200))) == 0 {
						return
					}
					reached[i]++
				}
			})
		}
		var received sync.WaitGroup
		got := 0
		received.Go(func() {
			for {
				if _, err := c.Receive(); err != nil {
					return
				}
				got++
			}
		})
		<-begun
		state := handOver(t, s, served)
		s.Shutdown(t.Context()) // who waits to publish reaches nobody
		sending.Wait()
		second, became := successor(t, state, hub.Key{Generation: 1, Secret: s.key})
		if became.Sessions != 1 {
			t.Fatalf("%+v", became)
		}
		want := 0
		for _, n := range reached {
			want += n
		}
		if err := second.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if received.Wait(); got != want {
			t.Fatalf("got %d messages, %d were sent", got, want)
		}
	}
}
