package tests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// addins are the add-in objects of a scenario. Each runs «pns4onesadmin listen», the real
// protocol, and connects again when that ends, unless it is the released one.
type addins struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	events  chan addinEvent
	mu      sync.Mutex
	objects map[string]context.CancelFunc
}

type addinEvent struct {
	Source string `json:"source"`
	Event  string `json:"event"`
	Data   string `json:"data"`
}

func newAddins() *addins {
	ctx, cancel := context.WithCancel(context.Background())
	return &addins{ctx: ctx, cancel: cancel, events: make(chan addinEvent, 1000), objects: map[string]context.CancelFunc{}}
}

func (a *addins) stop() {
	a.cancel()
	a.running.Wait()
}

func (a *addins) raise(event, data string) {
	select {
	case a.events <- addinEvent{"com_ptolkachev_pns4ones", event, data}:
	case <-a.ctx.Done():
	}
}

// connection is what Подключить is called with.
type connection struct {
	Object, Host, Port, App, Ib, User, Group, Key string
	Released                                      bool
}

func (h *helper) connect(_ context.Context, question json.RawMessage) (any, error) {
	var c connection
	if err := json.Unmarshal(question, &c); err != nil {
		return nil, err
	}
	if strings.ContainsAny(c.Host, "/ ") || len(c.Key) < 20 {
		return map[string]bool{"ok": false}, nil
	}
	h.end(c.Object)
	ctx, cancel := context.WithCancel(h.addins.ctx)
	h.addins.mu.Lock()
	h.addins.objects[c.Object] = cancel
	h.addins.mu.Unlock()
	h.addins.running.Go(func() { h.follow(ctx, c) })
	return map[string]bool{"ok": true}, nil
}

func (h *helper) disconnect(_ context.Context, question json.RawMessage) (any, error) {
	var c connection
	if err := json.Unmarshal(question, &c); err != nil {
		return nil, err
	}
	h.end(c.Object)
	return true, nil
}

func (h *helper) end(object string) {
	h.addins.mu.Lock()
	defer h.addins.mu.Unlock()
	if cancel := h.addins.objects[object]; cancel != nil {
		cancel()
	}
}

// follow keeps a session, and tells its states. Two refusals in a row count as refused.
func (h *helper) follow(ctx context.Context, c connection) {
	refused := 0
	for ctx.Err() == nil {
		connected := h.session(ctx, c)
		if ctx.Err() != nil {
			return
		}
		if c.Released {
			h.addins.raise("message", `{"error": "Сервис уведомлений прекратил работу"}`)
			return
		}
		if refused++; connected {
			refused = 0
			h.addins.raise("state", `{"state": "lost"}`)
		}
		if refused == 2 {
			h.addins.raise("state", `{"state": "refused"}`)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // the back-off of the add-in, shorter
		}
	}
}

// session is one connection; it reports whether the service took it.
func (h *helper) session(ctx context.Context, c connection) bool {
	cmd := exec.CommandContext(ctx, filepath.Join(h.programs, "pns4onesadmin"),
		"--json", "--lang", "en", "--control", h.control(), "listen", "--app", c.App, "--ib", c.Ib, "--user", c.User,
		"--group", c.Group, "--service", net.JoinHostPort(c.Host, c.Port))
	cmd.Env = append(os.Environ(), "PNS4ONES_CLIENT_KEY="+c.Key)
	messages, err := cmd.StdoutPipe()
	if err != nil {
		return false
	}
	notices, err := cmd.StderrPipe()
	if err != nil || cmd.Start() != nil {
		return false
	}
	open, closed := context.WithCancel(ctx)
	defer closed()
	connected := false
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(notices); lines.Scan(); {
			if !connected && h.registered(open, c) {
				connected = true
				if !c.Released {
					h.addins.raise("state", `{"state": "connected"}`)
				}
			}
		}
	})
	lines := bufio.NewScanner(messages)
	lines.Buffer(nil, 2<<20)
	for lines.Scan() {
		h.addins.raise("message", lines.Text())
	}
	closed() // whoever still asks whether it was taken need not
	reading.Wait()
	_ = cmd.Wait() // it ends as the connection does
	return connected
}

// registered asks the daemon whether it has the session, until it has or the connection
// is over: the client itself is told nothing by the protocol.
func (h *helper) registered(ctx context.Context, c connection) bool {
	for {
		list, err := h.command(ctx, "sessions") // it may fail: the daemon may only be starting
		if err == nil && has(list, c) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func has(list any, c connection) bool {
	sessions, _ := list.([]any)
	for _, one := range sessions {
		session, ok := one.(map[string]any)
		if ok && session["user_id"] == c.User && session["ib_id"] == c.Ib && session["app_id"] == c.App {
			return true
		}
	}
	return false
}

// events returns what an add-in has raised, one event at a time, and waits for it: none
// where nothing comes. The real add-in and its stand-in may both be there.
func (h *helper) events(ctx context.Context, _ json.RawMessage) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		found, err := h.realEvent()
		if err != nil || len(found) > 0 {
			return found, err
		}
		var again <-chan time.Time // the file has to be read again and again
		if h.raised != "" {
			again = time.After(20 * time.Millisecond)
		}
		select {
		case first := <-h.addins.events:
			return []addinEvent{first}, nil
		case <-ctx.Done():
			return found, nil
		case <-again:
		}
	}
}

// realEvent returns the first event of the real add-in that has not been told, if there is
// one. OneScript writes a line for each: ["event", source, name, data].
func (h *helper) realEvent() ([]addinEvent, error) {
	if h.raised == "" {
		return []addinEvent{}, nil
	}
	written, err := os.ReadFile(h.raised)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for {
		line, _, whole := bytes.Cut(written[min(h.read, len(written)):], []byte("\n"))
		if !whole {
			return []addinEvent{}, nil
		}
		h.read += len(line) + 1
		var fields []any
		if err := json.Unmarshal(bytes.TrimPrefix(line, []byte("\ufeff")), &fields); err != nil {
			return nil, fmt.Errorf("an event of the add-in is %q: %w", line, err)
		}
		if len(fields) == 4 && fields[0] == "event" {
			return []addinEvent{{fmt.Sprint(fields[1]), fmt.Sprint(fields[2]), fmt.Sprint(fields[3])}}, nil
		}
	}
}
