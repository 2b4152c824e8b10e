package netsvc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// reloadable is a daemon with a settings file that the test rewrites.
type reloadable struct {
	*daemon
	folder string
	log    *lockedBuffer
}

func startReloadable(t *testing.T, settings string) *reloadable {
	t.Helper()
	return startReloadableWith(t, settings, func(string) {})
}

// startReloadableWith is startReloadable with more files in the folder of the settings.
func startReloadableWith(t *testing.T, settings string, files func(folder string)) *reloadable {
	t.Helper()
	r := &reloadable{folder: t.TempDir(), log: new(lockedBuffer)}
	files(r.folder)
	load := func() (*config.Result, error) {
		return config.Load(config.LoadOptions{
			Getenv: func(string) string { return "" },
			Paths: config.Paths{Settings: r.folder, Data: filepath.Join(r.folder, "data"),
				Control: filepath.Join(r.folder, "control.sock")},
		})
	}
	r.write(t, settings)
	first, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r.daemon = start(t, netsvc.Options{
		Config: first.Config, Load: load, Log: slog.NewTextHandler(r.log,
			&slog.HandlerOptions{Level: slog.LevelDebug - 4}),
		ErrorText: func(lang locale.Lang, _ *config.Result, err error) string { return locale.New(lang).Error(err) },
	})
	return r
}

// write replaces the settings file in one step.
func (r *reloadable) write(t *testing.T, settings string) {
	t.Helper()
	path := filepath.Join(r.folder, "pns4ones.toml")
	if err := os.WriteFile(path+".new", []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// lockedBuffer takes the log of a daemon that runs.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

const onLoopback = "listen = \"127.0.0.1:0\"\nservice = \"127.0.0.1:0\"\n"

func TestReloadAppliesWhatItCan(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, onLoopback)
	r.write(t, onLoopback+"log_level = \"Debug\"\nmax_message_size = \"2KiB\"\nmetrics_listen = \"127.0.0.1:0\"")
	report, err := r.Client.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := control.ReloadReport{Applied: []string{"log_level", "max_message_size"},
		RestartNeeded: []string{"metrics_listen"}, Warnings: []string{}}
	if diff := cmp.Diff(want, report); diff != "" {
		t.Error(diff)
	}
	status, err := r.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status.LogLevel != "Debug" || !slices.Equal(status.RestartNeeded, []string{"metrics_listen"}) {
		t.Errorf("the status has level %s, waiting %v", status.LogLevel, status.RestartNeeded)
	}
	token, _ := r.authorise(r.create("a").ServerKey)
	if got := r.post(t, http.DefaultClient, r.url("/sendmessage"), token,
		strings.Repeat(" ", 3000)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a message beyond the new limit is answered %d", got)
	}
	// Once more: the level was set by hand meanwhile, and what waits is back.
	if err := r.SetLogLevel(t.Context(), "Trace"); err != nil {
		t.Fatal(err)
	}
	r.write(t, onLoopback+"log_level = \"Debug\"\nmax_message_size = \"2KiB\"")
	if report, err = r.Client.Reload(t.Context()); err != nil || !slices.Equal(report.Applied, []string{"log_level"}) ||
		len(report.RestartNeeded) > 0 {
		t.Errorf("the second time: %+v, %v", report, err)
	}
}

func (r *reloadable) post(t *testing.T, client *http.Client, url, token, body string) int {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		t.Errorf("a request failed: %v", err)
		return 0
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestABrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, onLoopback)
	r.write(t, onLoopback+"log_level = \"Debug\"\nkeepalive = \"never\"")
	_, err := r.Client.Reload(t.Context())
	refused, ok := errors.AsType[*control.Error](err)
	if !ok || refused.Status != http.StatusConflict || refused.Code != control.CodeBadSettings ||
		!strings.Contains(refused.Message, "pns4ones.toml:4: keepalive") {
		t.Fatalf("got %v", err)
	}
	status, err := r.Status(t.Context())
	if err != nil || status.LogLevel != "Warning" {
		t.Errorf("the level is %s, %v", status.LogLevel, err)
	}
	if err := r.Server.Reload(); err == nil || !strings.Contains(r.log.String(), "settings not reloaded") {
		t.Errorf("by a signal: %v; the log has\n%s", err, r.log)
	}
}

// newCertificate writes a certificate and its key that name nobody in particular.
func newCertificate(t *testing.T, folder, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{".crt": {Type: "CERTIFICATE", Bytes: der},
		".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(folder, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReloadUnderLoadLosesNothing changes certificate, level, limits and networks
// again and again while senders send and sessions receive.
func TestReloadUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	with := func(certificate, level, networks string) string {
		return fmt.Sprintf(`listen = "127.0.0.0/%[3]s:0"
service = "127.0.0.0/%[3]s:0"
ssl_mode = "FromFileWithPrivateKey"
ssl_certificate = "%[1]s.crt"
ssl_certificate_key = "%[1]s.key"
log_level = "%[2]s"
trusted_proxies = ["10.%[3]s.0.0/16"]
`, certificate, level, networks)
	}
	folder := t.TempDir()
	newCertificate(t, folder, "first")
	newCertificate(t, folder, "second")
	r := startReloadable(t, with(folder+"/first", "Warning", "8"))
	a := r.create("a")

	const sessions, reloads = 50, 30
	var received, accepted atomic.Int64
	var work sync.WaitGroup
	for i := range sessions {
		c := r.session(a, fmt.Sprint(i))
		work.Go(func() {
			for {
				text, err := c.Receive()
				if err != nil {
					t.Errorf("a session was lost: %v", err)
					return
				}
				if strings.Contains(string(text), "the end") {
					return
				}
				received.Add(1)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(map[string]bool) // certificates
	var mu sync.Mutex
	transport := func(keepAlive bool) *http.Client {
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: !keepAlive, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // the test's own; which one it is, is looked at
			VerifyConnection: func(s tls.ConnectionState) error {
				mu.Lock()
				defer mu.Unlock()
				served[s.PeerCertificates[0].Subject.CommonName] = true
				return nil
			},
		}}}
	}
	url := strings.Replace(r.url(""), "http://", "https://", 1)
	answer, err := transport(false).Get(url + "/auth?server_key=" + a.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, answer)
	var senders sync.WaitGroup
	for i := range 4 {
		client := transport(i%2 == 0)
		senders.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				if status := r.post(t, client, url+"/sendmessage", token,
					`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"x"}}`); status != http.StatusOK {
					t.Errorf("a request was answered %d", status)
					return
				}
				accepted.Add(1)
			}
		})
	}
	for i := range reloads {
		at := accepted.Load()
		r.write(t, with(folder+"/"+[]string{"second", "first"}[i%2], []string{"Debug", "Error"}[i%2],
			[]string{"16", "8"}[i%2]))
		report, err := r.Client.Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"listen", "service", "log_level", "ssl_certificate", "ssl_certificate_key", "trusted_proxies"}
		if !slices.Equal(report.Applied, want) || len(report.RestartNeeded) > 0 {
			t.Fatalf("reload %d: %+v", i, report)
		}
		eventually(t, "messages are accepted after the reload", func() bool { return accepted.Load() > at+8 })
	}
	stop()
	senders.Wait()
	if _, err := r.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToAll, IbID: "ib"},
		wire.Message{Topic: "the end"}); err != nil {
		t.Fatal(err)
	}
	work.Wait()
	if want := sessions * accepted.Load(); received.Load() != want {
		t.Errorf("%d of %d messages arrived", received.Load(), want)
	}
	if !served["first"] || !served["second"] {
		t.Errorf("certificates served: %v", served)
	}
	// The network that is in force now is the wider one; a narrower one holds too.
	r.write(t, strings.ReplaceAll(with(folder+"/first", "Error", "8"), "127.0.0.0/8", "127.1.0.0/16"))
	if _, err := r.Client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.SessionsPort()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a peer outside the new network got %v", err)
	}
}

func TestABrokenCertificateIsNotTaken(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	newCertificate(t, folder, "one")
	https := onLoopback +
		fmt.Sprintf("ssl_mode = \"FromFileWithPrivateKey\"\nssl_certificate = %q\nssl_certificate_key = %q\n",
			folder+"/one.crt", folder+"/one.key")
	r := startReloadable(t, https)
	if err := os.WriteFile(folder+"/one.crt", []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.write(t, https+"log_level = \"Debug\"")
	if _, err := r.Client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "one.crt") {
		t.Errorf("got %v", err)
	}
	r.write(t, strings.ReplaceAll(https, "one.", "two.")+"log_level = \"Debug\"")
	if _, err := r.Client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "two.crt") {
		t.Errorf("got %v", err)
	}
	status, err := r.Status(t.Context())
	if err != nil || status.LogLevel != "Warning" || status.TLSExpiresAt == nil {
		t.Errorf("the status is %+v, %v", status, err)
	}
}

// TestTheStatusNamesSettingsThatAreNotRead: whoever put the file there waits for it
// to take effect.
func TestTheStatusNamesSettingsThatAreNotRead(t *testing.T) {
	t.Parallel()
	r := startReloadable(t, "listen = '127.0.0.1:0'\nservice = '127.0.0.1:0'\n")
	notRead := func() []string {
		t.Helper()
		if _, err := r.daemon.Client.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		status, err := r.daemon.Client.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return status.SettingsNotRead
	}
	if got := notRead(); len(got) != 0 {
		t.Errorf("not read are %q", got)
	}
	other := filepath.Join(r.folder, "PNS4OneS.ini")
	if err := os.WriteFile(other, []byte("listen=*\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := notRead(); len(got) != 1 || got[0] != other {
		t.Errorf("not read are %q, want %s", got, other)
	}
}
