package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// ledger holds what senders were promised against what sessions received: each
// message that was accepted reaches exactly the sessions it is for, once and in
// order, and a session ends only when there is a reason for it.
//
// A message says what it is: the sender, whom it is for, and its number among the
// messages of that sender for them.
type ledger struct {
	t       testing.TB
	app     control.App
	client  *control.Client
	listen  string // where senders connect
	service string // where sessions connect

	sessions []*listener
	senders  []*sender
	reading  sync.WaitGroup
	settled  int // messages of settle
	doubted  int // messages without an answer that forgive found
}

const (
	infobase  = "ib"
	groupSize = 50
)

// newLedger makes an app on a daemon.
func newLedger(t testing.TB, client *control.Client) *ledger {
	t.Helper()
	l := &ledger{t: t, client: client}
	ctx := context.Background()
	status, err := client.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	here := func(address string) string { return strings.Replace(address, "*", "localhost", 1) }
	l.listen, l.service = here(status.Listen), here(status.Service)
	if l.app, err = client.CreateApp(ctx, "ledger "+strconv.Itoa(status.Apps)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func (l *ledger) close() {
	for _, s := range l.sessions {
		if s.conn != nil {
			s.conn.Close()
		}
	}
	l.reading.Wait()
}

// stream numbers the messages of a sender for somebody.
type stream struct {
	sender int
	to     string
}

// listener is a session and what it has received.
type listener struct {
	user, group string
	late        bool // it came while messages were sent: the first ones may lack
	conn        *wire.Client

	mu       sync.Mutex
	next     map[stream]int
	missing  map[stream][]int
	forgiven map[stream]int // those before this number need not come, if they have not yet
	gone     int            // that are missing, and forgiven
	settled  int
	received int
	problem  error    // the first one
	ended    error    // how it ended; nil: it goes on
	counted  *counted // nil: the sender numbers messages for each addressee, and they are entered by that
}

// openLedger makes an app on a daemon and opens sessions of it.
func openLedger(t testing.TB, client *control.Client, sessions int) *ledger {
	t.Helper()
	l := newLedger(t, client)
	l.open(sessions)
	return l
}

// open opens sessions.
func (l *ledger) open(n int) []*listener {
	l.t.Helper()
	key, err := wire.ParseClientKey(l.app.ClientKey)
	if err != nil {
		l.t.Fatal(err)
	}
	opened := make([]*listener, n)
	for i := range opened {
		number := len(l.sessions)
		s := &listener{
			user: "user" + strconv.Itoa(number), group: "group" + strconv.Itoa(number/groupSize),
			late: len(l.senders) > 0,
			next: make(map[stream]int), missing: make(map[stream][]int),
		}
		registration := wire.Registration{AppID: l.app.ID, IbID: infobase, UserID: s.user, UserGroup: s.group}
		if s.conn, err = wire.Dial(context.Background(), l.service, registration, key); err != nil {
			l.t.Fatal(err)
		}
		l.reading.Go(s.read)
		l.sessions, opened[i] = append(l.sessions, s), s
	}
	l.awaitRegistered()
	return opened
}

// awaitRegistered waits until the daemon has as many sessions as are open here.
func (l *ledger) awaitRegistered() {
	l.t.Helper()
	await(l.t, "all sessions are registered", func() bool {
		page, err := l.client.Sessions(context.Background(), control.SessionQuery{AppID: l.app.ID, Limit: 1})
		return err == nil && page.Total == len(l.alive())
	})
}

func (l *ledger) alive() (alive []*listener) {
	for _, s := range l.sessions {
		if s.end() == nil {
			alive = append(alive, s)
		}
	}
	return alive
}

func (s *listener) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *listener) read() {
	for {
		text, err := s.conn.Receive()
		s.mu.Lock()
		if err != nil {
			s.ended = err
			s.mu.Unlock()
			return
		}
		if err := s.enter(string(text)); err != nil && s.problem == nil {
			s.problem = err
		}
		s.mu.Unlock()
	}
}

// enter notes a message that was received.
func (s *listener) enter(text string) error {
	topic, _ := strings.CutPrefix(text, `{"topic":"`)
	words := strings.Fields(strings.TrimSuffix(topic, `"}`))
	if len(words) != 3 {
		return fmt.Errorf("received %q", text)
	}
	from, err := strconv.Atoi(words[0])
	number, err2 := strconv.Atoi(words[2])
	if err := errors.Join(err, err2); err != nil {
		return fmt.Errorf("received %q: %w", text, err)
	}
	of := stream{from, words[1]}
	switch {
	case of.to != "all" && of.to != s.user && of.to != s.group:
		return fmt.Errorf("received what is for %s", of.to)
	case of.sender == settler:
		s.settled = number
		return nil
	}
	s.received++
	if s.counted != nil {
		s.counted.enter(of.sender, number)
		return nil
	}
	next, known := s.next[of]
	switch {
	case number < next:
		return fmt.Errorf("message %d of %v came again, or late: expected %d", number, of, next)
	case known || !s.late:
		s.lacks(of, next, number)
	}
	s.next[of] = number + 1
	return nil
}

// lacks notes that messages have not come: those from the number next on, up to end.
func (s *listener) lacks(of stream, next, end int) {
	for ; next < end; next++ {
		if next < s.forgiven[of] {
			s.gone++
			continue
		}
		s.missing[of] = append(s.missing[of], next)
	}
}

// sender sends messages, each on a connection of its own as the 1C extension does.
type sender struct {
	ledger *ledger
	id     int
	http   *http.Client
	listen string // where it connects; empty: where the ledger says
	token  string

	padding int // bytes that its messages are longer

	next        map[string]int
	unconfirmed int                       // answers that named nodes which may lack the message
	longest     time.Duration             // that it waited for an answer
	single      time.Duration             // the same, of messages that were not for all
	accepted    map[string]int            // by addressee
	doubtful    map[stream]map[int]string // those without an answer of 200: what came instead
}

// settler is the sender of the messages that end a check.
const settler = -1

func (l *ledger) newSender(id int) *sender {
	l.t.Helper()
	s := &sender{
		ledger: l, id: id, next: make(map[string]int), accepted: make(map[string]int),
		doubtful: make(map[stream]map[int]string),
		http:     &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience},
	}
	if err := s.authorise(); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// url is that of a path of the service.
func (s *sender) url(path string) string {
	return "http://" + cmp.Or(s.listen, s.ledger.listen) + path
}

// authorise gets a token, which ends after an hour.
func (s *sender) authorise() error {
	response, err := s.http.Get(s.url("/auth?server_key=" + s.ledger.app.ServerKey))
	if err != nil {
		return errors.New("no token: the daemon does not answer")
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		return fmt.Errorf("no token: status %d, %w", response.StatusCode, err)
	}
	s.token = answer.Token
	return nil
}

// send sends the next message for an addressee.
func (s *sender) send(to string) {
	number := s.next[to]
	s.next[to]++
	began := time.Now()
	told, err := s.try(to, number)
	took := time.Since(began)
	s.longest = max(s.longest, took)
	if to != "all" {
		s.single = max(s.single, took)
	}
	if told.status == http.StatusOK {
		s.accepted[to]++
		return
	}
	if err == nil {
		err = fmt.Errorf("status %d", told.status)
	}
	of := stream{s.id, to}
	if s.doubtful[of] == nil {
		s.doubtful[of] = make(map[int]string)
	}
	s.doubtful[of][number] = err.Error()
}

// try posts a message, with another token if that has expired.
func (s *sender) try(to string, number int) (answer, error) {
	recipient := map[string]string{"Type": "all", "IbId": infobase}
	switch {
	case strings.HasPrefix(to, "user"):
		recipient["Type"], recipient["UserId"] = "user", to
	case strings.HasPrefix(to, "group"):
		recipient["Type"], recipient["UserGroup"] = "group", to
	}
	body, _ := json.Marshal(map[string]any{"Recipient": recipient,
		"Message": map[string]string{
			"Topic": fmt.Sprint(s.id, " ", to, " ", number) + strings.Repeat(" ", s.padding)}})
	told, err := s.post(string(body))
	if told.status == http.StatusForbidden && s.authorise() == nil {
		told, err = s.post(string(body))
	}
	return told, err
}

// answer is what a sender is told.
type answer struct {
	status                int
	sessions, unconfirmed int // of the headers
}

func (s *sender) post(body string) (answer, error) {
	request, err := http.NewRequest("POST", s.url("/sendmessage"), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := s.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	told := answer{status: response.StatusCode}
	told.sessions, _ = strconv.Atoi(response.Header.Get("X-Delivered-Sessions"))
	told.unconfirmed, _ = strconv.Atoi(response.Header.Get("X-Unconfirmed-Nodes"))
	if told.unconfirmed > 0 {
		s.unconfirmed++
	}
	io.Copy(io.Discard, response.Body)
	return told, nil
}

func (s *sender) acceptedAll() (n int) {
	for of := range maps.Values(s.accepted) {
		n += of
	}
	return n
}

// sendAllAround has a number of senders send to everybody, to groups and to users
// until the returned function is called.
func (l *ledger) sendAllAround(senders int, pause time.Duration) (stop func()) {
	l.t.Helper()
	var sending sync.WaitGroup
	var ended atomic.Bool
	sessions := len(l.sessions)
	for range senders {
		s := l.newSender(len(l.senders))
		l.senders = append(l.senders, s)
		sending.Go(func() {
			for n := s.id; !ended.Load(); n++ {
				switch n % 8 {
				case 0:
					s.send("all")
				case 4:
					s.send("group" + strconv.Itoa(n*7%(sessions/groupSize+1)))
				default:
					s.send("user" + strconv.Itoa(n*31%sessions))
				}
				time.Sleep(pause)
			}
		})
	}
	return sync.OnceFunc(func() {
		ended.Store(true)
		sending.Wait()
	})
}

// settle waits until every session that goes on has received all that was sent.
func (l *ledger) settle() {
	l.t.Helper()
	l.settled++
	s := l.newSender(settler)
	s.next["all"] = l.settled
	s.send("all")
	if len(s.doubtful) > 0 {
		l.t.Fatalf("the last message was not taken: %v", s.doubtful)
	}
	await(l.t, "all sessions have received the last message", func() bool {
		return !slices.ContainsFunc(l.sessions, func(session *listener) bool {
			session.mu.Lock()
			defer session.mu.Unlock()
			return session.ended == nil && session.settled != l.settled
		})
	})
}

// balance is the sum of a ledger.
type balance struct {
	accepted, doubtful int // messages
	received           int // by all sessions
	sessions, ended    int
	lost, wrong        int // messages by session
	longest, single    time.Duration
	problems           []string
}

func (b balance) String() string {
	return fmt.Sprintf("%d messages accepted, %d without an answer, %d deliveries; sessions: %d before, %d after; lost %d, doubled or misdelivered %d; a sender waited %v at most, %v with a message for some",
		b.accepted, b.doubtful, b.received, b.sessions, b.sessions-b.ended, b.lost, b.wrong,
		b.longest.Round(time.Millisecond), b.single.Round(time.Millisecond))
}

// balance compares, after settle. mayEnd tells whether the session may have ended.
func (l *ledger) balance(mayEnd func(*listener) bool) balance {
	var b balance
	doubtful := make(map[stream]map[int]string)
	last := make(map[stream]int)
	for _, s := range l.senders {
		b.accepted += s.acceptedAll()
		b.longest, b.single = max(b.longest, s.longest), max(b.single, s.single)
		for of, numbers := range s.doubtful {
			b.doubtful += len(numbers)
			doubtful[of] = numbers
		}
		for to, next := range s.next {
			last[stream{s.id, to}] = next
		}
	}
	complain := func(count *int, s *listener, format string, args ...any) {
		*count++
		b.problems = append(b.problems, s.user+": "+fmt.Sprintf(format, args...))
	}
	for _, s := range l.sessions {
		s.mu.Lock()
		b.sessions++
		b.received += s.received
		if s.problem != nil {
			complain(&b.wrong, s, "%v", s.problem)
		}
		if s.ended != nil {
			b.ended++
			if !mayEnd(s) {
				b.problems = append(b.problems, fmt.Sprintf("%s: the session ended: %v", s.user, s.ended))
			}
			s.mu.Unlock()
			continue
		}
		for of, end := range last {
			if of.to != "all" && of.to != s.user && of.to != s.group {
				continue
			}
			next, any := s.next[of]
			if s.late && !any {
				continue
			}
			s.lacks(of, next, end)
			s.next[of] = end
			for _, number := range s.missing[of] {
				if _, ok := doubtful[of][number]; !ok {
					complain(&b.lost, s, "message %d of %v did not come", number, of)
				}
			}
		}
		s.mu.Unlock()
	}
	return b
}

// forgive has messages that were sent up to now and have not been received be none that are missing: a process was
// killed that alone knew of them. Nobody may be sending.
func (l *ledger) forgive() {
	for _, s := range l.sessions {
		s.mu.Lock()
		s.forgiven = make(map[stream]int)
		for _, from := range l.senders {
			for to, next := range from.next {
				s.forgiven[stream{from.id, to}] = next
			}
		}
		s.mu.Unlock()
	}
	l.doubted = 0
	for _, s := range l.senders {
		for _, numbers := range s.doubtful {
			l.doubted += len(numbers)
		}
	}
}

// gone is how many messages, by session, are missing and forgiven.
func (l *ledger) gone() (n int) {
	for _, s := range l.sessions {
		s.mu.Lock()
		n += s.gone
		s.mu.Unlock()
	}
	return n
}

// check ends the test if the ledger is not clean: nothing lost, nothing wrong, no
// session ended, every message answered.
func (l *ledger) check() balance {
	l.t.Helper()
	b := l.balance(func(*listener) bool { return false })
	l.report(b)
	if b.doubtful > 0 {
		l.t.Errorf("%d messages were not answered, among them: %s", b.doubtful, l.aDoubt())
	}
	return b
}

// aDoubt is an example of a message without an answer.
func (l *ledger) aDoubt() string {
	for _, s := range l.senders {
		for of, numbers := range s.doubtful {
			for number, why := range numbers {
				return fmt.Sprint(of, " ", number, ": ", why)
			}
		}
	}
	return ""
}

func (l *ledger) report(b balance) {
	l.t.Helper()
	l.t.Log(b)
	for _, problem := range b.problems[:min(20, len(b.problems))] {
		l.t.Error(problem)
	}
}

// patience bounds how long a test waits for what must happen soon.
const patience = 2 * time.Minute

// await waits until something holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
