package prove

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long anything may take on a busy machine before a test fails.
const patience = 60 * time.Second

// Where packaging/test/addin.sh has put what is tested. The runner is empty, or
// wine and what else stands before a Windows program.
var (
	library = os.Getenv("PNS4ONES_ADDIN")
	program = os.Getenv("PNS4ONES_ADDIN_HOST")
	codec   = os.Getenv("PNS4ONES_ADDIN_CODEC")
	runner  = strings.Fields(os.Getenv("PNS4ONES_ADDIN_RUNNER"))
	long    = os.Getenv("PNS4ONES_ADDIN_LONG") != ""
	// The add-in and its host were made with a sanitizer, and are larger for it.
	sanitized = os.Getenv("PNS4ONES_ADDIN_SANITIZED") != ""
)

// scale picks the number of repetitions: few where every push waits for it.
func scale(short, whole int) int {
	if long {
		return whole
	}
	return short
}

func command(name string, arguments ...string) *exec.Cmd {
	words := append(append([]string{}, runner...), name)
	words = append(words, arguments...)
	return exec.Command(words[0], words[1:]...)
}

// event is one that the add-in raised.
type event struct{ Event, Object, Source, Data string }

// host is the platform's side of a running add-in.
type host struct {
	t       *testing.T
	command *exec.Cmd
	in      io.WriteCloser
	done    chan result

	mu     sync.Mutex
	more   chan struct{} // closed and replaced at each event
	events []event       // not yet looked at
	ended  error         // why there will be no more
}

type result struct {
	Did    string
	Result json.RawMessage
	MS     int
}

// load starts a host with the add-in. At the end of the test it must have ended
// well, with no event that the test did not ask for.
func load(t *testing.T, environment ...string) *host {
	t.Helper()
	if library == "" {
		t.Skip("no add-in: packaging/test/addin.sh builds it and runs this")
	}
	return loadLibrary(t, library, environment...)
}

func loadLibrary(t *testing.T, library string, environment ...string) *host {
	t.Helper()
	h := &host{t: t, command: command(program, library, "-"), done: make(chan result), more: make(chan struct{})}
	h.command.Env = append(os.Environ(), environment...)
	var err error
	if h.in, err = h.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	h.command.Stderr = &complaints
	if err := h.command.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		h.read(out)
	}()
	t.Cleanup(func() {
		h.in.Close()
		deadline := time.AfterFunc(patience, func() { h.command.Process.Kill() })
		<-read
		err := h.command.Wait()
		deadline.Stop()
		if err != nil || complaints.Len() > 0 && len(runner) == 0 {
			t.Errorf("the host ended with %v\n%s", err, complaints.String())
		}
		if !t.Failed() && len(h.events) > 0 {
			t.Errorf("events that nobody asked for: %+v", h.events)
		}
	})
	return h
}

func (h *host) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			event
			result
			Failed string
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			h.end(fmt.Errorf("the host wrote %q: %w", lines.Text(), err))
			return
		}
		switch {
		case line.Did != "":
			h.done <- line.result
		case line.Event != "":
			h.mu.Lock()
			h.events = append(h.events, line.event)
			close(h.more)
			h.more = make(chan struct{})
			h.mu.Unlock()
		default:
			h.end(fmt.Errorf("the host failed: %s", line.Failed))
			return
		}
	}
	h.end(fmt.Errorf("the host has ended"))
}

func (h *host) end(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = err
	close(h.done)
	close(h.more)
	h.more = nil
}

// do runs one step and returns its result as JSON.
func (h *host) do(step ...string) string {
	h.t.Helper()
	got, _ := h.timed(step...)
	return got
}

func (h *host) timed(step ...string) (got string, took time.Duration) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, strings.Join(step, "\t")+"\n"); err != nil {
		h.t.Fatalf("%v: %v", step, err)
	}
	select {
	case r, ok := <-h.done:
		if !ok {
			h.t.Fatalf("%v: %v", step, h.ended)
		}
		return string(r.Result), time.Duration(r.MS) * time.Millisecond
	case <-time.After(2 * patience):
		h.t.Fatalf("%v: no answer", step)
	}
	panic("unreachable")
}

// expect runs a step and wants a result.
func (h *host) expect(want string, step ...string) {
	h.t.Helper()
	if got := h.do(step...); got != want {
		h.t.Fatalf("%v: %s, want %s", step, got, want)
	}
}

// event waits for the next one of an object.
func (h *host) event(object string) event {
	h.t.Helper()
	timeout := time.After(patience)
	for {
		h.mu.Lock()
		for i, e := range h.events {
			if e.Object == object {
				h.events = append(h.events[:i:i], h.events[i+1:]...)
				h.mu.Unlock()
				return e
			}
		}
		more, ended := h.more, h.ended
		h.mu.Unlock()
		if ended != nil {
			h.t.Fatalf("no event of object %s: %v", object, ended)
		}
		select {
		case <-more:
		case <-timeout:
			h.t.Fatalf("no event of object %s", object)
		}
	}
}

// message waits for an event with the text of a message.
func (h *host) message(object, want string) {
	h.t.Helper()
	got := h.event(object)
	if got.Source != "com_ptolkachev_pns4ones" || got.Event != "message" || got.Data != want {
		h.t.Fatalf("event %.200v, want message %.200s", got, want)
	}
}

func (h *host) state(object, want string) {
	h.t.Helper()
	h.expect(quoted(want), "state", object, want, fmt.Sprint(patience.Milliseconds()))
}

func quoted(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}
