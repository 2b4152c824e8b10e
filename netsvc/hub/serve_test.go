package hub_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// packet builds a registration by hand, so that any part of it can be wrong.
func packet(hashLength int, payload string) []byte {
	mac := hmac.New(sha256.New, bytes.Repeat([]byte{1}, 32))
	mac.Write([]byte(payload))
	b := binary.LittleEndian.AppendUint16(nil, uint16(hashLength))
	b = append(b, mac.Sum(nil)...)
	b = append(b, payload...)
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func fields(parts ...string) string { return strings.Join(parts, "\x00") + "\x00" }

func (s *service) dial() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatalf("dial: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// closedGently checks that the connection ends without a byte and without a reset.
func closedGently(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	var b [1]byte
	if n, err := c.Read(b[:]); n != 0 || !errors.Is(err, io.EOF) {
		t.Fatalf("read %d bytes and %v, want a plain end", n, err)
	}
}

// TestRefusesABadRegistration goes through the table of protocol.md section 4.1.
func TestRefusesABadRegistration(t *testing.T) {
	t.Parallel()
	good := fields(appID, "ib", "u", "")
	tests := []struct {
		name   string
		packet []byte
		reason wire.Reason
	}{
		{"larger than 4096 bytes", append([]byte{0xff, 0x0f}, make([]byte, 5000)...), wire.ReasonTooLarge},
		{"something else: HTTP", []byte("GET / HTTP/1.0\r\nHost: x\r\n\r\n"), wire.ReasonTooLarge},
		{"empty", []byte{0, 0}, wire.ReasonTooShort},
		{"shorter than the length of the hash", []byte{1, 0, 32}, wire.ReasonTooShort},
		{"hash of 31 bytes", packet(31, good), wire.ReasonHashLength},
		{"no hash", packet(0, good), wire.ReasonHashLength},
		{"three fields", packet(32, fields(appID, "ib", "u")), wire.ReasonMissingNUL},
		{"last NUL missing", packet(32, strings.TrimSuffix(good, "\x00")), wire.ReasonMissingNUL},
		{"invalid UTF-8", packet(32, fields(appID, "ib", "\xff", "")), wire.ReasonInvalidUTF8},
		{"no app", packet(32, fields("", "ib", "u", "")), wire.ReasonEmptyAppID},
		{"no infobase", packet(32, fields(appID, "", "u", "")), wire.ReasonEmptyIbID},
		{"unknown app", packet(32, fields(otherID, "ib", "u", "")), hub.ReasonUnknownApp},
		{"wrong HMAC", append(packet(32, good)[:40], packet(32, fields(appID, "ib", "v", ""))[40:]...), hub.ReasonWrongHMAC},
		{"more bytes follow", append(packet(32, fields(otherID, "ib", "u", "")), make([]byte, 30000)...),
			hub.ReasonUnknownApp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var log lockedBuffer
			s := start(t, hub.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			c := s.dial()
			if _, err := c.Write(tt.packet); err != nil {
				t.Fatal(err)
			}
			closedGently(t, c)
			if got := s.Stats(); got.Refused[tt.reason] != 1 || got.Sessions != 0 {
				t.Errorf("counted %v, %d sessions; want one refusal for %s", got.Refused, got.Sessions, tt.reason)
			}
			if !strings.Contains(log.String(), "reason="+string(tt.reason)) {
				t.Errorf("the reason is not in the log:\n%s", log.String())
			}
		})
	}
}

func TestAcceptsARegistrationInPieces(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.dial()
	for _, b := range packet(32, fields(appID, "ib", "u", "Склад")) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the session is registered", func() bool { return s.Stats().Sessions == 1 })
}

func TestIgnoresBytesAfterTheFourthNUL(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.dial().Write(packet(32, fields(appID, "ib", "u", "g")+"later versions"))
	eventually(t, "the session is registered", func() bool { return s.Stats().Sessions == 1 })
	if n := s.Publish(appID, wire.Recipient{Type: wire.ToGroup, IbID: "ib", UserGroup: "g"}, topic("x")); n != 1 {
		t.Fatalf("queued for %d sessions, want 1", n)
	}
}

func TestClosesWhoDoesNotRegisterInTime(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 1, 2, 50} {
		t.Run(fmt.Sprintf("%d bytes sent", sent), func(t *testing.T) {
			t.Parallel()
			s := start(t, hub.Options{Limits: hub.Limits{RegistrationTimeout: 30 * time.Millisecond}})
			c := s.dial()
			c.Write(packet(32, fields(appID, "ib", "u", ""))[:sent])
			closedGently(t, c)
			if got := s.Stats().Refused[hub.ReasonTimeout]; got != 1 {
				t.Fatalf("counted %d timeouts, want 1", got)
			}
		})
	}
}

func TestARegisteredSessionMayBeSilent(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{RegistrationTimeout: time.Second}})
	c := s.connect("ib", "u", "")
	silent := s.dial() // whose end shows that the time is over
	closedGently(t, silent)
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 1 {
		t.Fatalf("queued for %d sessions, want 1", n)
	}
	receive(t, c)
}

// timedConn knows until when it may be read; 0: for ever.
type timedConn struct {
	net.Conn
	until atomic.Int64
}

func (c *timedConn) SetReadDeadline(at time.Time) error {
	if at.IsZero() {
		c.until.Store(0)
	} else {
		c.until.Store(at.UnixNano())
	}
	return c.Conn.SetReadDeadline(at)
}

// TestTheTimeToRegisterEndsWithTheRegistration: else the session would end when it speaks again.
func TestTheTimeToRegisterEndsWithTheRegistration(t *testing.T) {
	t.Parallel()
	s, l := startPiped(t, hub.Options{Limits: hub.Limits{RegistrationTimeout: time.Hour}})
	ours, theirs := net.Pipe()
	defer ours.Close()
	conn := &timedConn{Conn: theirs}
	l.conns <- conn
	ours.SetWriteDeadline(time.Now().Add(patience))
	for _, user := range []string{"first", "again"} {
		registration := packet(32, fields(appID, "ib", user, ""))
		ours.Write(registration[:10])
		eventually(t, "it has some time", func() bool { return conn.until.Load() != 0 })
		ours.Write(registration[10:])
		eventually(t, "it has any time", func() bool { return conn.until.Load() == 0 })
		if n := s.Publish(appID, toUser(user), topic("x")); n != 1 {
			t.Errorf("a message for %s reached %d sessions", user, n)
		}
	}
}

// TestWhatComesBehindARefusedRegistrationIsRead: to close a connection with bytes unread would reset it.
func TestWhatComesBehindARefusedRegistrationIsRead(t *testing.T) {
	t.Parallel()
	_, l := startPiped(t, hub.Options{})
	ours, theirs := net.Pipe()
	defer ours.Close()
	l.conns <- theirs
	ours.SetWriteDeadline(time.Now().Add(patience))
	refused := append(packet(31, fields(appID, "ib", "u", "")), make([]byte, 10_000)...)
	if n, err := ours.Write(refused); err != nil {
		t.Errorf("%d bytes of %d were read: %v", n, len(refused), err)
	}
}

func TestEvictsTheUnregisteredConnectionSilentLongest(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{MaxUnregistered: 3}})
	registered := s.connect("ib", "u", "")
	var conns []net.Conn
	for i := range 3 {
		conns = append(conns, s.dial())
		eventually(t, "the connection is accepted", func() bool { return s.Stats().Unregistered == i+1 })
	}
	fourth := s.dial()
	closedGently(t, conns[0])
	eventually(t, "the eviction is counted", func() bool { return s.Stats().Refused[hub.ReasonEvicted] == 1 })

	for i, c := range []net.Conn{conns[1], conns[2], fourth} {
		c.Write(packet(32, fields(appID, "ib", fmt.Sprint(i), "")))
	}
	eventually(t, "the others register", func() bool { return s.Stats().Sessions == 4 })
	s.Publish(appID, toAll("ib"), topic("x"))
	receive(t, registered)
}

func TestEvictsOnDemand(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.connect("ib", "u", "")
	if s.EvictUnregistered() {
		t.Fatal("evicted something although all are registered")
	}
	c := s.dial()
	eventually(t, "the connection is accepted", func() bool { return s.Stats().Unregistered == 1 })
	if !s.EvictUnregistered() {
		t.Fatal("evicted nothing")
	}
	closedGently(t, c)
	if got := s.Stats().Sessions; got != 1 {
		t.Fatalf("%d sessions left, want 1", got)
	}
}

func TestLogsNoSecretsOfStrangers(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	s := start(t, hub.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c := s.connect("ib", "u", "")
	s.Publish(appID, toAll("ib"), topic("the content of a message"))
	receive(t, c)
	long := s.dial()
	long.Write(packet(32, fields(strings.Repeat("a", 3000), "ib", "u", "")))
	closedGently(t, long)
	if strings.Contains(log.String(), "content") {
		t.Error("a message's content is in the log")
	}
	if strings.Contains(log.String(), strings.Repeat("a", 129)) {
		t.Error("a stranger wrote 3000 characters into the log")
	}
}

// TestStartsAndStopsWithoutLeavingGoroutines runs alone, for it counts them.
func TestStartsAndStopsWithoutLeavingGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	s, served := open(t, hub.Options{})
	for i := range 50 {
		c := s.connect("ib", fmt.Sprint(i), "")
		if i%2 == 0 {
			c.Close()
		}
	}
	s.dial() // never registers
	s.Publish(appID, toAll("ib"), topic("x"))
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	eventually(t, "goroutines are back to what they were", func() bool { return runtime.NumGoroutine() <= before })
}

// TestSurvivesEverythingAtOnce is for the race detector.
func TestSurvivesEverythingAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: 4096, MaxUnregistered: 4}})
	keys := []*wire.ClientKey{s.key, clientKey(t, 2)}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	background := func(f func(i int)) {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					f(i)
				}
			}
		})
	}
	background(func(i int) {
		s.SetApp(appID, []hub.Key{{Generation: i%2 + 1, Secret: keys[i%2]}, {Generation: (i+1)%2 + 1, Secret: keys[(i+1)%2]}})
		if i%10 == 0 {
			s.SetApp(appID, []hub.Key{{Generation: 1, Secret: keys[0]}})
		}
	})
	background(func(i int) { s.Publish(appID, toAll(fmt.Sprint("ib", i%3)), topic(strings.Repeat("x", i%1000))) })
	background(func(int) {
		page, err := s.Sessions(hub.Query{})
		if err == nil && len(page.Sessions) > 0 {
			s.CloseSession(page.Sessions[0].ID, time.Time{})
		}
	})
	background(func(int) { s.EvictUnregistered() })
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := range 40 {
				c, err := wire.Dial(context.Background(), s.addr, wire.Registration{AppID: appID, IbID: fmt.Sprint("ib", i%3),
					UserID: "u"}, keys[(n+i)%2])
				if err != nil {
					continue
				}
				c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				c.Receive()
				c.Register(wire.Registration{AppID: appID, IbID: fmt.Sprint("ib", (i+1)%3), UserGroup: "g"}, keys[(n+i)%2])
				c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
				c.Receive()
				c.Close()
			}
		})
	}
	clients.Wait()
	close(stop)
	wg.Wait()
	eventually(t, "all sessions are gone", func() bool {
		st := s.Stats()
		total, _ := s.AppSessions(appID)
		return st.Sessions == 0 && total == 0
	})
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
