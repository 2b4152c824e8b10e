//go:build !windows

package certificate_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

func TestFindsACertificateInTheDistributionsStore(t *testing.T) {
	t.Parallel()
	a := certificatetest.NewAuthority(t)
	for _, place := range []string{"ssl .pem", "ssl .crt", "pki/tls .pem", "pki/tls .crt"} {
		t.Run(place, func(t *testing.T) {
			dir := t.TempDir()
			roots := []string{filepath.Join(dir, "ssl"), filepath.Join(dir, "pki/tls")}
			root, extension := filepath.Join(dir, place[:len(place)-5]), place[len(place)-4:]
			o := a.WritePair(t, dir, "stored", time.Now().Add(year))
			move(t, o.Certificate, filepath.Join(root, "certs", "MyCompany"+extension))
			move(t, o.Key, filepath.Join(root, "private", "MyCompany.key"))
			log, _ := testlog.New()
			c, err := certificate.OpenStored(roots, "MyCompany", log)
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
	a, dir := certificatetest.NewAuthority(t), t.TempDir()
	roots := []string{filepath.Join(dir, "ssl"), filepath.Join(dir, "pki/tls")}
	o := a.WritePair(t, dir, "with key", time.Now().Add(year))
	certificatetest.WriteFile(t, filepath.Join(roots[0], "certs", "my.crt"), certificatetest.CertificatePEM(a.Root))
	move(t, o.Certificate, filepath.Join(roots[1], "certs", "my.crt"))
	move(t, o.Key, filepath.Join(roots[1], "private", "my.key"))
	log, _ := testlog.New()
	c, err := certificate.OpenStored(roots, "my", log)
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
	_, err := certificate.OpenStored([]string{filepath.Join(dir, "ssl"), filepath.Join(dir, "tls")}, "my", nil)
	var problem *certificate.Error
	if !errors.As(err, &problem) || problem.Problem != certificate.ProblemNotInStorage {
		t.Fatalf("got %v, want %s", err, certificate.ProblemNotInStorage)
	}
	want := []string{
		filepath.Join(dir, "ssl/certs/my.pem"), filepath.Join(dir, "ssl/certs/my.crt"),
		filepath.Join(dir, "ssl/private/my.key"),
		filepath.Join(dir, "tls/certs/my.pem"), filepath.Join(dir, "tls/certs/my.crt"),
		filepath.Join(dir, "tls/private/my.key"),
	}
	if !slices.Equal(problem.Tried, want) {
		t.Errorf("tried %v, want %v", problem.Tried, want)
	}
}

func TestTellsThatTheKeyOfAStoredCertificateIsMissing(t *testing.T) {
	t.Parallel()
	a, root := certificatetest.NewAuthority(t), t.TempDir()
	certificatetest.WriteFile(t, filepath.Join(root, "certs", "my.crt"), certificatetest.CertificatePEM(a.Root))
	_, err := certificate.OpenStored([]string{root}, "my", nil)
	var problem *certificate.Error
	if !errors.As(err, &problem) || problem.Problem != certificate.ProblemNotFound ||
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
	certificatetest.WriteFile(t, to, data)
}
