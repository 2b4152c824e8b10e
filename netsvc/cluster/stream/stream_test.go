package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/stream"
)

var web1, web2 = stream.Peer(1), stream.Peer(2)

// way brings frames from one node to the other, in their order.
type way struct {
	mu     sync.Mutex
	some   sync.Cond
	queue  [][]byte
	sent   int
	ended  bool
	loses  func(number int, frame []byte) bool // nil: none
	refuse bool                                // Send fails
}

func (w *way) send(frame []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refuse {
		return false
	}
	w.sent++
	if w.loses != nil && w.loses(w.sent, frame) {
		return true
	}
	w.queue = append(w.queue, frame)
	w.some.Signal()
	return true
}

func (w *way) run(receive func(frame []byte)) {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.ended {
			w.some.Wait()
		}
		if w.ended {
			w.mu.Unlock()
			return
		}
		frame := w.queue[0]
		w.queue = w.queue[1:]
		w.mu.Unlock()
		receive(frame)
	}
}

func (w *way) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.some.Signal()
}

// change sets something of the way while frames are under way.
func (w *way) change(set func(w *way)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	set(w)
}

// nodes are two that are connected.
type nodes struct {
	t        testing.TB
	a, b     *stream.Streams
	aToB     way
	bToA     way
	carriers sync.WaitGroup
}

func connect(t testing.TB) *nodes {
	n := &nodes{t: t}
	n.aToB.some.L, n.bToA.some.L = &n.aToB.mu, &n.bToA.mu
	most := func() int { return 1 << 20 }
	n.a = stream.New(func(_ seal.Epoch, frame []byte) bool { return n.aToB.send(frame) }, most)
	n.b = stream.New(func(_ seal.Epoch, frame []byte) bool { return n.bToA.send(frame) }, most)
	n.carriers.Go(func() { n.aToB.run(func(frame []byte) { n.b.Receive(web1, frame) }) })
	n.carriers.Go(func() { n.bToA.run(func(frame []byte) { n.a.Receive(web2, frame) }) })
	return n
}

func (n *nodes) close() {
	n.a.Close()
	n.b.Close()
	n.aToB.end()
	n.bToA.end()
	n.carriers.Wait()
}

// open returns both sides of a new stream.
func (n *nodes) open(about string) (opened, accepted net.Conn) {
	n.t.Helper()
	one, err := n.a.Open(web2, []byte(about))
	if err != nil {
		n.t.Fatal(err)
	}
	other, err := n.b.Accept(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return one, other
}

// bubble runs a test of two nodes in a time of its own, which passes when nobody does
// anything. Whatever still runs in the end fails it.
func bubble(t *testing.T, test func(t *testing.T, n *nodes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := connect(t)
		defer n.close()
		test(t, n)
	})
}

func text(length int) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte(i * 7919 >> 8)
	}
	return b
}

func TestWhatIsWrittenArrivesInOrderBothWays(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, stream.FrameBytes, stream.Window, stream.Window + 1, 3<<20 + 7} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, n *nodes) {
				opened, accepted := n.open("who asks")
				if c := accepted.(*stream.Conn); string(c.About()) != "who asks" || c.Peer() != web1 {
					t.Errorf("opened by %v: %q", c.Peer(), c.About())
				}
				sent := text(length)
				var group sync.WaitGroup
				for _, c := range []net.Conn{opened, accepted} {
					group.Go(func() {
						if n, err := c.Write(sent); n != length || err != nil {
							t.Errorf("wrote %d: %v", n, err)
						}
					})
					group.Go(func() {
						got := make([]byte, length)
						if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, sent) {
							t.Errorf("it arrived changed: %v", err)
						}
					})
				}
				group.Wait()
				opened.Close()
				if rest, err := io.ReadAll(accepted); len(rest) > 0 || err != nil {
					t.Errorf("at the end: %q, %v", rest, err)
				}
				if _, err := accepted.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("after the end: %v", err)
				}
				if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("after Close: %v", err)
				}
				accepted.Close()
				for name, s := range map[string]*stream.Streams{"the one": n.a, "the other": n.b} {
					if _, streams := s.Kept(); streams != 0 {
						t.Errorf("%s keeps %d streams", name, streams)
					}
				}
			})
		})
	}
}

func TestAWriterWaitsForTheReader(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, accepted := n.open("")
		opened.SetWriteDeadline(time.Now().Add(time.Minute))
		written, err := opened.Write(text(1 << 20))
		if written != stream.Window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d bytes that nobody reads: %v, want %d", written, err, stream.Window)
		}
		if kept, _ := n.b.Kept(); kept != stream.Window {
			t.Errorf("%d bytes are kept", kept)
		}
		opened.SetWriteDeadline(time.Time{})
		go opened.Write([]byte("more"))
		got := make([]byte, stream.Window+4)
		if _, err := io.ReadFull(accepted, got); err != nil || string(got[stream.Window:]) != "more" {
			t.Errorf("after reading: %v", err)
		}
	})
}

func TestCallsEndAtTheirDeadline(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(c net.Conn){
		"past":   func(c net.Conn) { c.SetDeadline(time.Unix(1, 0)) },
		"future": func(c net.Conn) { c.SetDeadline(time.Now().Add(time.Hour)) },
		"while it waits": func(c net.Conn) {
			go func() {
				time.Sleep(time.Minute)
				c.SetDeadline(time.Now())
			}()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, n *nodes) {
				opened, _ := n.open("")
				set(opened)
				_, err := opened.Read(make([]byte, 1))
				if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
					t.Errorf("reading: %v", err)
				}
				opened.SetDeadline(time.Now())
				if _, err := opened.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("writing: %v", err)
				}
				opened.SetDeadline(time.Time{})
				if _, err := opened.Write([]byte("x")); err != nil {
					t.Errorf("writing without a deadline: %v", err)
				}
			})
		})
	}
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, _ := n.open("")
		for _, call := range []func([]byte) (int, error){opened.Read, opened.Write} {
			go func() {
				if _, err := call(make([]byte, 1<<20)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("ended with %v", err)
				}
			}()
		}
		synctest.Wait()
		opened.Close()
	})
}

// A stream on which nothing happens stays, however long.
func TestAStreamStaysWhileBothAreThere(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, accepted := n.open("")
		time.Sleep(24 * time.Hour)
		go accepted.Write([]byte("still there"))
		got := make([]byte, 11)
		if _, err := io.ReadFull(opened, got); err != nil || string(got) != "still there" {
			t.Errorf("after a day: %q, %v", got, err)
		}
	})
}

func TestAStreamIsGivenUpWhenTheOtherSideIsSilent(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(n *nodes) (deaf net.Conn, other net.Conn){
		"the one that opened it": func(n *nodes) (net.Conn, net.Conn) {
			opened, accepted := n.open("")
			n.aToB.change(func(w *way) { w.loses = all })
			return accepted, opened
		},
		"the one that accepted it": func(n *nodes) (net.Conn, net.Conn) {
			opened, accepted := n.open("")
			n.bToA.change(func(w *way) { w.loses = all })
			return opened, accepted
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, n *nodes) {
				deaf, _ := cut(n)
				begun := time.Now()
				_, err := deaf.Read(make([]byte, 1))
				if !errors.Is(err, stream.ErrSilent) {
					t.Errorf("gave up with %v", err)
				}
				if after := time.Since(begun); after < stream.Silence-stream.RenewEvery || after > stream.Silence+time.Second {
					t.Errorf("gave up after %v", after)
				}
			})
		})
	}
}

func all(int, []byte) bool { return true }

// Whatever is lost: what is read is what was written, from the beginning, and the end is told
// only where it is. Nobody waits for ever.
func TestNothingIsReadWrongWhateverIsLost(t *testing.T) {
	t.Parallel()
	whole := text(5*stream.Window + 11)
	for lost := 1; lost <= 14; lost++ {
		for _, direction := range []string{"there", "back"} {
			t.Run(fmt.Sprintf("%s %d", direction, lost), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, n *nodes) {
					w := &n.aToB
					if direction == "back" {
						w = &n.bToA
					}
					missing := false
					w.loses = func(number int, _ []byte) bool {
						missing = missing || number == lost
						return number == lost
					}
					checkEcho(t, n, whole)
					w.change(func(*way) {
						if !missing {
							t.Errorf("there were only %d frames", w.sent)
						}
					})
				})
			})
		}
	}
}

func TestNothingIsReadWrongWhenMuchIsLost(t *testing.T) {
	t.Parallel()
	whole := text(2*stream.Window + 11)
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, n *nodes) {
				random := rand.New(rand.NewPCG(seed, 0))
				share := random.IntN(30)
				var mu sync.Mutex
				loses := func(int, []byte) bool {
					mu.Lock()
					defer mu.Unlock()
					return random.IntN(100) < share
				}
				n.aToB.loses, n.bToA.loses = loses, loses
				checkEcho(t, n, whole)
			})
		})
	}
}

// checkEcho sends the whole there and back, and fails if anything else arrives than its
// beginning, or an end that is not one.
func checkEcho(t *testing.T, n *nodes, whole []byte) {
	t.Helper()
	var group sync.WaitGroup
	defer group.Wait()
	defer n.b.Close() // there may be nothing to accept
	group.Go(func() {
		c, err := n.b.Accept(n.t.Context())
		if err != nil {
			return
		}
		defer c.Close()
		got := make([]byte, len(whole))
		count, _ := io.ReadFull(c, got)
		if !bytes.Equal(got[:count], whole[:count]) {
			t.Error("it arrived changed")
		}
		if count == len(whole) {
			c.Write(got)
		}
	})
	c, err := n.a.Open(web2, nil)
	if err != nil {
		return
	}
	defer c.Close()
	c.Write(whole)
	got, err := io.ReadAll(c)
	if !bytes.HasPrefix(whole, got) {
		t.Error("it came back changed")
	}
	if err == nil && len(got) < len(whole) && len(got) > 0 {
		t.Errorf("the end was told after %d of %d bytes", len(got), len(whole))
	}
}

func TestAStreamOfALostNodeFailsAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, _ := n.open("")
		why := errors.New("the node is lost")
		go func() {
			synctest.Wait()
			n.a.Lose(stream.Peer(9), errors.New("another one"))
			n.a.Lose(web2, why)
		}()
		begun := time.Now()
		if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, why) || time.Since(begun) != 0 {
			t.Errorf("failed with %v after %v", err, time.Since(begun))
		}
	})
}

func TestASideThatKnowsOfNoStreamSaysSo(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, accepted := n.open("")
		n.b.LoseAll(errors.New("forgotten"))
		opened.Write([]byte("x"))
		if _, err := opened.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "knows of no such") {
			t.Errorf("failed with %v", err)
		}
		accepted.Close()
	})
}

func TestAFrameThatDoesNotLeaveFailsTheStream(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, _ := n.open("")
		n.aToB.change(func(w *way) { w.refuse = true })
		if _, err := opened.Write([]byte("x")); !errors.Is(err, stream.ErrNotSent) {
			t.Errorf("writing: %v", err)
		}
		if _, err := opened.Read(make([]byte, 1)); !errors.Is(err, stream.ErrNotSent) {
			t.Errorf("reading: %v", err)
		}
		if _, err := n.a.Open(web2, nil); !errors.Is(err, stream.ErrNotSent) {
			t.Errorf("opening: %v", err)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		var opened []net.Conn
		for range stream.MaxOpened {
			c, err := n.a.Open(web2, nil)
			if err != nil {
				t.Fatal(err)
			}
			opened = append(opened, c)
		}
		if _, err := n.a.Open(web2, nil); !errors.Is(err, stream.ErrTooMany) {
			t.Errorf("one more is opened: %v", err)
		}
		synctest.Wait()
		if _, streams := n.b.Kept(); streams != stream.MaxAccepted {
			t.Errorf("%d were accepted", streams)
		}
		// Another node that opens one more is told.
		third := stream.New(func(_ seal.Epoch, frame []byte) bool {
			n.b.Receive(stream.Peer(3), frame)
			return true
		}, func() int { return 1 << 20 })
		defer third.Close()
		n.bToA.change(func(w *way) {
			w.loses = func(_ int, frame []byte) bool { // what is told to the third
				go third.Receive(web2, frame)
				return true
			}
		})
		c, err := third.Open(web2, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("one more is accepted: %v", err)
		}
		n.bToA.change(func(w *way) { w.loses = nil })
		// With one less there is room again.
		opened[0].Close()
		if _, err = n.a.Open(web2, nil); err != nil {
			t.Errorf("after one was closed: %v", err)
		}
	})
}

// A side that sends more than it may, or from elsewhere, is cut off.
func TestMoreThanWasAllowedIsNotKept(t *testing.T) {
	t.Parallel()
	for name, frame := range map[string][]byte{
		"too much":           stream.Data(0, make([]byte, stream.Window+1)),
		"behind a gap":       stream.Data(1, []byte("x")),
		"around the numbers": stream.Data(^uint64(0), []byte("xx")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, n *nodes) {
				opened, accepted := n.open("")
				n.b.Receive(web1, frame)
				for side, c := range map[string]net.Conn{"there": accepted, "here": opened} {
					if got, err := io.ReadAll(c); len(got) > 0 || err == nil {
						t.Errorf("%s: %d bytes, %v", side, len(got), err)
					}
				}
				if _, streams := n.b.Kept(); streams != 0 {
					t.Errorf("%d streams are kept", streams)
				}
			})
		})
	}
}

func TestAfterCloseNothingIsOpenedOrAccepted(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, n *nodes) {
		opened, accepted := n.open("")
		waits := make(chan error)
		go func() {
			_, err := n.a.Accept(t.Context())
			waits <- err
		}()
		n.a.Close()
		n.a.Close()
		if err := <-waits; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepting: %v", err)
		}
		if _, err := n.a.Open(web2, nil); !errors.Is(err, net.ErrClosed) {
			t.Errorf("opening: %v", err)
		}
		if _, err := opened.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing: %v", err)
		}
		if _, err := accepted.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the other side: %v", err)
		}
	})
}

// Whatever a node with the key sends, what is kept for it is bounded, and a frame is read as
// it was written.
func FuzzReceive(f *testing.F) {
	f.Add(stream.Data(0, []byte("x")), uint8(3))
	for kind := range byte(7) {
		f.Add(append([]byte{kind, 1, 0, 0, 0, 0, 0, 0, 0, 1}, make([]byte, 20)...), uint8(2))
	}
	f.Fuzz(func(t *testing.T, b []byte, times uint8) {
		if again, ok := stream.Recode(b); ok && !bytes.Equal(again, b) {
			t.Errorf("%x was written again as %x", b, again)
		}
		s := stream.New(func(seal.Epoch, []byte) bool { return true }, func() int { return 1 << 10 })
		defer s.Close()
		s.Receive(web1, []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 1})
		for range times {
			s.Receive(web1, b)
		}
		if kept, streams := s.Kept(); kept > streams*stream.Window || streams > 2 {
			t.Errorf("%d bytes of %d streams are kept", kept, streams)
		}
	})
}
