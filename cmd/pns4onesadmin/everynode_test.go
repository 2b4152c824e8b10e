package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// twoNodes pretends to be a daemon through which two nodes are followed. web1 stays; the stream
// of web2 can be cut.
type twoNodes struct {
	mu      sync.Mutex
	away    bool          // web2 does not answer
	cut     chan struct{} // closed: the stream of web2 ends
	streams int           // of web2, that were begun
	nodes   string        // of the status
}

func (n *twoNodes) answer(w http.ResponseWriter, r *http.Request) {
	node := r.URL.Query().Get("node")
	n.mu.Lock()
	away, cut, nodes := node == "web2" && n.away, n.cut, n.nodes
	stream := strings.HasSuffix(r.URL.Path, "/logs")
	if node == "web2" && stream && !away {
		n.streams++
	}
	streams := n.streams
	n.mu.Unlock()
	switch {
	case away:
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"error":{"code":"node_unreachable","message":"it is lost","node":"web2"}}`)
		return
	case !stream:
		fmt.Fprintf(w, `{"version":%q,"cluster":{"name":"main","node":"web1","nodes":[%s]}}`, version, nodes)
		return
	}
	begun := time.Date(2026, time.March, 1, 9, 5, 0, 0, time.UTC)
	say := func(second int, text string) {
		at := begun.Add(time.Duration(second) * time.Second).Format(time.RFC3339)
		fmt.Fprintf(w, `{"time":%q,"level":"Warning","message":%q}`+"\n", at, text)
		http.NewResponseController(w).Flush()
	}
	switch {
	case node == "web1":
		say(1, "one of web1")
		cut = nil
	case node == "web3": // it has just been started
		begun = time.Now()
		say(9, "one of web3")
		cut = nil
	case streams == 1:
		say(2, "one of web2")
	default: // what it said before comes again, for it is asked for the last ones
		say(2, "one of web2")
		say(3, "while nobody heard web2")
	}
	select {
	case <-cut:
	case <-r.Context().Done():
	}
}

// change changes what the nodes are like.
func (n *twoNodes) change(do func(n *twoNodes)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do(n)
}

// follow runs a command until the test has seen enough, and returns what it writes line by
// line, and its end, which returns the exit status.
func follow(t *testing.T, path string, args ...string) (lines <-chan string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	read, written := io.Pipe()
	status := make(chan int, 1)
	var ending sync.WaitGroup
	ending.Go(func() {
		status <- run(ctx, &program{
			args:   append([]string{"--control", path, "--lang", "en", "-q"}, args...),
			getenv: func(string) string { return "" },
			stdin:  strings.NewReader(""), stdout: written, stderr: io.Discard,
		})
		written.Close()
	})
	each := make(chan string, 100)
	ending.Go(func() {
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			each <- scanner.Text()
		}
		close(each)
	})
	stop := func() {
		cancel()
		ending.Wait()
	}
	t.Cleanup(stop)
	return each, func() int {
		stop()
		return <-status
	}
}

func TestANodeThatComesBackIsToldAsAGap(t *testing.T) {
	t.Parallel()
	live := func(names ...string) string {
		for i, name := range names {
			names[i] = `{"name":"` + name + `","state":"live"}`
		}
		return strings.Join(names, ",")
	}
	nodes := &twoNodes{cut: make(chan struct{}), nodes: live("web1", "web2")}
	path := answerWith(t, nodes.answer)
	lines, end := follow(t, path, "logs", "-f", "--node", "all", "--json")

	type line struct {
		Node   string
		Answer struct{ Message string }
		Gap    *struct{ From, To string }
	}
	next := func() (l line) {
		t.Helper()
		text := <-lines
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return l
	}
	said := func(node, message string) {
		t.Helper()
		if l := next(); l.Node != node || l.Answer.Message != message || l.Gap != nil {
			t.Errorf("got %+v, want %q of %s", l, message, node)
		}
	}
	said("web1", "one of web1")
	said("web2", "one of web2")
	nodes.change(func(n *twoNodes) {
		n.away = true
		close(n.cut)
	})
	if l := next(); l.Node != "web2" || l.Gap == nil || l.Gap.From == "" || l.Gap.To != "" {
		t.Errorf("got %+v, want the beginning of a gap of web2", l)
	}
	nodes.change(func(n *twoNodes) { n.away, n.cut = false, make(chan struct{}) })
	if l := next(); l.Node != "web2" || l.Gap == nil || l.Gap.From == "" || l.Gap.To == "" {
		t.Errorf("got %+v, want the end of a gap of web2", l)
	}
	said("web2", "while nobody heard web2") // and nothing a second time
	nodes.change(func(n *twoNodes) { n.nodes = live("web1", "web2", "web3") })
	said("web3", "one of web3")
	if status := end(); status != exitDone {
		t.Errorf("interrupted: exit status %d", status)
	}
}

func TestLinesOfAllNodesSayTheirNode(t *testing.T) {
	t.Parallel()
	nodes := &twoNodes{away: true, nodes: `{"name":"web1","state":"live"},{"name":"web2","state":"lost"}`}
	lines, end := follow(t, answerWith(t, nodes.answer), "logs", "-f", "--node", "all")
	got := map[string]string{}
	for range 2 {
		line := <-lines
		fields := strings.SplitN(line, "  ", 3) // the time, the node, the rest
		if len(fields) < 3 {
			t.Fatalf("got %q", line)
		}
		got[fields[1]] = fields[2]
	}
	if !strings.Contains(got["web1"], "one of web1") || !strings.HasPrefix(got["web2"], "▲ A gap begins") {
		t.Errorf("got %q", got)
	}
	if status := end(); status != exitDone {
		t.Errorf("interrupted: exit status %d", status)
	}
}

// What every node refuses would be refused again.
func TestAStreamOfAllNodesThatIsRefusedEnds(t *testing.T) {
	t.Parallel()
	lines, end := follow(t, answerWith(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/status") {
			io.WriteString(w, `{"version":"dev","cluster":{"node":"web1","nodes":[{"name":"web1","state":"live"}]}}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":{"code":"bad_request","message":"event x"}}`)
	}), "logs", "-f", "--node", "all")
	for line := range lines { // until it ends
		t.Errorf("it wrote %q", line)
	}
	if status := end(); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
}
