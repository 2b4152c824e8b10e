package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// errEnough ends a stream from the side of the one who follows it.
var errEnough = errors.New("enough")

func (d *daemon) logs(q control.LogQuery) []control.LogRecord {
	d.t.Helper()
	var records []control.LogRecord
	if err := d.Logs(d.t.Context(), q, false, func(r control.LogRecord) error {
		records = append(records, r)
		return nil
	}); err != nil {
		d.t.Fatalf("reading the log: %v", err)
	}
	return records
}

func messages(records []control.LogRecord) string {
	var all []string
	for _, r := range records {
		all = append(all, r.Message)
	}
	return strings.Join(all, " ")
}

func TestLogsAreFilteredByLevelAndText(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.logger.Debug("one", "user_id", "Иванов")
	d.logger.Info("two", "age", 1500*time.Millisecond, "n", 7, "ok", true)
	d.logger.Warn("three", "user_id", "иванов")
	d.logger.Error("four")
	for _, tt := range []struct {
		query control.LogQuery
		want  string
	}{
		{control.LogQuery{Tail: 100}, "one two three four"},
		{control.LogQuery{Tail: 2}, "three four"},
		{control.LogQuery{Tail: 0}, ""},
		{control.LogQuery{Tail: 100, Level: "warning"}, "three four"},
		{control.LogQuery{Tail: 100, Level: "Critical"}, ""},
		{control.LogQuery{Tail: 100, Text: "ИВАНОВ"}, "one three"},
		{control.LogQuery{Tail: 1, Text: "user_id=иван"}, "three"},
		{control.LogQuery{Tail: 100, Text: "tWo"}, "two"},
		{control.LogQuery{Tail: 100, Message: "t"}, "two three"},
		{control.LogQuery{Tail: 100, Message: "t", Level: "Warning"}, "three"},
		{control.LogQuery{Tail: 100, Message: "wo"}, ""},
	} {
		if got := messages(d.logs(tt.query)); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.query, got, tt.want)
		}
	}
	all := d.logs(control.LogQuery{Tail: 100})
	for since, want := range map[time.Time]string{
		all[0].Time:                                 "one two three four",
		all[2].Time.Add(-time.Nanosecond):           "three four",
		all[3].Time.Add(time.Nanosecond):            "",
		all[3].Time.In(time.FixedZone("", 3*60*60)): "four",
	} {
		if got := messages(d.logs(control.LogQuery{Tail: 100, Since: since})); got != want {
			t.Errorf("since %v: got %q, want %q", since, got, want)
		}
	}
	two := d.logs(control.LogQuery{Tail: 1, Text: "two"})[0]
	want := control.LogAttrs{{Name: "age", Value: json.Number("1.5")}, {Name: "n", Value: json.Number("7")},
		{Name: "ok", Value: true}}
	if diff := cmp.Diff(want, two.Attrs); diff != "" || two.Level != "Information" || two.Time.IsZero() {
		t.Errorf("record %+v: %s", two, diff)
	}
}

// A crowd that comes to work says nothing that is worse than Information.
func TestACrowdDoesNotPushWarningsOut(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.logger.Warn("certificate expires soon")
	for range logring.Size {
		d.logger.Info("session opened")
	}
	if got := messages(d.logs(control.LogQuery{Tail: 100, Level: "Warning"})); got != "certificate expires soon" {
		t.Errorf("after many sessions the warnings are %q", got)
	}
	if got := messages(d.logs(control.LogQuery{Tail: 100_000, Message: "cert"})); got != "" {
		t.Errorf("among all records is still %q", got)
	}
}

func TestStreamsRefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	for target, want := range map[string]string{
		"/v1/logs?level=Loud":        "expected one of Trace, Debug, Information, Warning, Error, Critical, None",
		"/v1/logs?tail=-1":           "tail: expected a number from 0",
		"/v1/logs?tail=many":         "tail: expected a number from 0",
		"/v1/logs?follow=perhaps":    "follow: expected true or false",
		"/v1/logs?grep=x":            "expected one of level, q, message, since, tail, follow",
		"/v1/logs?since=yesterday":   "since: expected a time like",
		"/v1/events?event=birthday":  "expected one of session_opened, session_changed, session_closed, session_detached, session_resumed, registration_refused, app_changed, message_without_recipient, node, statistics",
		"/v1/status?by_app=perhaps":  "by_app: expected true or false",
		"/v1/explain?ib=x&user=y":    "app: is required",
		"/v1/explain?app=x&user=y":   "ib: is required",
		"/v1/explain?app=x&ib=y":     "user or group",
		"/v1/sessions?sort=colour":   "expected one of addr, app, bytes",
		"/v1/events?follow=1&tail=x": "tail: expected",
	} {
		got := d.do("GET", target, "")
		if got.status != http.StatusBadRequest || got.code(t) != control.CodeBadRequest ||
			!strings.Contains(got.body, want) {
			t.Errorf("GET %s: answered %d %s, want 400 with %q", target, got.status, got.body, want)
		}
	}
	got := d.do("PUT", "/v1/log-level", `{"level":"Loud"}`)
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "expected one of Trace, Debug") {
		t.Errorf("PUT /v1/log-level: answered %d %s", got.status, got.body)
	}
	refused(t, d.SetLogLevel(t.Context(), ""), http.StatusBadRequest, control.CodeBadRequest)
}

func TestFollowsTheLog(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.logger.Warn("before")
	got := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- d.Logs(context.Background(), control.LogQuery{Tail: 1, Level: "Warning"}, true,
			func(r control.LogRecord) error {
				got <- r.Message
				if r.Message == "last" {
					return errEnough
				}
				return nil
			})
	}()
	if first := <-got; first != "before" {
		t.Fatalf("got %q first", first)
	}
	d.logger.Info("not this")
	d.logger.Warn("after")
	d.logger.Warn("last")
	if a, b := <-got, <-got; a != "after" || b != "last" {
		t.Fatalf("got %q and %q", a, b)
	}
	if err := <-ended; !errors.Is(err, errEnough) {
		t.Fatalf("the stream ended with %v", err)
	}
}

func TestAFollowerSeesTheDaemonEnd(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.logger.Warn("x")
	got := make(chan struct{}, 10)
	ended := make(chan error, 2)
	go func() {
		ended <- d.Logs(context.Background(), control.LogQuery{Tail: 1}, true, func(control.LogRecord) error {
			got <- struct{}{}
			return nil
		})
	}()
	<-got
	d.stop()
	if err := <-ended; !errors.Is(err, control.ErrEnded) {
		t.Fatalf("the stream ended with %v", err)
	}
}

// Not parallel: it counts the goroutines of the process.
func TestFollowersLeaveNothingBehind(t *testing.T) {
	d := start(t, nil)
	d.logger.Warn("x")
	if _, err := d.Status(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Client.Close()
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	const each = 5
	for range each {
		go func() {
			ended <- d.Logs(ctx, control.LogQuery{}, true, func(control.LogRecord) error { return nil })
		}()
		go func() {
			ended <- d.Events(ctx, control.EventQuery{}, true, func(control.Event) error { return nil })
		}()
	}
	followers := func() int {
		s, err := d.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return s.Followers
	}
	eventually(t, "all follow", func() bool { return followers() == 2*each })
	cancel()
	for range 2 * each {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a stream ended with %v", err)
		}
	}
	eventually(t, "none follows", func() bool { return followers() == 0 })
	d.Client.Close()
	eventually(t, "their goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestOneFollowerTooManyIsRefused(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 64 {
		go d.Logs(ctx, control.LogQuery{}, true, func(control.LogRecord) error { return nil })
	}
	eventually(t, "64 follow", func() bool {
		s, err := d.Status(context.Background())
		return err == nil && s.Followers == 64
	})
	err := d.Events(t.Context(), control.EventQuery{}, true, func(control.Event) error { return nil })
	refusal := refused(t, err, http.StatusServiceUnavailable, control.CodeTooManyFollowers)
	if runtime.GOOS == "linux" && (len(refusal.Holders) != 1 || refusal.Holders[0].PID != os.Getpid() ||
		refusal.Holders[0].Streams != 64) {
		t.Errorf("the refusal names %+v, want process %d with 64 streams", refusal.Holders, os.Getpid())
	}
	d.logs(control.LogQuery{Tail: 1}) // who only looks is no follower
}

// A follower that stops reading holds up neither the log nor the end of the
// daemon, and when it reads again it is told what it has missed.
func TestAFollowerThatDoesNotReadLosesRecords(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	conn, err := socket.Dial(t.Context(), d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /v1/logs?follow=true&tail=0 HTTP/1.1\r\nHost: pns\r\n\r\n")
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 300)
	const records = 3 * logring.Size
	for n := range records {
		d.logger.Warn("flood", "n", n, "text", text)
	}
	decoder := json.NewDecoder(answer.Body)
	next, lost := 0, uint64(0)
	for next < records {
		var r control.LogRecord
		if err := decoder.Decode(&r); err != nil {
			t.Fatalf("after %d records: %v", next, err)
		}
		if r.Lost > 0 {
			lost += r.Lost
			next += int(r.Lost)
			continue
		}
		if want := json.Number(fmt.Sprint(next)); r.Attrs[0].Value != want {
			t.Fatalf("got record %v, want %s", r.Attrs[0].Value, want)
		}
		next++
	}
	if lost == 0 {
		t.Error("nothing was lost, the test proves nothing")
	}

	// It stops reading for good; the end of the test stops the daemon.
	for n := range records {
		d.logger.Warn("flood", "n", n, "text", text)
	}
	d.stop()
}

func TestEventsTellWhatHappens(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("Склад")
	got := make(chan control.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Events(ctx, control.EventQuery{Kinds: []string{"session_opened", "session_closed",
			"registration_refused", "app_changed"}}, true,
			func(e control.Event) error {
				got <- e
				return nil
			})
	}()
	eventually(t, "it follows", func() bool {
		s, err := d.Status(context.Background())
		return err == nil && s.Followers == 1
	})
	c := d.connect(a, "ib", "ann", "g")
	opened := <-got
	if opened.Event != "session_opened" || opened.Session == nil || opened.Session.UserID != "ann" ||
		opened.Session.AppID != a.ID || opened.AgeSeconds != nil {
		t.Errorf("opened: %+v", opened)
	}
	c.Close()
	closed := <-got
	if closed.Event != "session_closed" || closed.Reason != "closed_by_peer" || closed.AgeSeconds == nil ||
		closed.Session.ID != opened.Session.ID {
		t.Errorf("closed: %+v", closed)
	}
	stranger, err := wire.Dial(t.Context(), d.sessions, wire.Registration{AppID: "elsewhere", IbID: "ib",
		UserID: "ann"},
		parseKey(t, a.ClientKey))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	refusal := <-got
	if refusal.Event != "registration_refused" || refusal.Reason != "unknown_app" || refusal.Peer == nil ||
		refusal.Peer.AppID != "elsewhere" || refusal.Peer.Addr == "" {
		t.Errorf("refused: %+v", refusal)
	}
	d.history.AppChanged(a.ID, "Склад", "renamed")
	if changed := <-got; changed.Event != "app_changed" || changed.AppID != a.ID || changed.Title != "Склад" ||
		changed.Change != "renamed" {
		t.Errorf("changed: %+v", changed)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}

	var kinds []string
	collect := func(e control.Event) error {
		kinds = append(kinds, e.Event)
		return nil
	}
	for _, tt := range []struct {
		query control.EventQuery
		want  string
	}{
		{control.EventQuery{Tail: 100}, "session_opened session_closed registration_refused app_changed"},
		{control.EventQuery{Tail: 2}, "registration_refused app_changed"},
		{control.EventQuery{Tail: 100, AppID: a.ID}, "session_opened session_closed app_changed"},
		{control.EventQuery{Tail: 100, Text: "ANN"}, "session_opened session_closed registration_refused"},
		{control.EventQuery{Tail: 100, Text: "склад"}, "app_changed"},
		{control.EventQuery{Tail: 100, Text: "unknown_"}, "registration_refused"},
		{control.EventQuery{Tail: 100, Kinds: []string{"app_changed", "session_opened"}}, "session_opened app_changed"},
	} {
		kinds = nil
		if err := d.Events(t.Context(), tt.query, false, collect); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(kinds, " "); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestAFollowerOfEventsGetsStatisticsEachSecond(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- d.stats.Run(ctx) }()
	ticks := 0
	err := d.Events(t.Context(), control.EventQuery{Kinds: []string{"statistics"}}, true, func(e control.Event) error {
		if e.Statistics == nil || e.Statistics.MemoryBytes == 0 || e.Statistics.Latency.WindowSeconds != 60 {
			t.Errorf("tick: %+v", e)
		}
		if ticks++; ticks == 2 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}

// Every reason that exists is in the status from the start, so that a script or a
// dashboard need not wait for the first of each.
func TestStatusHasEveryReason(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	s, err := d.StatusByApp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range hub.RefusalReasons() {
		if _, there := s.Refused[string(reason)]; !there {
			t.Errorf("%s is not among the refusals", reason)
		}
	}
	for _, reason := range hub.CloseReasons() {
		if _, there := s.Closed[reason]; !there {
			t.Errorf("%s is not among the closings", reason)
		}
	}
	if len(s.ByApp) > 0 {
		t.Errorf("apps in the status of a daemon without any: %+v", s.ByApp)
	}
	a := d.newApp("one")
	d.connect(a, "ib", "ann", "")
	if _, err := d.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "elsewhere"},
		wire.Message{Topic: "x"}); err != nil {
		t.Fatal(err)
	}
	if s, err = d.StatusByApp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.ByApp) != 1 || s.ByApp[0].Title != "one" || s.ByApp[0].Sessions != 1 || s.ByApp[0].Messages != 1 ||
		s.ByApp[0].NoRecipient != 1 {
		t.Errorf("by app: %+v", s.ByApp)
	}
}

func TestMetricsAreThoseOfTheRecorder(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	got := d.do("GET", "/v1/metrics", "")
	if got.status != http.StatusOK || !strings.Contains(got.body, "\npns4ones_sessions 0\n") {
		t.Errorf("answered %d %.200s", got.status, got.body)
	}
	if kind := got.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("Content-Type is %q", kind)
	}
}
