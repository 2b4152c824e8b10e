package netsvc_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// registration builds a packet by hand, so that any part of it can be wrong.
func registration(clientKey string, hashLength int, fields ...string) []byte {
	raw, _ := base64.StdEncoding.DecodeString(clientKey)
	payload := strings.Join(fields, "\x00") + "\x00"
	mac := hmac.New(sha256.New, raw[8:40])
	mac.Write([]byte(payload))
	b := binary.LittleEndian.AppendUint16(nil, uint16(hashLength))
	b = append(b, mac.Sum(nil)...)
	b = append(b, payload...)
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// TestEveryRefusalIsSeenEverywhere makes each failure of protocol.md section 4.1
// happen, and looks for it where an administrator would.
func TestEveryRefusalIsSeenEverywhere(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir())
	c.RegistrationTimeout, c.MaxUnregistered, c.MaxSessionsPerUser = patience, 1, 1
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	d := start(t, netsvc.Options{
		Config: c,
		Load:   func() (*config.Result, error) { return &config.Result{Config: c}, nil },
		Log:    slog.DiscardHandler,
	})
	reload := func() {
		if _, err := d.Client.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a := d.create("one")
	key := a.ClientKey
	other := d.create("two").ClientKey

	connect := func() net.Conn {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.SessionsPort()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	type refusal struct {
		reason string
		packet []byte // nil: nothing is sent
		user   string // it claims to be; empty: it does not say
	}
	refusals := []refusal{
		{"packet_too_large", append([]byte{0xff, 0x0f}, make([]byte, 5000)...), ""},
		{"packet_too_short", []byte{0, 0}, ""},
		{"bad_hash_length", registration(key, 31, a.ID, "ib", "u", ""), ""},
		{"missing_nul", registration(key, 32, a.ID, "ib", "u"), ""},
		{"invalid_utf8", registration(key, 32, a.ID, "ib", "\xff", ""), ""},
		{"empty_app_id", registration(key, 32, "", "ib", "u", ""), ""},
		{"empty_ib_id", registration(key, 32, a.ID, "", "u", ""), ""},
		{"unknown_app", registration(key, 32, "elsewhere", "ib", "u1", ""), "u1"},
		{"wrong_hmac", registration(other, 32, a.ID, "ib", "u2", ""), "u2"},
		{"too_many_sessions", registration(key, 32, a.ID, "ib", "u3", ""), "u3"},
		{"stale", registration(key, 32, a.ID, "ib", "u4", "", "session="+strings.Repeat("s", 22), "turn=2",
			"received=0", "from=0", "mode=again"), "u4"},
		{"registration_timeout", nil, ""},
	}
	d.session(a, "u3") // the one it may have
	for _, r := range refusals {
		if r.packet == nil { // nobody else may be hurried
			c.RegistrationTimeout = time.Millisecond
			reload()
		}
		conn := connect()
		conn.Write(r.packet)
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("%s: the connection did not end plainly: %v", r.reason, err)
		}
	}
	c.RegistrationTimeout = patience
	reload()
	first := connect()
	connect() // one more than may wait
	io.Copy(io.Discard, first)
	refusals = append(refusals, refusal{reason: "evicted"})
	var reasons []string
	for _, r := range refusals {
		reasons = append(reasons, r.reason)
	}
	for _, reason := range hub.RefusalReasons() {
		if !slices.Contains(reasons, string(reason)) {
			t.Errorf("%s is not tested", reason)
		}
	}

	ctx := t.Context()
	status, err := d.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	events, logs := make(map[string]control.Event), make(map[string]bool)
	if err := d.Events(ctx, control.EventQuery{Tail: 1000, Kinds: []string{"registration_refused"}}, false,
		func(e control.Event) error {
			events[e.Reason] = e
			return nil
		}); err != nil {
		t.Fatal(err)
	}
	if err := d.Logs(ctx, control.LogQuery{Tail: 1000, Text: "registration refused"}, false,
		func(r control.LogRecord) error {
			logs[fmt.Sprint(r.Attrs[0].Value)] = true
			return nil
		}); err != nil {
		t.Fatal(err)
	}
	metrics := get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", d.MetricsPort()))
	nameless, err := d.Explain(ctx, a.ID, "ib", "nobody", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refusals {
		if status.Refused[r.reason] == 0 {
			t.Errorf("%s is not in the status: %v", r.reason, status.Refused)
		}
		if e := events[r.reason]; e.Peer == nil || e.Peer.Addr == "" || e.Peer.UserID != r.user {
			t.Errorf("%s is told as %+v", r.reason, e)
		}
		if !logs[r.reason] {
			t.Errorf("%s is not in the log", r.reason)
		}
		if want := fmt.Sprintf("pns4ones_registrations_refused_total{reason=%q} %d\n", r.reason,
			status.Refused[r.reason]); !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
		switch r.user {
		case "":
			if !slices.ContainsFunc(nameless.Nameless, func(n control.Refusal) bool { return n.Reason == r.reason }) &&
				r.reason != "packet_too_large" {
				t.Errorf("%s is not explained: %+v", r.reason, nameless.Nameless)
			}
		default:
			about, err := d.Explain(ctx, a.ID, "ib", r.user, "")
			if err != nil {
				t.Fatal(err)
			}
			found := append(about.RefusedElsewhere, control.Refusal{})
			if about.LastRefused != nil {
				found = append(found, *about.LastRefused)
			}
			if !slices.ContainsFunc(found, func(n control.Refusal) bool {
				return n.Reason == r.reason && n.Count == 1
			}) {
				t.Errorf("%s of %s is not explained: %+v", r.reason, r.user, about)
			}
		}
	}
}

// TestHealthIsBadWhileTheServiceEnds: a request that is under way holds up the end.
func TestHealthIsBadWhileTheServiceEnds(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir())
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	d := start(t, netsvc.Options{Config: c})
	token, _ := d.authorise(d.create("one").ServerKey)
	sender, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", d.SendersPort()))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	fmt.Fprintf(sender,
		"POST /sendmessage HTTP/1.1\r\nHost: pns\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", token)
	if _, err := bufio.NewReader(sender).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/healthz", d.MetricsPort())
	ended := make(chan error, 1)
	go func() { ended <- d.stop() }()
	eventually(t, "the health is bad", func() bool {
		response, err := http.Get(url)
		if err != nil {
			t.Fatalf("it cannot be asked for: %v", err)
		}
		defer response.Body.Close()
		var health control.Health
		if err := json.NewDecoder(response.Body).Decode(&health); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode == http.StatusServiceUnavailable && health.Status == "stopping" &&
			health.Reason != ""
	})
	sender.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, response.Status, err)
	}
	return string(text)
}

func TestTheMetricsListenerHasNothingElse(t *testing.T) {
	t.Parallel()
	c := settings(t.TempDir())
	c.MetricsListen = &config.Address{Host: "127.0.0.1"}
	d := start(t, netsvc.Options{Config: c})
	url := fmt.Sprintf("http://127.0.0.1:%d", d.MetricsPort())
	if text := get(t, url+"/metrics"); !strings.Contains(text, "pns4ones_sessions 0") ||
		!strings.Contains(text, "process_open_fds") {
		t.Errorf("the metrics are %.300s", text)
	}
	if text := get(t, url+"/healthz"); text != `{"status":"ok"}`+"\n" {
		t.Errorf("its health is %q", text)
	}
	for _, path := range []string{"/", "/v1/status", "/debug/pprof/", "/auth?server_key=x"} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

func TestEventsTellWhatChangesAboutApps(t *testing.T) {
	t.Parallel()
	d := start(t, netsvc.Options{Config: settings(t.TempDir())})
	ctx := t.Context()
	a := d.create("one")
	if _, err := d.RenameApp(ctx, a.ID, "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateServerKey(ctx, a.ID, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateClientKey(ctx, a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ResetToken(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RevokeOld(ctx, a.ID, false, true); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RemoveApp(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	var changes []string
	if err := d.Events(ctx, control.EventQuery{Tail: 100}, false, func(e control.Event) error {
		changes = append(changes, e.Change+" "+e.Title)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := "created one, renamed two, server_key two, client_key two, tokens_reset two, old_keys_gone two, removed two"
	if got := strings.Join(changes, ", "); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

// TestOneSenderDoesNotHideAnother: two infobases of one 1C server send from one
// address; what is refused to one is found whatever the other does all the time.
func TestOneSenderDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	d := start(t, netsvc.Options{Config: settings(t.TempDir()), Log: slog.NewTextHandler(&log, nil)})
	loud, quiet := d.create("loud"), d.create("quiet")
	post := func(a control.App, token, body string) {
		t.Helper()
		if token == "" {
			token, _ = d.authorise(a.ServerKey)
		}
		request, err := http.NewRequest(http.MethodPost, d.url("/sendmessage"), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Fatalf("%s was accepted", body)
		}
	}
	const wrongEncoding, number = "{\"Message\":\"\xcf\xf0\"}",
		`{"Recipient":{"Type":"all","IbId":"x"},"Message":{"Data":{"n":5}}}`
	reset, _ := d.authorise(quiet.ServerKey)
	if _, err := d.ResetToken(t.Context(), quiet.ID); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		post(loud, "", wrongEncoding)
		if i == 3 {
			post(quiet, "", number)
			post(quiet, "", number)
			post(quiet, reset, number)
		}
	}
	for _, reason := range []string{"bad_request", "bad_token"} {
		if want := fmt.Sprintf("reason=%s peer=127.0.0.1 app=%s ", reason, quiet.ID); strings.Count(log.String(),
			want) != 1 {
			t.Errorf("%s is not in the log once:\n%s", want, log.String())
		}
	}
	status, err := d.StatusByApp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range status.ByApp {
		if want := map[string]uint64{"loud": 6, "quiet": 3}[s.Title]; s.RequestsRefused != want {
			t.Errorf("%d requests of %s were refused, want %d", s.RequestsRefused, s.Title, want)
		}
	}
	about, err := d.Explain(t.Context(), quiet.ID, "x", "anybody", "")
	if err != nil {
		t.Fatal(err)
	}
	r := about.RefusedRequests
	if len(r) != 2 || r[0].Reason != "bad_token" || r[0].Count != 1 || r[1].Reason != "bad_request" ||
		r[1].Count != 2 ||
		r[1].Addr != "127.0.0.1" ||
		!strings.Contains(r[1].Detail, "Data") || r[1].Time.Before(r[1].First) {
		t.Errorf("explained as %+v", r)
	}
}
