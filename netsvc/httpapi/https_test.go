package httpapi_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

// tlsClient trusts everyone, and speaks plain HTTP as well.
func tlsClient() *http.Client {
	c := client()
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return c
}

// trusting keeps its connection and checks the chain.
func trusting(a *certificatetest.Authority) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: a.Pool(), ServerName: "localhost"},
		ForceAttemptHTTP2: true,
	}}
}

func TestServesHTTPSWithAnyCertificate(t *testing.T) {
	t.Parallel()
	authority := certificatetest.NewAuthority(t)
	key := certificatetest.RSAKey(t)
	leaf := authority.Issue(t, "leaf", key, time.Now().Add(time.Hour))
	dir := t.TempDir()
	pfx := func(name string, encoder *pkcs12.Encoder) certificate.Options {
		data, err := encoder.Encode(key, leaf, []*x509.Certificate{authority.Intermediate}, "пароль")
		if err != nil {
			t.Fatal(err)
		}
		return certificate.Options{
			Mode: config.SSLFromFileWithPassword, Certificate: certificatetest.WriteFile(t, filepath.Join(dir, name),
				data),
			Password: "пароль",
		}
	}
	for name, options := range map[string]certificate.Options{
		"PEM":        authority.WritePair(t, dir, "leaf", time.Now().Add(time.Hour)),
		"PFX modern": pfx("modern.pfx", pkcs12.Modern2023),
		"PFX legacy": pfx("legacy.pfx", pkcs12.LegacyRC2),
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := testlog.New()
			c, err := certificate.Open(options, log)
			if err != nil {
				t.Fatal(err)
			}
			s := start(t, httpapi.Options{Certificate: c}, nil)
			a := s.newApp("one")
			session := s.connect(a, "ib", "ann", "")
			sender := trusting(authority)
			defer sender.CloseIdleConnections()
			got := s.do(sender, http.MethodGet, "/auth?server_key="+a.ServerKeys[0].Key, nil, nil)
			if got.status != http.StatusOK || got.proto != "HTTP/1.1" {
				t.Fatalf("got %d over %s: %s", got.status, got.proto, got.body)
			}
			s.do(sender, http.MethodPost, "/sendmessage", bearer(s.token(a)), strings.NewReader(toAll)).wantSent(t, 1)
			wantReceived(t, session, `{"topic":"t"}`)
			s.do(sender, http.MethodPost, "/sendmessage", bearer("x"), strings.NewReader(toAll)).wantError(t,
				http.StatusUnauthorized, "")
		})
	}
}

func TestANewCertificateDropsNoConnection(t *testing.T) {
	t.Parallel()
	authority, folder := certificatetest.NewAuthority(t), t.TempDir()
	log, _ := testlog.New()
	c, err := certificate.Open(authority.WritePair(t, folder, "first", time.Now().Add(time.Hour)), log)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, httpapi.Options{Certificate: c}, nil)
	a := s.newApp("one")
	token := s.token(a)
	old := trusting(authority)
	defer old.CloseIdleConnections()
	// send reports the certificate of the connection it used and whether
	// that connection was there before.
	send := func(c *http.Client) (served string, reused bool) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.url+"/sendmessage", strings.NewReader(toAll))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = bearer(token)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused },
		}))
		response, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		read(t, response).wantSent(t, 0)
		return response.TLS.PeerCertificates[0].Subject.CommonName, reused
	}
	if served, reused := send(old); served != "first" || reused {
		t.Fatalf("served %q, reused %v", served, reused)
	}
	authority.WritePair(t, folder, "second", time.Now().Add(time.Hour))
	if err := c.Reload(); err != nil {
		t.Fatal(err)
	}
	fresh := trusting(authority)
	defer fresh.CloseIdleConnections()
	if served, _ := send(fresh); served != "second" {
		t.Errorf("a new connection got %q, want the second certificate", served)
	}
	if served, reused := send(old); served != "first" || !reused {
		t.Errorf("the old connection: %q, reused %v; want it to go on", served, reused)
	}

	other, _ := authority.OpenPair(t, "third", time.Now().Add(time.Hour))
	s.http.SetCertificate(other)
	newest := trusting(authority)
	defer newest.CloseIdleConnections()
	if served, _ := send(newest); served != "third" {
		t.Errorf("after SetCertificate a new connection got %q, want the third", served)
	}
	if served, reused := send(old); served != "first" || !reused {
		t.Errorf("the old connection after SetCertificate: %q, reused %v; want it to go on", served, reused)
	}
}

func TestPlainHTTPOnTheHTTPSPortIsToldSo(t *testing.T) {
	t.Parallel()
	c, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	s := start(t, httpapi.Options{Certificate: c}, nil)
	s.url = strings.Replace(s.url, "https:", "http:", 1)
	for _, line := range []string{"GET /auth?server_key=x HTTP/1.1", "POST /sendmessage HTTP/1.1",
		"OPTIONS * HTTP/1.1"} {
		conn := s.raw()
		conn.writeHeader(line, "Host: pns")
		conn.read().wantError(t, http.StatusBadRequest, "https://")
		conn.wantClosed()
	}
	if st := s.http.Stats(); st.TLSHandshakes != 3 || st.Refused[httpapi.ReasonHTTPOnHTTPS] != 3 ||
		s.log.Count("reason=http_on_https") != 1 {
		t.Errorf("want each counted and one logged, got %+v:\n%s", st, s.log)
	}
}

func TestGarbageOnTheHTTPSPortIsNotedAtDebug(t *testing.T) {
	t.Parallel()
	c, _ := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(time.Hour))
	s := start(t, httpapi.Options{Certificate: c}, nil)
	s.url = strings.Replace(s.url, "https:", "http:", 1)
	conn := s.raw()
	conn.write("\x00\x01\x02\x03\x04\x05\x06")
	io.ReadAll(conn.in)
	eventually(t, "a record of the handshake", func() bool { return s.log.Count("tls handshake failed") == 1 })
	if s.log.Count("level=WARN") != 0 || s.http.Stats().TLSHandshakes != 1 {
		t.Errorf("want it at Debug and counted once, got %+v:\n%s", s.http.Stats(), s.log)
	}
}
