package httpapi_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

func TestRefusesACertificateThatCannotServe(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	key, other := newECDSAKey(t), newECDSAKey(t)
	leaf := a.issue(t, "leaf", key, time.Now().Add(year))
	pfx, err := pkcs12.Modern2023.Encode(key, leaf, nil, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	otherPFX, err := pkcs12.Modern2023.Encode(other, leaf, nil, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	goodKey := keyPEM(t, key)
	damagedKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 1, 2, 3}})
	//lint:ignore SA1019 the old format is what is to be recognised
	oldEncrypted, err := x509.EncryptPEMBlock(zeros{}, "RSA PRIVATE KEY", []byte("key"), []byte("pw"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	damagedChain := certificatePEM(leaf, a.intermediate)
	damagedChain[len(damagedChain)-80] = '!'
	cutChain := certificatePEM(leaf, a.intermediate)
	cutChain = cutChain[:len(cutChain)-60]
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string { return writeFile(t, filepath.Join(dir, name), data) }
	crt, keyFile := file("leaf.crt", certificatePEM(leaf, a.intermediate)), file("leaf.key", goodKey)
	pairOf := func(certificate, key string) httpapi.TLSOptions {
		return httpapi.TLSOptions{Mode: httpapi.TLSFromFileWithPrivateKey, Certificate: certificate, Key: key}
	}
	pfxOf := func(path, password string) httpapi.TLSOptions {
		return httpapi.TLSOptions{Mode: httpapi.TLSFromFileWithPassword, Certificate: path, Password: password}
	}
	missing := filepath.Join(dir, "missing")

	tests := map[string]struct {
		options httpapi.TLSOptions
		path    string
		problem httpapi.CertificateProblem
	}{
		"an unknown mode":         {httpapi.TLSOptions{Mode: "FromFloppy"}, "FromFloppy", httpapi.ProblemUnknownMode},
		"no certificate named":    {pairOf("", keyFile), "", httpapi.ProblemNotNamed},
		"no key named":            {pairOf(crt, ""), "", httpapi.ProblemNotNamed},
		"no PFX named":            {pfxOf("", "x"), "", httpapi.ProblemNotNamed},
		"no name for the store":   {httpapi.TLSOptions{Mode: httpapi.TLSFromStorage}, "", httpapi.ProblemNotNamed},
		"a path for the store":    {httpapi.TLSOptions{Mode: httpapi.TLSFromStorage, Certificate: crt}, crt, httpapi.ProblemStorageName},
		"no such certificate":     {pairOf(missing, keyFile), missing, httpapi.ProblemNotFound},
		"no such key":             {pairOf(crt, missing), missing, httpapi.ProblemNotFound},
		"no such PFX":             {pfxOf(missing, "x"), missing, httpapi.ProblemNotFound},
		"a folder":                {pairOf(dir, keyFile), dir, httpapi.ProblemUnreadable},
		"DER instead of PEM":      {pairOf(file("leaf.der", leaf.Raw), keyFile), filepath.Join(dir, "leaf.der"), httpapi.ProblemNotPEM},
		"an empty key file":       {pairOf(crt, file("empty.key", nil)), filepath.Join(dir, "empty.key"), httpapi.ProblemNotPEM},
		"the two files swapped":   {pairOf(keyFile, crt), keyFile, httpapi.ProblemNoCertificate},
		"no key in the key file":  {pairOf(crt, crt), crt, httpapi.ProblemNoKey},
		"a damaged certificate":   {pairOf(file("bad.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw[:99]})), keyFile), filepath.Join(dir, "bad.crt"), httpapi.ProblemBadCertificate},
		"a damaged key":           {pairOf(crt, file("bad.key", damagedKey)), filepath.Join(dir, "bad.key"), httpapi.ProblemBadKey},
		"an encrypted key":        {pairOf(crt, file("enc.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))), filepath.Join(dir, "enc.key"), httpapi.ProblemEncryptedKey},
		"an encrypted key of old": {pairOf(crt, file("enc1.key", pem.EncodeToMemory(oldEncrypted))), filepath.Join(dir, "enc1.key"), httpapi.ProblemEncryptedKey},
		"another key":             {pairOf(crt, file("other.key", keyPEM(t, other))), filepath.Join(dir, "other.key"), httpapi.ProblemMismatch},
		"another key in the PFX":  {pfxOf(file("other.pfx", otherPFX), "correct horse"), filepath.Join(dir, "other.pfx"), httpapi.ProblemMismatch},
		"a wrong password":        {pfxOf(file("leaf.pfx", pfx), "battery staple"), filepath.Join(dir, "leaf.pfx"), httpapi.ProblemWrongPassword},
		"a damaged PFX":           {pfxOf(file("bad.pfx", pfx[:200]), "correct horse"), filepath.Join(dir, "bad.pfx"), httpapi.ProblemBadPFX},
		"UTF-16":                  {pairOf(file("utf16.crt", utf16Of(certificatePEM(leaf))), keyFile), filepath.Join(dir, "utf16.crt"), httpapi.ProblemUTF16},
		"a key in UTF-16":         {pairOf(crt, file("utf16.key", utf16Of(goodKey))), filepath.Join(dir, "utf16.key"), httpapi.ProblemUTF16},
		"a damaged intermediate":  {pairOf(file("chain.crt", damagedChain), keyFile), filepath.Join(dir, "chain.crt"), httpapi.ProblemDamagedPEM},
		"a block without an end":  {pairOf(file("cut.crt", cutChain), keyFile), filepath.Join(dir, "cut.crt"), httpapi.ProblemDamagedPEM},
		"a curve TLS has not":     {pairOf(file("p224.crt", certificatePEM(a.issue(t, "p224", p224, time.Now().Add(year)))), file("p224.key", keyPEM(t, p224))), filepath.Join(dir, "p224.key"), httpapi.ProblemHandshake},
		"PEM instead of PFX":      {pfxOf(crt, "correct horse"), crt, httpapi.ProblemPEMAsPFX},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := httpapi.OpenCertificate(test.options, nil)
			if c != nil {
				t.Error("got a certificate all the same")
			}
			var problem *httpapi.CertificateError
			if !errors.As(err, &problem) {
				t.Fatalf("got %v, want a CertificateError", err)
			}
			if problem.Problem != test.problem || problem.Path != test.path {
				t.Errorf("got %s on %q, want %s on %q", problem.Problem, problem.Path, test.problem, test.path)
			}
			if !strings.Contains(err.Error(), test.path) || len(err.Error()) < len(test.path)+30 {
				t.Errorf("the message names no file or gives no advice: %v", err)
			}
			for _, secret := range []string{"correct horse", "battery staple", strings.Split(string(goodKey), "\n")[1]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the message shows a secret: %v", err)
				}
			}
		})
	}
}

func TestTellsAFileItMayNotRead(t *testing.T) {
	t.Parallel()
	if os.Getuid() <= 0 {
		t.Skip("root reads everything, and Windows has other permissions")
	}
	_, o := openPair(t, newAuthority(t), "leaf", time.Now().Add(year))
	if err := os.Chmod(o.Key, 0); err != nil {
		t.Fatal(err)
	}
	_, err := httpapi.OpenCertificate(o, nil)
	var problem *httpapi.CertificateError
	if !errors.As(err, &problem) || problem.Problem != httpapi.ProblemUnreadable || !errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v, want %s with the permission error", err, httpapi.ProblemUnreadable)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
