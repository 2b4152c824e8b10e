package certificate_test

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

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
)

func TestRefusesACertificateThatCannotServe(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	key, other := certificatetest.ECDSAKey(t), certificatetest.ECDSAKey(t)
	leaf := a.Issue(t, "leaf", key, time.Now().Add(year))
	pfx, err := pkcs12.Modern2023.Encode(key, leaf, nil, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	otherPFX, err := pkcs12.Modern2023.Encode(other, leaf, nil, "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	goodKey := certificatetest.KeyPEM(t, key)
	damagedKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{0x30, 1, 2, 3}})
	//lint:ignore SA1019 the old format is what is to be recognised
	oldEncrypted, err := x509.EncryptPEMBlock(zeros{}, "RSA PRIVATE KEY", []byte("key"), []byte("pw"),
		x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	damagedChain := certificatetest.CertificatePEM(leaf, a.Intermediate)
	damagedChain[len(damagedChain)-80] = '!'
	cutChain := certificatetest.CertificatePEM(leaf, a.Intermediate)
	cutChain = cutChain[:len(cutChain)-60]
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224Certificate := certificatetest.CertificatePEM(a.Issue(t, "p224", p224, time.Now().Add(year)))
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		return certificatetest.WriteFile(t, filepath.Join(dir, name), data)
	}
	crt, keyFile := file("leaf.crt", certificatetest.CertificatePEM(leaf, a.Intermediate)), file("leaf.key", goodKey)
	pairOf := func(crt, key string) certificate.Options {
		return certificate.Options{Mode: config.SSLFromFileWithPrivateKey, Certificate: crt, Key: key}
	}
	pfxOf := func(path, password string) certificate.Options {
		return certificate.Options{Mode: config.SSLFromFileWithPassword, Certificate: path, Password: password}
	}
	missing := filepath.Join(dir, "missing")

	tests := map[string]struct {
		options certificate.Options
		path    string
		problem certificate.Problem
	}{
		"an unknown mode": {certificate.Options{Mode: "FromFloppy"}, "FromFloppy",
			certificate.ProblemUnknownMode},
		"no certificate named":  {pairOf("", keyFile), "", certificate.ProblemNotNamed},
		"no key named":          {pairOf(crt, ""), "", certificate.ProblemNotNamed},
		"no PFX named":          {pfxOf("", "x"), "", certificate.ProblemNotNamed},
		"no name for the store": {certificate.Options{Mode: config.SSLFromStorage}, "", certificate.ProblemNotNamed},
		"a path for the store": {certificate.Options{Mode: config.SSLFromStorage, Certificate: crt}, crt,
			certificate.ProblemStorageName},
		"no such certificate": {pairOf(missing, keyFile), missing, certificate.ProblemNotFound},
		"no such key":         {pairOf(crt, missing), missing, certificate.ProblemNotFound},
		"no such PFX":         {pfxOf(missing, "x"), missing, certificate.ProblemNotFound},
		"a folder":            {pairOf(dir, keyFile), dir, certificate.ProblemUnreadable},
		"DER instead of PEM": {pairOf(file("leaf.der", leaf.Raw), keyFile), filepath.Join(dir, "leaf.der"),
			certificate.ProblemNotPEM},
		"an empty key file": {pairOf(crt, file("empty.key", nil)), filepath.Join(dir, "empty.key"),
			certificate.ProblemNotPEM},
		"the two files swapped":  {pairOf(keyFile, crt), keyFile, certificate.ProblemNoCertificate},
		"no key in the key file": {pairOf(crt, crt), crt, certificate.ProblemNoKey},
		"a damaged certificate": {pairOf(file("bad.crt",
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw[:99]})), keyFile),
			filepath.Join(dir, "bad.crt"),
			certificate.ProblemBadCertificate},
		"a damaged key": {pairOf(crt, file("bad.key", damagedKey)), filepath.Join(dir, "bad.key"),
			certificate.ProblemBadKey},
		"an encrypted key": {pairOf(crt,
			file("enc.key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))),
			filepath.Join(dir, "enc.key"), certificate.ProblemEncryptedKey},
		"an encrypted key of old": {pairOf(crt, file("enc1.key", pem.EncodeToMemory(oldEncrypted))),
			filepath.Join(dir, "enc1.key"), certificate.ProblemEncryptedKey},
		"another key": {pairOf(crt, file("other.key", certificatetest.KeyPEM(t, other))),
			filepath.Join(dir, "other.key"), certificate.ProblemMismatch},
		"another key in the PFX": {pfxOf(file("other.pfx", otherPFX), "correct horse"), filepath.Join(dir, "other.pfx"),
			certificate.ProblemMismatch},
		"a wrong password": {pfxOf(file("leaf.pfx", pfx), "battery staple"), filepath.Join(dir, "leaf.pfx"),
			certificate.ProblemWrongPassword},
		"a damaged PFX": {pfxOf(file("bad.pfx", pfx[:200]), "correct horse"), filepath.Join(dir, "bad.pfx"),
			certificate.ProblemBadPFX},
		"UTF-16": {pairOf(file("utf16.crt", utf16Of(certificatetest.CertificatePEM(leaf))), keyFile),
			filepath.Join(dir, "utf16.crt"), certificate.ProblemUTF16},
		"a key in UTF-16": {pairOf(crt, file("utf16.key", utf16Of(goodKey))), filepath.Join(dir, "utf16.key"),
			certificate.ProblemUTF16},
		"a damaged intermediate": {pairOf(file("chain.crt", damagedChain), keyFile), filepath.Join(dir, "chain.crt"),
			certificate.ProblemDamagedPEM},
		"a block without an end": {pairOf(file("cut.crt", cutChain), keyFile), filepath.Join(dir, "cut.crt"),
			certificate.ProblemDamagedPEM},
		"a curve TLS has not": {pairOf(file("p224.crt", p224Certificate),
			file("p224.key", certificatetest.KeyPEM(t, p224))),
			filepath.Join(dir, "p224.key"), certificate.ProblemHandshake},
		"PEM instead of PFX": {pfxOf(crt, "correct horse"), crt, certificate.ProblemPEMAsPFX},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := certificate.Open(test.options, nil)
			if c != nil {
				t.Error("got a certificate all the same")
			}
			var problem *certificate.Error
			if !errors.As(err, &problem) {
				t.Fatalf("got %v, want an Error", err)
			}
			if problem.Problem != test.problem || problem.Path != test.path {
				t.Errorf("got %s on %q, want %s on %q", problem.Problem, problem.Path, test.problem, test.path)
			}
			if !strings.Contains(err.Error(), test.path) || len(err.Error()) < len(test.path)+30 {
				t.Errorf("the message names no file or gives no advice: %v", err)
			}
			for _, secret := range []string{"correct horse", "battery staple",
				strings.Split(string(goodKey), "\n")[1]} {
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
	_, o := certificatetest.NewAuthority(t).OpenPair(t, "leaf", time.Now().Add(year))
	if err := os.Chmod(o.Key, 0); err != nil {
		t.Fatal(err)
	}
	_, err := certificate.Open(o, nil)
	var problem *certificate.Error
	if !errors.As(err, &problem) || problem.Problem != certificate.ProblemUnreadable ||
		!errors.Is(err, os.ErrPermission) {
		t.Errorf("got %v, want %s with the permission error", err, certificate.ProblemUnreadable)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
