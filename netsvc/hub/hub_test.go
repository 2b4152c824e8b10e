package hub_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// patience bounds how long a test waits for what must happen soon.
const patience = 2 * time.Minute

const (
	appID   = "0f8fad5b-d9cb-469f-a165-70867728950e"
	otherID = "1f8fad5b-d9cb-469f-a165-70867728950e"
)

// clientKey returns a client key made of one repeated byte.
func clientKey(t testing.TB, b byte) *wire.ClientKey {
	t.Helper()
	raw := append([]byte{32, 0, 0, 0, 16, 0, 0, 0}, make([]byte, 48)...)
	for i := range 48 {
		raw[8+i] = b
	}
	k, err := wire.ParseClientKey(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatalf("client key: %v", err)
	}
	return k
}

// service is a hub that listens on a free port of 127.0.0.1.
type service struct {
	*hub.Hub
	t    testing.TB
	addr string
	ln   net.Listener
	key  *wire.ClientKey // of appID
}

// open returns a service that the test shuts down itself; served gets what
// Serve returned.
func open(t testing.TB, o hub.Options) (s *service, served <-chan error) {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s = &service{Hub: hub.New(o), t: t, addr: ln.Addr().String(), ln: ln, key: clientKey(t, 1)}
	s.SetApp(appID, []hub.Key{{Generation: 1, Secret: s.key}})
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	return s, ended
}

// start returns a service that ends with the test.
func start(t testing.TB, o hub.Options) *service {
	t.Helper()
	s, served := open(t, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		s.isEmpty()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return s
}

// endsWith has the hub end with the test, if it has not before.
func (s *service) endsWith(t testing.TB) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Shutdown(ctx)
	})
}

// isEmpty checks, when the sessions have ended, that nothing is counted that waits or is kept.
func (s *service) isEmpty() {
	s.t.Helper()
	if used := s.Stats().QueueMemory.Bytes; used != 0 && !s.Frozen() {
		s.t.Errorf("nobody is there, and %d bytes are taken for them", used)
	}
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		runtime.Gosched()
	}
}

// connect opens a session of appID and waits until the hub has it.
func (s *service) connect(ib, user, group string) *wire.Client {
	s.t.Helper()
	return s.register(wire.Registration{AppID: appID, IbID: ib, UserID: user, UserGroup: group}, s.key)
}

func (s *service) register(r wire.Registration, k *wire.ClientKey) *wire.Client {
	s.t.Helper()
	before := s.Stats().Registrations
	c, err := wire.Dial(context.Background(), s.addr, r, k)
	if err != nil {
		s.t.Fatalf("dial: %v", err)
	}
	s.t.Cleanup(func() { c.Close() })
	eventually(s.t, "the session is registered", func() bool { return s.Stats().Registrations > before })
	return c
}

// receive returns the next message of a session.
func receive(t testing.TB, c *wire.Client) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	text, err := c.Receive()
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return string(text)
}

// ends checks that the service closed the connection, without a reset.
func ends(t testing.TB, c *wire.Client) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if text, err := c.Receive(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %q and %v, want the connection to end", text, err)
	}
}

func topic(text string) *wire.Message { return &wire.Message{Topic: text} }

func toAll(ib string) wire.Recipient { return wire.Recipient{Type: wire.ToAll, IbID: ib} }

func toUser(user string) wire.Recipient {
	return wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: user}
}

func TestDeliversToThoseWhoAreMeant(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.SetApp(otherID, []hub.Key{{Generation: 1, Secret: clientKey(t, 2)}})
	sessions := map[string]*wire.Client{
		"ivanov":       s.connect("ib1", "ivanov", "Склад"),
		"ivanov again": s.connect("ib1", "ivanov", ""),
		"petrov":       s.connect("ib1", "petrov", "Склад"),
		"nobody":       s.connect("ib1", "", ""),
		"other ib":     s.connect("ib2", "ivanov", "Склад"),
		"other app": s.register(wire.Registration{AppID: otherID, IbID: "ib1", UserID: "ivanov", UserGroup: "Склад"},
			clientKey(t, 2)),
	}
	tests := []struct {
		name string
		to   wire.Recipient
		want []string
	}{
		{"a user's sessions", wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "ivanov"},
			[]string{"ivanov", "ivanov again"}},
		{"case matters in a user", wire.Recipient{Type: wire.ToUser, IbID: "ib1", UserID: "Ivanov"}, nil},
		{"a group", wire.Recipient{Type: wire.ToGroup, IbID: "ib1", UserGroup: "Склад"}, []string{"ivanov", "petrov"}},
		{"case matters in a group", wire.Recipient{Type: wire.ToGroup, IbID: "ib1", UserGroup: "склад"}, nil},
		{"all of an infobase", toAll("ib1"), []string{"ivanov", "ivanov again", "petrov", "nobody"}},
		{"all of the other infobase", toAll("ib2"), []string{"other ib"}},
		{"an infobase without sessions", toAll("ib3"), nil},
	}
	for _, tt := range tests {
		if got := s.Publish(appID, tt.to, topic(tt.name)); got != len(tt.want) {
			t.Errorf("%s: queued for %d sessions, want %d", tt.name, got, len(tt.want))
		}
	}
	// What each session got, in order: nothing else and nothing twice.
	end := topic("end")
	s.Publish(appID, toAll("ib1"), end)
	s.Publish(appID, toAll("ib2"), end)
	s.Publish(otherID, toAll("ib1"), end)
	for name, c := range sessions {
		var want []string
		for _, tt := range tests {
			for _, n := range tt.want {
				if n == name {
					want = append(want, fmt.Sprintf(`{"topic":%q}`, tt.name))
				}
			}
		}
		want = append(want, `{"topic":"end"}`)
		for i, w := range want {
			if got := receive(t, c); got != w {
				t.Errorf("%s: message %d is %s, want %s", name, i, got, w)
			}
		}
	}
}

func TestAcceptsAnAppIDInAnyLetterCase(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.register(wire.Registration{AppID: strings.ToUpper(appID), IbID: "ib", UserID: "u"}, s.key)
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 1 {
		t.Fatalf("queued for %d sessions, want 1", n)
	}
	receive(t, c)
}

func TestKeepsTheOrderOfMessages(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	var clients []*wire.Client
	for range 20 {
		clients = append(clients, s.connect("ib", "u", ""))
	}
	const messages = 500
	for i := range messages {
		s.Publish(appID, toAll("ib"), topic(fmt.Sprint(i)))
	}
	for _, c := range clients {
		for i := range messages {
			if got, want := receive(t, c), fmt.Sprintf(`{"topic":"%d"}`, i); got != want {
				t.Fatalf("message %d is %s", i, got)
			}
		}
	}
}

func TestDropsASlowSessionAndOnlyThat(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: 64 << 10}})
	stalled := s.connect("ib", "slow", "")
	quick := s.connect("ib", "quick", "")
	body := &wire.Message{Topic: strings.Repeat("x", 32<<10)}
	// As much as the socket buffers, the queue and one more message hold: a
	// stalled session cannot outlast it.
	sent := 0
	for s.Stats().DroppedAsSlow == 0 && sent < 5000 {
		s.Publish(appID, toAll("ib"), body)
		receive(t, quick)
		sent++
	}
	if got := s.Stats(); got.DroppedAsSlow != 1 || got.Sessions != 1 {
		t.Fatalf("after %d messages: %d dropped as slow, %d sessions left, want 1 and 1", sent, got.DroppedAsSlow,
			got.Sessions)
	}
	stalled.SetReadDeadline(time.Now().Add(patience))
	for {
		if _, err := stalled.Receive(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("the dropped session ended with %v, want a plain end", err)
			}
			break
		}
	}
}

func TestQueuesOneMessageLargerThanTheQueue(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{QueueBytes: 1000}})
	c := s.connect("ib", "u", "")
	text := strings.Repeat("Ж", 1<<20)
	if n := s.Publish(appID, toAll("ib"), topic(text)); n != 1 {
		t.Fatalf("queued for %d sessions, want 1", n)
	}
	if got := receive(t, c); len(got) != len(`{"topic":""}`)+len(text) {
		t.Fatalf("got %d bytes", len(got))
	}
}

func TestDropsASessionWhoseWritesMakeNoProgress(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{Limits: hub.Limits{WriteTimeout: 50 * time.Millisecond, QueueBytes: 1 << 30}})
	s.connect("ib", "stalled", "")
	for range 16 {
		s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 1<<20)))
	}
	eventually(t, "the session is dropped", func() bool { return s.Stats().DroppedAsSlow == 1 })
}

func TestGivesEachSessionFramesUnderItsOwnKey(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	older := s.connect("ib", "u", "")
	newKey := clientKey(t, 9)
	if closed := s.SetApp(appID, []hub.Key{{Generation: 2, Secret: newKey}, {Generation: 1, Secret: s.key}}); closed != 0 {
		t.Fatalf("adding a key closed %d sessions", closed)
	}
	newer := s.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "u"}, newKey)
	late := s.connect("ib", "u", "") // with the old key, which is still in force
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 3 {
		t.Fatalf("queued for %d sessions, want 3", n)
	}
	for _, c := range []*wire.Client{older, newer, late} {
		receive(t, c)
	}
	if total, old := s.AppSessions(appID); total != 3 || old != 2 {
		t.Fatalf("%d sessions, %d on the old key, want 3 and 2", total, old)
	}
	if closed := s.SetApp(appID, []hub.Key{{Generation: 2, Secret: newKey}}); closed != 2 {
		t.Fatalf("ending the old key closed %d sessions, want 2", closed)
	}
	ends(t, older)
	ends(t, late)
	s.Publish(appID, toAll("ib"), topic("y"))
	receive(t, newer)
}

// TestWhoRegistersUnderAnotherKeyGetsNothingMoreUnderTheFormer: the add-in ends with a frame that it cannot decrypt.
// What was being written then cannot be called back.
func TestWhoRegistersUnderAnotherKeyGetsNothingMoreUnderTheFormer(t *testing.T) {
	t.Parallel()
	s, l := startPiped(t, hub.Options{Limits: sizeBound(1 << 40)})
	conn := l.silent(s, "ann")
	s.send("1", "2")
	conn.SetReadDeadline(time.Now().Add(patience))
	begun := make([]byte, 1)
	if _, err := io.ReadFull(conn, begun); err != nil {
		t.Fatal(err)
	}
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	s.SetApp(appID, []hub.Key{next, {Generation: 1, Secret: s.key}})
	again, err := wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib", UserID: "ann"}, next.Secret)
	if err != nil {
		t.Fatal(err)
	}
	(&addin{t: t, s: s, conn: conn}).say(again)
	s.send("3")
	read := io.MultiReader(bytes.NewReader(begun), conn)
	for _, want := range []struct {
		key  *wire.ClientKey
		text string
	}{{s.key, `{"topic":"1"}`}, {next.Secret, `{"topic":"3"}`}} {
		if text, err := wire.ReadFrame(read, want.key, 1<<10); err != nil || string(text) != want.text {
			t.Fatalf("%s came, not %s: %v", text, want.text, err)
		}
	}
}

func TestRemovingAnAppClosesItsSessions(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	s.SetApp(otherID, []hub.Key{{Generation: 1, Secret: s.key}})
	c := s.connect("ib", "u", "")
	other := s.register(wire.Registration{AppID: otherID, IbID: "ib", UserID: "u"}, s.key)
	if closed := s.RemoveApp(appID); closed != 1 {
		t.Fatalf("closed %d sessions, want 1", closed)
	}
	ends(t, c)
	if n := s.Publish(appID, toAll("ib"), topic("x")); n != 0 {
		t.Fatalf("queued for %d sessions of a removed app", n)
	}
	s.Publish(otherID, toAll("ib"), topic("x"))
	receive(t, other)
}

func TestRegisteringAgainReplacesTheIdentity(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.connect("ib1", "ivanov", "Склад")
	before := s.Stats().Registrations
	if err := c.Register(wire.Registration{AppID: appID, IbID: "ib2", UserID: "petrov"}, s.key); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session is registered again", func() bool { return s.Stats().Registrations > before })
	for _, to := range []wire.Recipient{toAll("ib1"), {Type: wire.ToUser, IbID: "ib1", UserID: "ivanov"},
		{Type: wire.ToGroup, IbID: "ib1", UserGroup: "Склад"}} {
		if n := s.Publish(appID, to, topic("old")); n != 0 {
			t.Errorf("%+v still reaches %d sessions", to, n)
		}
	}
	if n := s.Publish(appID, wire.Recipient{Type: wire.ToUser, IbID: "ib2", UserID: "petrov"}, topic("new")); n != 1 {
		t.Fatalf("the new identity has %d sessions, want 1", n)
	}
	if got := receive(t, c); got != `{"topic":"new"}` {
		t.Fatalf("got %s", got)
	}
	if got := s.Stats().Sessions; got != 1 {
		t.Fatalf("%d sessions, want 1", got)
	}
	if got, _ := s.AppSessions(appID); got != 1 {
		t.Errorf("the app has %d sessions, want 1", got)
	}
}

func TestABadSecondRegistrationEndsTheSession(t *testing.T) {
	t.Parallel()
	s := start(t, hub.Options{})
	c := s.connect("ib", "u", "")
	if err := c.Register(wire.Registration{AppID: appID, IbID: "ib", UserID: "u"}, clientKey(t, 7)); err != nil {
		t.Fatal(err)
	}
	ends(t, c)
	eventually(t, "the session is gone", func() bool { return s.Stats().Sessions == 0 })
	if got := s.Stats().Refused[hub.ReasonWrongHMAC]; got != 1 {
		t.Fatalf("%d refusals counted, want 1", got)
	}
}

func TestShutdownDeliversWhatIsQueued(t *testing.T) {
	t.Parallel()
	s, served := open(t, hub.Options{Limits: hub.Limits{QueueBytes: 1 << 30}})
	c := s.connect("ib", "u", "")
	const messages = 40 // of 1 MiB: more than the socket buffers hold
	for range messages {
		s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 1<<20)))
	}
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended <- s.Shutdown(ctx)
	}()
	for range messages {
		receive(t, c)
	}
	ends(t, c)
	if err := <-ended; err != nil {
		t.Fatalf("shutdown: %v", err)
	}
	if err := <-served; err != nil {
		t.Fatalf("serve: %v", err)
	}
}

func TestShutdownDoesNotWaitForAStalledSession(t *testing.T) {
	t.Parallel()
	s, _ := open(t, hub.Options{Limits: hub.Limits{QueueBytes: 1 << 30}})
	s.connect("ib", "stalled", "")
	for range 40 {
		s.Publish(appID, toAll("ib"), topic(strings.Repeat("x", 1<<20)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("shutdown returned %v, want that it gave up waiting", err)
	}
}
