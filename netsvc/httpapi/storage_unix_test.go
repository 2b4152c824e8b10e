//go:build !windows

package httpapi_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

func TestFindsACertificateInTheDistributionsStore(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, place := range []string{"ssl .pem", "ssl .crt", "pki/tls .pem", "pki/tls .crt"} {
		t.Run(place, func(t *testing.T) {
			dir := t.TempDir()
			roots := []string{filepath.Join(dir, "ssl"), filepath.Join(dir, "pki/tls")}
			root, extension := filepath.Join(dir, place[:len(place)-5]), place[len(place)-4:]
			o := writePair(t, a, dir, "stored", time.Now().Add(year))
			move(t, o.Certificate, filepath.Join(root, "certs", "MyCompany"+extension))
			move(t, o.Key, filepath.Join(root, "private", "MyCompany.key"))
			log, _ := newLogger()
			c, err := httpapi.OpenStored(roots, "MyCompany", log)
			if err != nil {
				t.Fatal(err)
			}
			if got := servedName(t, c, a); got != "stored" {
				t.Errorf("served %q", got)
			}
		})
	}
}

func TestPrefersAStoredCertificateThatHasItsKey(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	roots := []string{filepath.Join(dir, "ssl"), filepath.Join(dir, "pki/tls")}
	o := writePair(t, a, dir, "with key", time.Now().Add(year))
	writeFile(t, filepath.Join(roots[0], "certs", "my.crt"), certificatePEM(a.root))
	move(t, o.Certificate, filepath.Join(roots[1], "certs", "my.crt"))
	move(t, o.Key, filepath.Join(roots[1], "private", "my.key"))
	log, _ := newLogger()
	c, err := httpapi.OpenStored(roots, "my", log)
	if err != nil {
		t.Fatal(err)
	}
	if got := servedName(t, c, a); got != "with key" {
		t.Errorf("served %q", got)
	}
}

func TestTellsWhereAStoredCertificateWasLookedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := httpapi.OpenStored([]string{filepath.Join(dir, "ssl"), filepath.Join(dir, "tls")}, "my", nil)
	var problem *httpapi.CertificateError
	if !errors.As(err, &problem) || problem.Problem != httpapi.ProblemNotInStorage {
		t.Fatalf("got %v, want %s", err, httpapi.ProblemNotInStorage)
	}
	want := []string{
		filepath.Join(dir, "ssl/certs/my.pem"), filepath.Join(dir, "ssl/certs/my.crt"), filepath.Join(dir, "ssl/private/my.key"),
		filepath.Join(dir, "tls/certs/my.pem"), filepath.Join(dir, "tls/certs/my.crt"), filepath.Join(dir, "tls/private/my.key"),
	}
	if !slices.Equal(problem.Tried, want) {
		t.Errorf("tried %v, want %v", problem.Tried, want)
	}
}

func TestTellsThatTheKeyOfAStoredCertificateIsMissing(t *testing.T) {
	t.Parallel()
	a, root := newAuthority(t), t.TempDir()
	writeFile(t, filepath.Join(root, "certs", "my.crt"), certificatePEM(a.root))
	_, err := httpapi.OpenStored([]string{root}, "my", nil)
	var problem *httpapi.CertificateError
	if !errors.As(err, &problem) || problem.Problem != httpapi.ProblemNotFound ||
		problem.Path != filepath.Join(root, "private", "my.key") {
		t.Errorf("got %v, want the missing key named", err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, data)
}
