package certificate_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

const year = 365 * 24 * time.Hour

// handshake connects to a server with the certificate and returns what the
// client saw. The client trusts only the root, so that a missing chain fails.
func handshake(t *testing.T, c *certificate.Certificate, a *certificatetest.Authority,
	client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		tls.Server(conn, c.TLSConfig()).Handshake()
	}()
	if client == nil {
		client = &tls.Config{}
	}
	client.RootCAs, client.ServerName = a.Pool(), "localhost"
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		<-done
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	<-done
	return conn.ConnectionState(), nil
}

func servedName(t *testing.T, c *certificate.Certificate, a *certificatetest.Authority) string {
	t.Helper()
	state, err := handshake(t, c, a, nil)
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

func block(kind string, der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestServesPEMFilesOfEveryForm(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	ec, rsaKey, ed := certificatetest.ECDSAKey(t), certificatetest.RSAKey(t), certificatetest.Ed25519Key(t)
	end := time.Now().Add(year)
	ecChain := certificatetest.CertificatePEM(a.Issue(t, "leaf", ec, end), a.Intermediate)
	ecDER, ecErr := x509.MarshalECPrivateKey(ec.(*ecdsa.PrivateKey))
	sec1 := block("EC PRIVATE KEY", ecDER, ecErr)
	both := slices.Concat(certificatetest.KeyPEM(t, ec), ecChain)
	tests := map[string]struct{ certificate, key []byte }{
		"ECDSA, PKCS 8": {ecChain, certificatetest.KeyPEM(t, ec)},
		"ECDSA, SEC 1":  {ecChain, sec1},
		"ECDSA with EC PARAMETERS first": {ecChain, slices.Concat(
			block("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil), sec1)},
		"RSA, PKCS 8": {certificatetest.CertificatePEM(a.Issue(t, "leaf", rsaKey, end), a.Intermediate),
			certificatetest.KeyPEM(t, rsaKey)},
		"RSA, PKCS 1": {certificatetest.CertificatePEM(a.Issue(t, "leaf", rsaKey, end), a.Intermediate),
			block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey.(*rsa.PrivateKey)), nil)},
		"Ed25519": {certificatetest.CertificatePEM(a.Issue(t, "leaf", ed, end), a.Intermediate),
			certificatetest.KeyPEM(t, ed)},
		"all in one file": {both, both},
		"root first": {certificatetest.CertificatePEM(a.Root, a.Intermediate, a.Issue(t, "leaf", ec, end)),
			certificatetest.KeyPEM(t, ec)},
		"byte order mark": {slices.Concat([]byte("\ufeff"), ecChain),
			slices.Concat([]byte("\ufeff"), certificatetest.KeyPEM(t, ec))},
		"CRLF and text aside": {[]byte("subject=leaf\r\n" + strings.ReplaceAll(string(ecChain), "\n", "\r\n")),
			certificatetest.KeyPEM(t, ec)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			log, _ := testlog.New()
			c, err := certificate.Open(certificate.Options{
				Mode:        config.SSLFromFileWithPrivateKey,
				Certificate: certificatetest.WriteFile(t, filepath.Join(dir, "a.crt"), test.certificate),
				Key:         certificatetest.WriteFile(t, filepath.Join(dir, "a.key"), test.key),
				Password:    "ignored in this mode",
			}, log)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if got := servedName(t, c, a); got != "leaf" {
				t.Errorf("served %q first, want the leaf", got)
			}
			if got := c.NotAfter(); got.Unix() != end.Unix() {
				t.Errorf("NotAfter() = %v, want %v", got, end)
			}
		})
	}
}

func TestServesPFXFilesModernAndLegacy(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	key := certificatetest.RSAKey(t)
	leaf := a.Issue(t, "leaf", key, time.Now().Add(year))
	tests := map[string]struct {
		encoder  *pkcs12.Encoder
		password string
		rootLead bool
	}{
		"modern (AES-256, SHA-256)":         {pkcs12.Modern2023, "пароль", false},
		"modern 2026 (PBMAC1)":              {pkcs12.Modern2026, "secret", false},
		"legacy 3DES":                       {pkcs12.LegacyDES, "secret", false},
		"legacy RC2":                        {pkcs12.LegacyRC2, "secret", false},
		"an empty password":                 {pkcs12.Modern2023, "", false},
		"root first, as Windows exports it": {pkcs12.LegacyDES, "secret", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			first, rest := leaf, []*x509.Certificate{a.Intermediate, a.Root}
			if test.rootLead {
				first, rest = a.Root, []*x509.Certificate{a.Intermediate, leaf}
			}
			data, err := test.encoder.Encode(key, first, rest, test.password)
			if err != nil {
				t.Fatal(err)
			}
			path := certificatetest.WriteFile(t, filepath.Join(t.TempDir(), "a.pfx"), data)
			log, _ := testlog.New()
			c, err := certificate.Open(certificate.Options{
				Mode: config.SSLFromFileWithPassword, Certificate: path, Password: test.password,
			}, log)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if got := servedName(t, c, a); got != "leaf" {
				t.Errorf("served %q first, want the leaf", got)
			}
		})
	}
}

func TestModeNoneIsPlainHTTP(t *testing.T) {
	for _, mode := range []config.SSLMode{"", config.SSLNone} {
		c, err := certificate.Open(certificate.Options{Mode: mode, Certificate: "/nowhere"}, nil)
		if c != nil || err != nil {
			t.Errorf("mode %q: got %v, %v; want nothing at all", mode, c, err)
		}
	}
}

func TestServesTLS12AndLaterOverHTTP1Only(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	c, _ := a.OpenPair(t, "leaf", time.Now().Add(year))
	for version, works := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		state, err := handshake(t, c, a, &tls.Config{
			MinVersion: tls.VersionTLS10, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"},
		})
		if works != (err == nil) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if works && state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%s: negotiated %q, want http/1.1", tls.VersionName(version), state.NegotiatedProtocol)
		}
	}
}
