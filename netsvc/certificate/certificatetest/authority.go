// Package certificatetest makes certificates for tests: of the certificate room
// itself, and of those that serve one.
package certificatetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
)

// Authority issues certificates through an intermediate, as real ones do.
type Authority struct {
	Root, Intermediate *x509.Certificate
	intermediateKey    crypto.Signer
}

// NewAuthority makes a root and an intermediate.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	rootKey, key := ECDSAKey(t), ECDSAKey(t)
	root := issue(t, template("test root", true), nil, rootKey, rootKey)
	return &Authority{
		Root:            root,
		Intermediate:    issue(t, template("test intermediate", true), root, key, rootKey),
		intermediateKey: key,
	}
}

// Issue makes a certificate for 127.0.0.1 and localhost, named name, that
// expires at notAfter.
func (a *Authority) Issue(t testing.TB, name string, key crypto.Signer, notAfter time.Time) *x509.Certificate {
	t.Helper()
	return a.IssueFrom(t, name, key, time.Now().Add(-365*24*time.Hour), notAfter)
}

// IssueFrom is Issue of a certificate that is valid from notBefore on.
func (a *Authority) IssueFrom(t testing.TB, name string, key crypto.Signer, notBefore,
	notAfter time.Time) *x509.Certificate {
	t.Helper()
	leaf := template(name, false)
	leaf.NotBefore, leaf.NotAfter = notBefore, notAfter
	return issue(t, leaf, a.Intermediate, key, a.intermediateKey)
}

// Pool trusts the root alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root)
	return pool
}

func template(name string, ca bool) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-365 * 24 * time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		IsCA:                  ca,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
	}
	if ca {
		c.KeyUsage |= x509.KeyUsageCertSign
	} else {
		c.DNSNames = []string{"localhost"}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return c
}

func issue(t testing.TB, c, parent *x509.Certificate, key, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatalf("issuing a certificate: %v", err)
	}
	issued, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parsing the issued certificate: %v", err)
	}
	return issued
}

// ECDSAKey makes a key.
func ECDSAKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// oneRSAKey is made once: it takes a while.
var oneRSAKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// RSAKey returns a key, the same for all tests of a program.
func RSAKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := oneRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Ed25519Key makes a key.
func Ed25519Key(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// CertificatePEM is what a file with the certificates holds.
func CertificatePEM(certificates ...*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certificates {
		pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return out.Bytes()
}

// KeyPEM is what a file with the key holds, as PKCS #8.
func KeyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// WriteFile writes a file that only its owner may read, and its folder, and returns
// the path.
func WriteFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// WritePair writes a.crt, with the chain, and a.key into dir, with a new key.
func (a *Authority) WritePair(t testing.TB, dir, name string, notAfter time.Time) certificate.Options {
	t.Helper()
	key := ECDSAKey(t)
	return certificate.Options{
		Mode: config.SSLFromFileWithPrivateKey,
		Certificate: WriteFile(t, filepath.Join(dir, "a.crt"), CertificatePEM(a.Issue(t, name, key, notAfter),
			a.Intermediate)),
		Key: WriteFile(t, filepath.Join(dir, "a.key"), KeyPEM(t, key)),
	}
}

// OpenPair opens a fresh pair, and returns where its files are.
func (a *Authority) OpenPair(t testing.TB, name string, notAfter time.Time) (*certificate.Certificate,
	certificate.Options) {
	t.Helper()
	o := a.WritePair(t, t.TempDir(), name, notAfter)
	c, err := certificate.Open(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("opening a certificate: %v", err)
	}
	return c, o
}
