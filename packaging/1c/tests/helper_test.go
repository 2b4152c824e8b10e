package tests

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// helper does for a scenario what OneScript cannot: HTTP as the platform does it, the
// daemon and its commands, the add-in's connection, and a service that answers as told.
type helper struct {
	port     int
	read     int // how much of raised has been told
	programs string
	folder   string
	fake     *fake
	trusted  *x509.CertPool
	raised   string    // the file that the real add-in's events go to; empty: its stand-in's
	given    any       // what the test has prepared for all who play
	meeting  *meetings // where those who play wait for each other

	mu     sync.Mutex
	daemon *exec.Cmd
	log    bytes.Buffer
	addins *addins
}

func startHelper(t *testing.T, programs string) *helper {
	t.Helper()
	h := &helper{programs: programs, folder: t.TempDir(), fake: newFake(t)}
	h.trusted = x509.NewCertPool()
	h.trusted.AddCert(h.fake.secure.Certificate())
	t.Cleanup(func() {
		if _, err := h.stop(context.Background(), nil); err != nil {
			t.Error(err)
		}
	})
	if _, err := h.start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	h.serve(t)
	return h
}

// serve answers one scenario, whose add-ins are its own.
func (h *helper) serve(t *testing.T) {
	t.Helper()
	h.addins = newAddins()
	routes := http.NewServeMux()
	for path, handle := range map[string]func(context.Context, json.RawMessage) (any, error){
		"/http": h.http, "/admin": h.admin, "/app": h.app, "/daemon/stop": h.stop, "/daemon/start": h.start,
		"/addin/connect": h.connect, "/addin/disconnect": h.disconnect, "/addin/events": h.events,
		"/fake/answers": h.fake.answers, "/fake/requests": h.fake.requested, "/given": h.prepared, "/meet": h.meet,
	} {
		routes.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			question, err := io.ReadAll(r.Body)
			if err == nil {
				var answer any
				if answer, err = handle(r.Context(), bytes.TrimPrefix(question, []byte("\ufeff"))); err == nil {
					err = json.NewEncoder(w).Encode(answer)
				}
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	server := httptest.NewServer(routes)
	h.port = server.Listener.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() {
		h.addins.stop()
		server.Close()
	})
}

func (h *helper) daemonLog() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.String()
}

// Write takes what the daemon says.
func (h *helper) Write(text []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(text)
}

func (h *helper) control() string { return filepath.Join(h.folder, "control.sock") }

// listen is the address for senders.
func (h *helper) listen() string {
	addresses, _ := os.ReadFile(filepath.Join(h.folder, "addresses"))
	listen, _, _ := strings.Cut(string(addresses), " ")
	return listen
}

// start runs the daemon, on the ports that it had before if it ran.
func (h *helper) start(ctx context.Context, _ json.RawMessage) (any, error) {
	addresses := filepath.Join(h.folder, "addresses")
	listen, service := "127.0.0.1:0", "127.0.0.1:0"
	if before, err := os.ReadFile(addresses); err == nil {
		listen, service, _ = strings.Cut(string(before), " ")
	}
	daemon := exec.Command(filepath.Join(h.programs, "pns4ones"), "-listen", listen, "-service", service,
		"-data_dir", h.folder, "-control", h.control())
	daemon.Env = append(os.Environ(), "XDG_CONFIG_HOME="+h.folder)
	daemon.Stdout, daemon.Stderr = h, h
	if err := daemon.Start(); err != nil {
		return nil, err
	}
	h.daemon = daemon
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		status, err := h.command(ctx, "status")
		if err == nil {
			fields := status.(map[string]any)
			return true, os.WriteFile(addresses, fmt.Appendf(nil, "%s %s", fields["listen"], fields["service"]), 0o600)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the daemon does not come up: %w\n%s", err, h.daemonLog())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (h *helper) stop(context.Context, json.RawMessage) (any, error) {
	if h.daemon == nil {
		return true, nil
	}
	daemon := h.daemon
	h.daemon = nil
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		return nil, err
	}
	return true, ignoreExit(daemon.Wait())
}

// ignoreExit drops that a program ended otherwise than with 0.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// command runs pns4onesadmin with --json and returns what it says.
func (h *helper) command(ctx context.Context, args ...string) (any, error) {
	words := append([]string{"--json", "--control", h.control()}, args...)
	cmd := exec.CommandContext(ctx, filepath.Join(h.programs, "pns4onesadmin"), words...)
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("pns4onesadmin %s: %w: %s", strings.Join(args, " "), err, complained.String())
	}
	if said.Len() == 0 {
		return true, nil
	}
	var answer any
	return answer, json.Unmarshal(said.Bytes(), &answer)
}

func (h *helper) admin(ctx context.Context, question json.RawMessage) (any, error) {
	var args []string
	if err := json.Unmarshal(question, &args); err != nil {
		return nil, err
	}
	return h.command(ctx, args...)
}

// app creates one, and tells with it the addresses of the daemon and of the fake one.
func (h *helper) app(ctx context.Context, question json.RawMessage) (any, error) {
	var title string
	if err := json.Unmarshal(question, &title); err != nil {
		return nil, err
	}
	created, err := h.command(ctx, "create", title)
	if err != nil {
		return nil, err
	}
	status, err := h.command(ctx, "status")
	if err != nil {
		return nil, err
	}
	app := created.(map[string]any)
	app["listen"], app["service"] = status.(map[string]any)["listen"], status.(map[string]any)["service"]
	app["fake"] = strings.TrimPrefix(h.fake.plain.URL, "http://")
	app["fake_https"] = strings.TrimPrefix(h.fake.secure.URL, "https://")
	app["nobody"] = h.fake.nobody
	return app, nil
}

// http is HTTPСоединение of the platform.
func (h *helper) http(ctx context.Context, question json.RawMessage) (any, error) {
	var q struct {
		Host, Method, Resource, Body string
		Port, Timeout                json.Number
		Secure, Verify               bool
		Headers                      map[string]string
	}
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	if q.Host == "push.example.com" { // the service of a page's sample
		host, port, err := net.SplitHostPort(h.listen())
		if err != nil {
			return nil, err
		}
		q.Host, q.Port = host, json.Number(port)
	}
	seconds, err := q.Timeout.Float64()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
	defer cancel()
	scheme := "http"
	if q.Secure {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, q.Method,
		scheme+"://"+q.Host+":"+q.Port.String()+q.Resource, strings.NewReader(q.Body))
	if err != nil {
		return nil, err
	}
	for name, value := range q.Headers {
		request.Header.Set(name, value)
	}
	request.Header.Set("User-Agent", "1C+Enterprise/8.3.20.1674")
	client := http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: !q.Verify, RootCAs: h.trusted, //nolint:gosec // as the platform does when told so
		}},
	}
	response, err := client.Do(request)
	if err != nil {
		return map[string]any{"error": strings.ReplaceAll("Ошибка работы с Интернет: "+err.Error(), q.Resource, "")}, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return map[string]any{"error": "Ошибка работы с Интернет: " + err.Error()}, nil
	}
	headers := map[string]string{}
	for name := range response.Header {
		headers[name] = response.Header.Get(name)
	}
	return map[string]any{"code": response.StatusCode, "headers": headers, "body": string(body)}, nil
}

// fake is a service that answers as a scenario tells it to.
type fake struct {
	plain, secure *httptest.Server
	nobody        string // an address where nobody listens
	mu            sync.Mutex
	next          []fakeAnswer
	requests      []map[string]string
}

type fakeAnswer struct {
	Code    int
	Body    string
	Headers map[string]string
	Slow    bool // it never comes
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{}
	f.plain, f.secure = httptest.NewServer(f), httptest.NewUnstartedServer(f)
	f.secure.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is no news
	f.secure.StartTLS()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.nobody = nobody.Addr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.plain.Close)
	t.Cleanup(f.secure.Close)
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.requests = append(f.requests, map[string]string{
		"method": r.Method, "path": r.URL.Path, "query": r.URL.RawQuery, "authorization": r.Header.Get("Authorization"),
		"type": r.Header.Get("Content-Type"), "body": strings.TrimPrefix(string(body), "\ufeff"),
	})
	answer := fakeAnswer{Code: http.StatusTeapot}
	if len(f.next) > 0 {
		answer, f.next = f.next[0], f.next[1:]
	}
	f.mu.Unlock()
	if answer.Slow {
		<-r.Context().Done()
		return
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(answer.Code)
	_, _ = io.WriteString(w, answer.Body)
}

func (f *fake) answers(_ context.Context, question json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = nil
	return true, json.Unmarshal(question, &f.next)
}

// requested returns the requests since it was asked last.
func (f *fake) requested(context.Context, json.RawMessage) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	requests := f.requests
	f.requests = nil
	if requests == nil {
		requests = []map[string]string{}
	}
	return requests, nil
}
