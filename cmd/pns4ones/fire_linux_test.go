package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// A nuisance is what somebody may do to the daemon, by accident or on purpose. It
// goes on until ctx ends, and then has let go of everything.
type nuisance struct {
	name string
	do   func(ctx context.Context, f *fire)
}

var nuisances = []nuisance{
	{"connections that never register", neverRegister},
	{"slow registrations", registerSlowly},
	{"garbage instead of a registration", registerGarbage},
	{"oversized registrations", registerTooMuch},
	{"replayed registrations", replay},
	{"sessions that reset", reset},
	{"half-open sessions", halfOpen},
	{"stalled sessions", stall},
	{"sessions that read a byte at a time", readByBytes},
	{"a flood of bad requests", floodRequests},
	{"slow headers", slowHeaders},
	{"slow bodies", slowBodies},
	{"huge bodies", hugeBodies},
	{"pipelined requests", pipeline},
	{"texts that are no messages", badTexts},
}

// fire is a daemon with sessions and senders that must not notice nuisances.
type fire struct {
	*ledger
	i     *installation
	key   *wire.ClientKey
	token string
	tried atomic.Int64

	mu       sync.Mutex
	sessions map[string]bool // addresses of sessions that ended for the nuisance's sake
	faults   []string
}

func newFire(t *testing.T, i *installation) *fire {
	t.Helper()
	f := &fire{ledger: newLedger(t, i.client), i: i, sessions: make(map[string]bool)}
	var err error
	if f.key, err = wire.ParseClientKey(f.app.ClientKey); err != nil {
		t.Fatal(err)
	}
	f.token = f.newSender(0).token
	return f
}

func (f *fire) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *fire) reportFaults() {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults[:min(10, len(f.faults))] {
		f.t.Error(fault)
	}
}

// TestUnderFire has the daemon endure each nuisance, and all of them at once, while its
// ledger stays clean.
func TestUnderFire(t *testing.T) {
	mixed := nuisance{"all at once", func(ctx context.Context, f *fire) {
		var all sync.WaitGroup
		for _, n := range nuisances {
			all.Go(func() { n.do(ctx, f) })
		}
		all.Wait()
	}}
	for _, n := range append(nuisances[:len(nuisances):len(nuisances)], mixed) {
		t.Run(n.name, func(t *testing.T) { underFire(t, n) })
	}
}

func underFire(t *testing.T, n nuisance) {
	i := install(t)
	i.env = append(i.env, "PNS4ONES_SESSION_QUEUE_SIZE=256KiB", "PNS4ONES_WRITE_TIMEOUT=2s",
		"PNS4ONES_REGISTRATION_TIMEOUT=2s")
	daemon := i.start(exec.Command(i.program))
	f := newFire(t, i)
	f.open(*fireSessions)
	files := openFiles(t, daemon.Process.Pid)

	stop := f.sendAllAround(2, time.Millisecond)
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(*fireTime, cancel)
	n.do(ctx, f)
	stop()
	f.settle()
	b := f.check()
	f.reportFaults()
	t.Logf("%d times tried", f.tried.Load())
	if b.accepted == 0 || f.tried.Load() == 0 {
		t.Error("nothing was tried")
	}
	await(t, "the daemon has let go of all connections", func() bool {
		return openFiles(t, daemon.Process.Pid) <= files
	})
	await(t, "each end of a session has a reason in the log", func() bool {
		reasons := f.i.endsOfSessions()
		for addr := range f.sessions {
			if reasons[addr] == "" {
				return false
			}
		}
		return true
	})
	i.stop(daemon)
}

var endOfSession = regexp.MustCompile(`msg="session closed".* peer=(\S+) reason=(\S+)`)

// endsOfSessions are the reasons in the log, by the session's address.
func (i *installation) endsOfSessions() map[string]string {
	reasons := make(map[string]string)
	for _, line := range endOfSession.FindAllStringSubmatch(i.said(), -1) {
		reasons[line[1]] = line[2]
	}
	return reasons
}

func openFiles(t testing.TB, pid int) int {
	t.Helper()
	files, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// pause waits, and tells whether there is time for more.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// dial connects to an address of the daemon. All connections of a nuisance end with it.
func (f *fire) dial(ctx context.Context, address string) (conn net.Conn, ok bool) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() == nil {
			f.fault("connecting: %v", err)
		}
		return nil, false
	}
	f.tried.Add(1)
	return conn, true
}

// crowd has many do the same until ctx ends.
func crowd(ctx context.Context, size int, do func()) {
	var all sync.WaitGroup
	for range size {
		all.Go(func() {
			for ctx.Err() == nil {
				do()
			}
		})
	}
	all.Wait()
}

// registration is a packet of a user that nobody writes to by name.
func (f *fire) registration() []byte {
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: f.app.ID, IbID: infobase, UserID: "nuisance"},
		f.key)
	if err != nil {
		f.fault("%v", err)
	}
	return packet
}

// register makes a session, whose end must be in the log.
func (f *fire) register(ctx context.Context) (conn *net.TCPConn, ok bool) {
	c, ok := f.dial(ctx, f.service)
	if !ok {
		return nil, false
	}
	conn = c.(*net.TCPConn)
	if _, err := conn.Write(f.registration()); err != nil {
		f.fault("registering: %v", err)
	}
	return conn, true
}

// ended notes a session that the daemon had registered.
func (f *fire) ended(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions[conn.LocalAddr().String()] = true
}

func neverRegister(ctx context.Context, f *fire) {
	crowd(ctx, 20, func() {
		var held []net.Conn
		for range 20 {
			if conn, ok := f.dial(ctx, f.service); ok {
				held = append(held, conn)
			}
		}
		pause(ctx, 100*time.Millisecond)
		for _, conn := range held {
			conn.Close()
		}
	})
}

func registerSlowly(ctx context.Context, f *fire) {
	crowd(ctx, 50, func() {
		conn, ok := f.dial(ctx, f.service)
		if !ok {
			return
		}
		defer conn.Close()
		for _, b := range f.registration() {
			if _, err := conn.Write([]byte{b}); err != nil || !pause(ctx, 20*time.Millisecond) {
				return
			}
		}
	})
}

// refused checks that the daemon closes the connection without a word.
func (f *fire) refused(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(patience))
	if n, err := conn.Read(make([]byte, 1)); n > 0 {
		f.fault("a bad registration was answered")
	} else if err, ok := err.(net.Error); ok && err.Timeout() && ctx.Err() == nil {
		f.fault("a bad registration was left open")
	}
}

func registerGarbage(ctx context.Context, f *fire) {
	crowd(ctx, 10, func() {
		conn, ok := f.dial(ctx, f.service)
		if !ok {
			return
		}
		garbage := make([]byte, 64)
		for k := range garbage {
			garbage[k] = byte(rand.Uint32())
		}
		garbage[0], garbage[1] = 60, 0 // all of it is there
		conn.Write(garbage)
		f.refused(ctx, conn)
	})
}

func registerTooMuch(ctx context.Context, f *fire) {
	crowd(ctx, 10, func() {
		if conn, ok := f.dial(ctx, f.service); ok {
			conn.Write(append([]byte{0xff, 0xff, 32, 0}, make([]byte, 0xffff)...))
			f.refused(ctx, conn)
		}
	})
}

func replay(ctx context.Context, f *fire) {
	packet := f.registration()
	crowd(ctx, 10, func() {
		conn, ok := f.dial(ctx, f.service)
		if !ok {
			return
		}
		defer conn.Close()
		for range 3 { // again on the same connection, and then on another
			conn.Write(packet)
		}
		pause(ctx, 10*time.Millisecond)
	})
}

// received waits until the daemon has sent something, so it has registered the session.
func received(ctx context.Context, conn net.Conn) bool {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		conn.SetReadDeadline(time.Unix(1, 0))
	})
	_, err := conn.Read(make([]byte, 1))
	if !stop() {
		<-interrupted // or it would meet the deadline that the caller sets next
	}
	return err == nil
}

func reset(ctx context.Context, f *fire) {
	crowd(ctx, 10, func() {
		conn, ok := f.register(ctx)
		if !ok {
			return
		}
		if received(ctx, conn) {
			f.ended(conn)
		}
		conn.SetLinger(0)
		conn.Close()
	})
}

func halfOpen(ctx context.Context, f *fire) {
	crowd(ctx, 10, func() {
		conn, ok := f.register(ctx)
		if !ok {
			return
		}
		defer conn.Close()
		if received(ctx, conn) {
			f.ended(conn)
		}
		conn.CloseWrite()
		f.awaitEnd(conn)
	})
}

// awaitEnd reads until the daemon closes the connection.
func (f *fire) awaitEnd(conn net.Conn) {
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	if err, ok := err.(net.Error); ok && err.Timeout() {
		f.fault("the daemon did not close a connection")
	}
}

// large is a request with a large message to the sessions of nuisances.
func (f *fire) large() string {
	return f.post(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"nuisance"},"Message":{"Notification":{"Title":"` +
		strings.Repeat("x", 1<<18) + `"}}}`)
}

// sendLarge sends much to the sessions of nuisances.
func (f *fire) sendLarge(ctx context.Context) {
	large := f.large()
	for ctx.Err() == nil {
		f.answered(ctx, large, 200)
	}
}

func stall(ctx context.Context, f *fire) {
	var sending sync.WaitGroup
	sending.Go(func() { f.sendLarge(ctx) })
	defer sending.Wait()
	crowd(ctx, 20, func() {
		conn, ok := f.register(ctx)
		if !ok {
			return
		}
		defer conn.Close()
		conn.SetReadBuffer(4096)
		if received(ctx, conn) {
			f.ended(conn)
		}
		<-ctx.Done()
	})
}

func readByBytes(ctx context.Context, f *fire) {
	var sending sync.WaitGroup
	sending.Go(func() { f.sendLarge(ctx) })
	defer sending.Wait()
	crowd(ctx, 20, func() {
		conn, ok := f.register(ctx)
		if !ok {
			return
		}
		defer conn.Close()
		conn.SetReadBuffer(4096)
		for first := true; received(ctx, conn); first = false {
			if first {
				f.ended(conn)
			}
			if !pause(ctx, min(time.Second, *fireTime/10)) {
				return
			}
		}
	})
}

// ask sends a request as it is and returns the status of each answer.
func (f *fire) ask(ctx context.Context, text string, answers int) (statuses []int) {
	conn, ok := f.dial(ctx, f.listen)
	if !ok {
		return nil
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	go io.Copy(conn, strings.NewReader(text)) // ends when the connection does
	in := bufio.NewReader(conn)
	for range answers {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			f.fault("no answer: %v", err)
			return statuses
		}
		io.Copy(io.Discard, response.Body)
		statuses = append(statuses, response.StatusCode)
	}
	return statuses
}

// answered checks the statuses of the answers.
func (f *fire) answered(ctx context.Context, text string, want ...int) {
	if got := f.ask(ctx, text, len(want)); got != nil && fmt.Sprint(got) != fmt.Sprint(want) {
		f.fault("answered %v, want %v", got, want)
	}
}

// post is a request to /sendmessage with a good token.
func (f *fire) post(body string) string {
	return "POST /sendmessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + f.token + "\r\nContent-Length: " +
		strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func floodRequests(ctx context.Context, f *fire) {
	requests := []struct {
		text string
		want int
	}{
		{"POST /sendmessage HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 401},
		{"POST /sendmessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nonsense\r\nContent-Length: 2\r\n\r\n{}", 401},
		{"GET /auth?server_key=nonsense HTTP/1.1\r\nHost: x\r\n\r\n", 401},
		{"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404},
		{"GET /sendmessage HTTP/1.1\r\nHost: x\r\n\r\n", 405},
		{"NONSENSE\r\n\r\n", 400},
		{"GET /" + strings.Repeat("x", 1<<17) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
	}
	var next atomic.Int64
	crowd(ctx, 10, func() {
		r := requests[int(next.Add(1))%len(requests)]
		f.answered(ctx, r.text, r.want)
	})
}

// trickle writes a text a little at a time, until it is at its end or refused.
func (f *fire) trickle(ctx context.Context, text string) {
	conn, ok := f.dial(ctx, f.listen)
	if !ok {
		return
	}
	defer conn.Close()
	for ; text != ""; text = text[1:] {
		if _, err := io.WriteString(conn, text[:1]); err != nil || !pause(ctx, 20*time.Millisecond) {
			return
		}
	}
}

func slowHeaders(ctx context.Context, f *fire) {
	crowd(ctx, 50, func() { f.trickle(ctx, "GET /auth HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("x", 1000)) })
}

func slowBodies(ctx context.Context, f *fire) {
	crowd(ctx, 50, func() { f.trickle(ctx, f.post(strings.Repeat(" ", 1000)+"{}")) })
}

func hugeBodies(ctx context.Context, f *fire) {
	head := "POST /sendmessage HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + f.token + "\r\n"
	chunk := "8000\r\n" + strings.Repeat("x", 0x8000) + "\r\n"
	crowd(ctx, 4, func() {
		f.answered(ctx, head+"Content-Length: 1000000000\r\n\r\n"+strings.Repeat("x", 1<<20), 413)
		f.answered(ctx, head+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk, 64), 413)
	})
}

func pipeline(ctx context.Context, f *fire) {
	good := f.post(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"nobody"},"Message":{"Topic":"x"}}`)
	bad := f.post(`{"Recipient":{"Type":"user"}}`)
	crowd(ctx, 4, func() { f.answered(ctx, strings.Repeat(good+bad, 10), slicesRepeat(10, 200, 400)...) })
}

func slicesRepeat(n int, of ...int) (all []int) {
	for range n {
		all = append(all, of...)
	}
	return all
}

func badTexts(ctx context.Context, f *fire) {
	deep := strings.Repeat("[", 100_000)
	texts := []string{
		"", "null", "[]", "{", `{"Recipient":`, deep, `{"Recipient":` + deep, `{"Message":{"Data":` + deep + "}}",
		"{\"Recipient\":{\"Type\":\"all\",\"IbId\":\"\xff\xfe\"},\"Message\":{\"Topic\":[]}}",
		`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Data":{"x":1}}}`,
		`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"x"}} {}`,
		`{"Recipient":{"Type":"everybody","IbId":"ib"},"Message":{}}`,
		string(bytes.Repeat([]byte{0}, 1000)),
	}
	var next atomic.Int64
	crowd(ctx, 4, func() { f.answered(ctx, f.post(texts[int(next.Add(1))%len(texts)]), 400) })
}
