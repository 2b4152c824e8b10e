package certificate_test

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
)

// utf16Of is a text as Notepad saves it as «Unicode».
func utf16Of(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(string(text))) {
		out = binary.LittleEndian.AppendUint16(out, unit)
	}
	return out
}

// TestServesTheWholeChainHoweverItWasPutTogether: by cat, copy a+b, Notepad, openssl.
func TestServesTheWholeChainHoweverItWasPutTogether(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	key := certificatetest.ECDSAKey(t)
	leaf := a.Issue(t, "leaf", key, time.Now().Add(year))
	one, two := certificatetest.CertificatePEM(leaf), certificatetest.CertificatePEM(a.Intermediate)
	glued := append(bytes.TrimRight(bytes.Clone(one), "\n"), two...)
	text := append(append(bytes.TrimRight(bytes.Clone(one), "\n"), "subject=CN = x "...), two...)
	trusted := pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: append(bytes.Clone(a.Intermediate.Raw),
		0x30, 0)})
	for name, content := range map[string][]byte{
		"glued":                 glued,
		"glued, no end of line": bytes.TrimRight(glued, "\n"),
		"text before a block":   text,
		"CRLF":                  bytes.ReplaceAll(append(bytes.Clone(one), two...), []byte("\n"), []byte("\r\n")),
		"CR":                    bytes.ReplaceAll(append(bytes.Clone(one), two...), []byte("\n"), []byte("\r")),
		"a byte order mark":     append([]byte("\ufeff"), append(bytes.Clone(one), two...)...),
		"the chain first":       append(bytes.Clone(two), one...),
		"TRUSTED CERTIFICATE":   append(bytes.Clone(one), trusted...),
		"X509 CERTIFICATE": append(bytes.Clone(one),
			bytes.ReplaceAll(two, []byte("CERTIFICATE"), []byte("X509 CERTIFICATE"))...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c, err := certificate.Open(certificate.Options{
				Mode:        config.SSLFromFileWithPrivateKey,
				Certificate: certificatetest.WriteFile(t, filepath.Join(dir, "a.crt"), content),
				Key:         certificatetest.WriteFile(t, filepath.Join(dir, "a.key"), certificatetest.KeyPEM(t, key)),
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			state, err := handshake(t, c, a, nil) // it checks the chain
			if err != nil || len(state.PeerCertificates) != 2 {
				t.Errorf("%d certificates are served, %v", len(state.PeerCertificates), err)
			}
		})
	}
}

// TestServesTheNewestOfSeveralCertificates: a renewed one was put into the file, at
// either end, and the former one is still there.
func TestServesTheNewestOfSeveralCertificates(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	key := certificatetest.ECDSAKey(t)
	from := func(name string, before, after time.Duration) *x509.Certificate {
		return a.IssueFrom(t, name, key, time.Now().Add(before), time.Now().Add(after))
	}
	const day = 24 * time.Hour
	former, renewed := from("former", -80*day, 10*day), from("renewed", -day, 89*day)
	expired, coming := from("expired", -90*day, -day), from("coming", day, 90*day)
	for _, tt := range []struct {
		want string
		all  []*x509.Certificate
	}{
		{"renewed", []*x509.Certificate{former, renewed}},
		{"renewed", []*x509.Certificate{renewed, former}},
		{"former", []*x509.Certificate{expired, former}},
		{"former", []*x509.Certificate{former, coming}},
		{"renewed", []*x509.Certificate{coming, expired, renewed, former}},
		{"coming", []*x509.Certificate{expired, coming}},
	} {
		var names []string
		for _, c := range tt.all {
			names = append(names, c.Subject.CommonName)
		}
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			dir := t.TempDir()
			c, err := certificate.Open(certificate.Options{
				Mode: config.SSLFromFileWithPrivateKey,
				Certificate: certificatetest.WriteFile(t, filepath.Join(dir, "a.crt"),
					certificatetest.CertificatePEM(append(tt.all, a.Intermediate)...)),
				Key: certificatetest.WriteFile(t, filepath.Join(dir, "a.key"), certificatetest.KeyPEM(t, key)),
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			served, err := c.TLSConfig().GetCertificate(nil)
			if err != nil || served.Leaf.Subject.CommonName != tt.want || len(served.Certificate) != 2 {
				t.Errorf("served is %q with %d certificates, want %s and its chain", served.Leaf.Subject.CommonName,
					len(served.Certificate), tt.want)
			}
		})
	}
}

// TestAFailedRenewalStaysVisible until it is mended, whatever else happens.
func TestAFailedRenewalStaysVisible(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	if got := f.Failure(); got != "" {
		t.Fatalf("without a renewal: %s", got)
	}
	certificatetest.WriteFile(t, filepath.Join(f.dir, "a.crt"), []byte("garbage"))
	f.clock.Advance(time.Second)
	if got := f.Failure(); !strings.Contains(got, "a.crt") || !strings.Contains(got, "PEM") {
		t.Errorf("after a bad renewal: %q", got)
	}
	f.wantServed(t, "first")
	f.clock.Advance(time.Hour)
	if f.Failure() == "" {
		t.Error("it is forgotten after an hour")
	}
	f.authority.WritePair(t, f.dir, "second", time.Now().Add(year))
	f.clock.Advance(time.Second)
	f.wantServed(t, "second")
	if got := f.Failure(); got != "" {
		t.Errorf("after it was mended: %s", got)
	}
}

// FuzzPEMChain: what has a block more than it looks like is never served short.
func FuzzPEMChain(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE----------BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("\ufeff-----BEGIN A-----\rAA==\r-----END A-----\r"))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, damaged := certificate.PEMBlocks(data)
		if marks := strings.Count(string(data), "-----BEGIN "); damaged != (blocks < marks) || blocks > marks {
			t.Fatalf("%d blocks of %d, damaged: %v", blocks, marks, damaged)
		}
	})
}
