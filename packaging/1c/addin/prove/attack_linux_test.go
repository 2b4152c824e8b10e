package prove

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What somebody with bad intentions can do: one in the middle who has the service's
// port, and 1C code.

// anything returns what a service would not send, or not so.
func anything(random *rand.Rand, frame func(text string) []byte) []byte {
	noise := func(n int) []byte {
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(random.Uint32())
		}
		return out
	}
	good := frame(`{"topic":"` + strings.Repeat("ж", random.IntN(300)) + `"}`)
	switch random.IntN(7) {
	case 0:
		return noise(1 + random.IntN(5000))
	case 1: // a header that may be one, and noise
		blocks := 1 + random.IntN(300)
		return frameOf(uint32(4+16*blocks), uint32(16*blocks-1-random.IntN(16)), noise(16*blocks))
	case 2: // a frame that ends too early
		return good[:random.IntN(len(good))]
	case 3: // a bit has changed
		many := bytes.Repeat(good, 1+random.IntN(20))
		many[random.IntN(len(many))] ^= 1 << random.IntN(8)
		return many
	case 4: // a right one, of what is no text
		return frame("{" + string(noise(random.IntN(5000))))
	case 5: // the largest that can be announced, and little of it
		return frameOf(16<<20+4, 16<<20-1, noise(random.IntN(5000)))
	default:
		return bytes.Repeat(good, 1+random.IntN(50))
	}
}

func TestServiceSendsAnything(t *testing.T) {
	h := load(t)
	h.do("quiet") // some of it is messages
	h.do("new", "1")
	random := rand.New(rand.NewPCG(20261126, 20))
	attack := func(data func(p *peer) []byte) {
		s := serve(t)
		defer s.ln.Close()
		s.connect(h, "1")
		p, _ := s.registered()
		p.conn.Write(data(p)) // it is closed on the way, at times
		p.conn.(*net.TCPConn).CloseWrite()
		p.over()
		h.expect("true", "shutdown", "1")
	}
	for range scale(100, 2000) {
		attack(func(p *peer) []byte {
			return anything(random, func(text string) []byte { return p.key.AppendFrame(nil, []byte(text)) })
		})
	}
	attack(func(*peer) []byte { return frameOf(16<<20+4, 16<<20-1, zeros(16<<20)) })
	if most := h.memory(t); most > 40<<10 {
		t.Errorf("the host has had %d KiB", most)
	}
	h.expect("true", "release", "1")
	h.expect("0", "memory")
}

// memory returns the most that the host has had in memory, in KiB; 0 where that says
// nothing of the add-in.
func (h *host) memory(t *testing.T) int {
	t.Helper()
	if len(runner) > 0 || sanitized {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", h.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	most, _ := strconv.Atoi(string(match[1]))
	return most
}

// 1C calls what it likes, on several threads at once, while messages come.
func TestStorm(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("quiet")
	var accepting, serving sync.WaitGroup
	var open atomic.Int32
	var conns []net.Conn // of the one that accepts, until it ends
	accepting.Go(func() {
		for {
			conn, err := s.ln.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
			serving.Go(func() {
				defer conn.Close()
				for i := range 20 {
					conn.Write(s.key.AppendFrame(nil, []byte(topic(i))))
				}
				// The add-in ends each of them. Wine forgets to close a socket that was given up
				// while it connected: nothing has come from such a one.
				said, err := io.Copy(io.Discard, conn)
				if errors.Is(err, os.ErrDeadlineExceeded) && (said > 0 || len(runner) == 0) {
					open.Add(1)
				}
			})
		}
	})
	calls := scale(1000, 5000) // on each of its four threads
	before := h.do("handles")
	for seed := range scale(2, 10) {
		h.expect("true", "new", "1")
		h.do("random", "1", "10", "7")
		h.expect(fmt.Sprint(4*calls), "storm", "1", fmt.Sprint(calls), fmt.Sprint(seed), "127.0.0.1", s.port, app, testKey)
		h.expect("true", "shutdown", "1")
		h.expect(`"off"`, "get", "1", "State")
		h.expect("true", "release", "1")
		h.expect("0", "memory")
		// The last thread may still be letting go of its own.
		for deadline := time.Now().Add(patience); h.do("handles") != before; h.do("sleep", "5") {
			if time.Now().After(deadline) {
				t.Fatalf("%s files and the like are open, %s were before", h.do("handles"), before)
			}
		}
	}
	s.ln.Close()
	accepting.Wait()
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(givenUp))
	}
	serving.Wait()
	if open.Load() > 0 {
		t.Errorf("%d connections are still open after the end of the objects", open.Load())
	}
}
