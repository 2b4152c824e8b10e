package certificate_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/certificate"
	"github.com/pns4ones/pns4ones/netsvc/certificate/certificatetest"
	"github.com/pns4ones/pns4ones/netsvc/internal/testclock"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

// replaceable is a certificate whose files a test replaces.
type replaceable struct {
	*certificate.Certificate
	authority *certificatetest.Authority
	dir       string
	clock     *testclock.Clock
	log       *testlog.Buffer
}

func newReplaceable(t *testing.T, notAfter time.Time) *replaceable {
	t.Helper()
	log, out := testlog.New()
	f := &replaceable{authority: certificatetest.NewAuthority(t), dir: t.TempDir(), clock: testclock.New(time.Now()),
		log: out}
	o := f.authority.WritePair(t, f.dir, "first", notAfter)
	c, err := certificate.OpenAt(o, log, f.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	f.Certificate = c
	return f
}

func (f *replaceable) wantServed(t *testing.T, name string) {
	t.Helper()
	if got := servedName(t, f.Certificate, f.authority); got != name {
		t.Fatalf("served %q, want %q; log:\n%s", got, name, f.log)
	}
}

func TestReadsTheFilesAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	f.wantServed(t, "first")
	later := time.Now().Add(2 * year)
	f.authority.WritePair(t, f.dir, "second", later)
	f.wantServed(t, "first") // not yet a second since the last look
	f.clock.Advance(time.Second)
	f.wantServed(t, "second")
	if f.NotAfter().Unix() != later.Unix() {
		t.Errorf("NotAfter() = %v, want the new certificate's %v", f.NotAfter(), later)
	}
	if f.log.Count("certificate read again") != 1 {
		t.Errorf("want one record of it, got:\n%s", f.log)
	}
}

func TestReadsTheFilesAgainWhenALinkMoves(t *testing.T) {
	t.Parallel()
	a, dir := certificatetest.NewAuthority(t), t.TempDir()
	a.WritePair(t, filepath.Join(dir, "1"), "first", time.Now().Add(year))
	a.WritePair(t, filepath.Join(dir, "2"), "second", time.Now().Add(year))
	live := filepath.Join(dir, "live")
	if err := os.Symlink("1", live); err != nil {
		t.Skip(err)
	}
	now := testclock.New(time.Now())
	log, _ := testlog.New()
	c, err := certificate.OpenAt(certificate.Options{
		Mode:        config.SSLFromFileWithPrivateKey,
		Certificate: filepath.Join(live, "a.crt"), Key: filepath.Join(live, "a.key"),
	}, log, now.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(live); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("2", live); err != nil {
		t.Fatal(err)
	}
	now.Advance(time.Second)
	if got := servedName(t, c, a); got != "second" {
		t.Errorf("served %q after the link moved, want the second", got)
	}
}

func TestKeepsTheOldCertificateWhileTheNewOneIsBroken(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	certificatetest.WriteFile(t, filepath.Join(f.dir, "a.crt"), []byte("half writ"))
	for range 5 {
		f.clock.Advance(time.Second)
		f.wantServed(t, "first")
	}
	if got := f.log.Count("cannot be used"); got != 1 {
		t.Errorf("%d records about one change, want 1:\n%s", got, f.log)
	}
	if !strings.Contains(f.log.String(), "a.crt") {
		t.Errorf("the record does not name the file:\n%s", f.log)
	}
	if err := f.Reload(); err == nil {
		t.Error("Reload() of a broken file = nil, want an error")
	}
	certificatetest.WriteFile(t, filepath.Join(f.dir, "a.crt"), []byte("broken differently"))
	f.clock.Advance(time.Second)
	f.wantServed(t, "first")
	if got := f.log.Count("cannot be used"); got != 2 {
		t.Errorf("%d records about two changes, want 2:\n%s", got, f.log)
	}
	os.Remove(filepath.Join(f.dir, "a.crt"))
	f.clock.Advance(time.Second)
	f.wantServed(t, "first")
}

func TestRecoversFromAHalfReplacedPair(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	key := certificatetest.ECDSAKey(t)
	certificatetest.WriteFile(t, filepath.Join(f.dir, "a.crt"),
		certificatetest.CertificatePEM(f.authority.Issue(t, "second", key, time.Now().Add(year)),
			f.authority.Intermediate))
	f.clock.Advance(time.Second)
	f.wantServed(t, "first")
	certificatetest.WriteFile(t, filepath.Join(f.dir, "a.key"), certificatetest.KeyPEM(t, key))
	f.clock.Advance(time.Second)
	f.wantServed(t, "second")
}

func TestReloadDoesNotWaitForTheNextLook(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	f.authority.WritePair(t, f.dir, "second", time.Now().Add(year))
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	f.wantServed(t, "second")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := f.log.Count("certificate read again"); got != 1 {
		t.Errorf("%d records, want 1: the second time nothing was new", got)
	}
}

func TestWarnsOfExpiryFrom30DaysBefore(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	f := newReplaceable(t, time.Now().Add(32*day))
	if f.log.Count("level=WARN") != 0 {
		t.Errorf("warned 32 days before the end:\n%s", f.log)
	}
	for range 3 * 24 * 4 { // three days, a handshake each quarter of an hour
		f.clock.Advance(15 * time.Minute)
		f.NotAfter()
	}
	if got := f.log.Count("expires soon"); got < 1 || got > 2 {
		t.Errorf("%d warnings on the first day within the last 30, want one a day:\n%s", got, f.log)
	}
	f.authority.WritePair(t, f.dir, "second", time.Now().Add(20*day))
	before := f.log.Count("expires soon")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if f.log.Count("expires soon") != before+1 {
		t.Errorf("a new certificate that expires soon is not warned about:\n%s", f.log)
	}
}

func TestServesAnExpiredCertificateWithAWarning(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(-time.Hour))
	if f.log.Count("has expired") != 1 {
		t.Errorf("no warning:\n%s", f.log)
	}
	if f.NotAfter().After(time.Now()) {
		t.Errorf("NotAfter() = %v, want the past", f.NotAfter())
	}
}

func TestLooksWhileManyHandshakesRun(t *testing.T) {
	t.Parallel()
	f := newReplaceable(t, time.Now().Add(year))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				f.clock.Advance(time.Second)
				if _, err := f.TLSConfig().GetCertificate(nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			f.authority.WritePair(t, f.dir, "second", time.Now().Add(year))
			f.Reload()
		}
	})
	group.Wait()
	f.clock.Advance(time.Second)
	f.wantServed(t, "second")
}
