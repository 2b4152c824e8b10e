package prove

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"
)

// road is the way from clients to a daemon, on which connections break.
type road struct {
	ln   net.Listener
	port string
	tcp  string // port of the daemon

	travelling sync.WaitGroup
	mu         sync.Mutex
	open       []*crossing
	closed     bool
}

// crossing is a connection on the road: its two ends.
type crossing struct{ client, daemon *net.TCPConn }

func newRoad(t *testing.T, tcp string) *road {
	t.Helper()
	r := &road{tcp: tcp}
	r.ln, r.port = listen(t)
	r.travelling.Go(r.accept)
	t.Cleanup(func() {
		r.ln.Close()
		r.mu.Lock()
		r.closed = true
		for _, c := range r.open {
			c.client.Close()
			c.daemon.Close()
		}
		r.mu.Unlock()
		r.travelling.Wait()
	})
	return r
}

func (r *road) accept() {
	for {
		client, err := r.ln.Accept()
		if err != nil {
			return
		}
		daemon, err := net.Dial("tcp", "127.0.0.1:"+r.tcp)
		if err != nil {
			client.Close()
			continue
		}
		c := &crossing{client.(*net.TCPConn), daemon.(*net.TCPConn)}
		r.mu.Lock()
		if r.closed {
			client.Close()
			daemon.Close()
		}
		r.open = append(r.open, c)
		r.mu.Unlock()
		r.travelling.Go(func() { io.Copy(c.daemon, c.client); c.daemon.CloseWrite() })
		r.travelling.Go(func() { io.Copy(c.client, c.daemon); c.client.CloseWrite() })
	}
}

// breakOne ends some connection: for both ends, with a reset or not, or for the client alone.
// Then the daemon takes it for open until the client comes back.
func (r *road) breakOne() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) == 0 {
		return
	}
	i := rand.IntN(len(r.open))
	c := r.open[i]
	r.open = append(r.open[:i], r.open[i+1:]...)
	switch rand.IntN(3) {
	case 0:
		c.client.SetLinger(0)
		c.daemon.SetLinger(0)
		c.client.Close()
		c.daemon.Close()
	case 1:
		c.client.Close()
		c.daemon.Close()
	default:
		c.client.SetLinger(0)
		c.client.Close()
		// What the daemon writes from now on is lost on the way; the daemon ends it.
		r.travelling.Go(func() { io.Copy(io.Discard, c.daemon); c.daemon.Close() })
	}
}

// Hundreds of clients whose connections break at random, and whose daemon is upgraded, get each
// message once and in order.
func TestClientsThatBreakLoseNothing(t *testing.T) {
	if library == "" || len(runner) > 0 || sanitized {
		t.Skip("for the add-in on Linux as it is shipped")
	}
	clients, lasting := scale(40, 200), time.Duration(scale(5, 300))*time.Second
	d := startDaemon(t, "-resume_window", "10m")
	t.Cleanup(func() { // an upgrade leaves another process behind
		var status struct{ PID int }
		if d.json(&status, "status"); status.PID != d.command.Process.Pid {
			syscall.Kill(status.PID, syscall.SIGKILL)
		}
	})
	r := newRoad(t, d.tcp)
	h := load(t)
	h.expect(fmt.Sprint(clients), "many", "1", fmt.Sprint(clients), "127.0.0.1", r.port, d.ID, ib, "user", "Все",
		d.ClientKey)
	d.eventually("all are there", func() bool { return d.sessions() == clients })

	over := time.Now().Add(lasting)
	var breaking sync.WaitGroup
	broken := 0
	breaking.Go(func() {
		for ; time.Now().Before(over); time.Sleep(rand.N(100 * time.Millisecond)) { // any moment will do
			r.breakOne()
			broken++
		}
	})
	breaking.Go(func() {
		time.Sleep(lasting / 2)
		if _, err := d.try("upgrade"); err != nil {
			t.Error(err)
		}
	})
	token := d.token()
	sent := make([]int, clients+1)
	all := 0
	for time.Now().Before(over) {
		user := 1 + rand.IntN(clients)
		d.post(token, fmt.Sprintf("user%d", user), fmt.Sprintf("%d:%d", user, sent[user]))
		sent[user]++
		all++
		time.Sleep(time.Millisecond)
	}
	breaking.Wait()

	got := make([]int, clients+1)
	d.eventually("all messages have come", func() bool {
		h.mu.Lock()
		events := h.events
		h.events = nil
		h.mu.Unlock()
		for _, e := range events {
			var message struct{ Topic string }
			var user, number int
			if json.Unmarshal([]byte(e.Data), &message) != nil {
				t.Fatalf("event %+v", e)
			}
			fmt.Sscanf(message.Topic, "%d:%d", &user, &number)
			if e.Object != fmt.Sprint(user) || got[user] != number {
				t.Fatalf("object %s got %s, and was to get message %d", e.Object, message.Topic, got[user])
			}
			got[user]++
			all--
		}
		return all == 0
	})
	total := 0
	for user, n := range sent {
		total += n
		if got[user] != n {
			t.Errorf("user %d got %d of %d messages", user, got[user], n)
		}
	}
	for i := range clients {
		h.expect("true", "release", fmt.Sprint(i+1))
	}
	d.eventually("goodbyes", func() bool { return d.sessions() == 0 })
	t.Logf("%d clients, %v: %d connections broke, an upgrade; %d messages: none lost, none twice, all in order",
		clients, lasting, broken, total)
}

// token is one for posting.
func (d *daemon) token() string {
	d.t.Helper()
	response, err := http.Get("http://127.0.0.1:" + d.http + "/auth?server_key=" + d.ServerKey)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		d.t.Fatalf("/auth: %s, %v", response.Status, err)
	}
	return answer.Token
}

// sender keeps no connection: one that is idle may be closed by an upgrade in the moment of
// its next request.
var sender = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// post sends a message to one user, who has one session.
func (d *daemon) post(token, user, topic string) {
	d.t.Helper()
	body := fmt.Appendf(nil, `{"Recipient":{"Type":"user","IbId":%q,"UserId":%q},"Message":{"Topic":%q}}`, ib, user,
		topic)
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost,
		"http://127.0.0.1:"+d.http+"/sendmessage", bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := sender.Do(request)
	if err != nil {
		d.t.Fatalf("%s: %v", topic, err)
	}
	defer response.Body.Close()
	if n := response.Header.Get("X-Delivered-Sessions"); response.StatusCode != http.StatusOK || n != "1" {
		d.t.Fatalf("%s: %s, %s sessions", topic, response.Status, n)
	}
}
