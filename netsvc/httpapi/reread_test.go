package httpapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// clock is a clock that a test moves by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// followed is a certificate whose files a test replaces.
type followed struct {
	*httpapi.Certificate
	authority *authority
	dir       string
	clock     *clock
	log       *logBuffer
}

func newFollowed(t *testing.T, notAfter time.Time) *followed {
	t.Helper()
	log, out := newLogger()
	f := &followed{authority: newAuthority(t), dir: t.TempDir(), clock: &clock{now: time.Now()}, log: out}
	o := writePair(t, f.authority, f.dir, "first", notAfter)
	c, err := httpapi.OpenCertificateAt(o, log, f.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	f.Certificate = c
	return f
}

func (f *followed) wantServed(t *testing.T, name string) {
	t.Helper()
	if got := servedName(t, f.Certificate, f.authority); got != name {
		t.Fatalf("served %q, want %q; log:\n%s", got, name, f.log)
	}
}

func TestReadsTheFilesAgainWhenTheyChange(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(year))
	f.wantServed(t, "first")
	later := time.Now().Add(2 * year)
	writePair(t, f.authority, f.dir, "second", later)
	f.wantServed(t, "first") // not yet a second since the last look
	f.clock.advance(time.Second)
	f.wantServed(t, "second")
	if f.NotAfter().Unix() != later.Unix() {
		t.Errorf("NotAfter() = %v, want the new certificate's %v", f.NotAfter(), later)
	}
	if f.log.count("certificate read again") != 1 {
		t.Errorf("want one record of it, got:\n%s", f.log)
	}
}

func TestReadsTheFilesAgainWhenALinkMoves(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), t.TempDir()
	writePair(t, a, filepath.Join(dir, "1"), "first", time.Now().Add(year))
	writePair(t, a, filepath.Join(dir, "2"), "second", time.Now().Add(year))
	live := filepath.Join(dir, "live")
	if err := os.Symlink("1", live); err != nil {
		t.Skip(err)
	}
	now := &clock{now: time.Now()}
	log, _ := newLogger()
	c, err := httpapi.OpenCertificateAt(httpapi.TLSOptions{
		Mode:        httpapi.TLSFromFileWithPrivateKey,
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
	now.advance(time.Second)
	if got := servedName(t, c, a); got != "second" {
		t.Errorf("served %q after the link moved, want the second", got)
	}
}

func TestKeepsTheOldCertificateWhileTheNewOneIsBroken(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(year))
	writeFile(t, filepath.Join(f.dir, "a.crt"), []byte("half writ"))
	for range 5 {
		f.clock.advance(time.Second)
		f.wantServed(t, "first")
	}
	if got := f.log.count("cannot be used"); got != 1 {
		t.Errorf("%d records about one change, want 1:\n%s", got, f.log)
	}
	if !strings.Contains(f.log.String(), "a.crt") {
		t.Errorf("the record does not name the file:\n%s", f.log)
	}
	if err := f.Reload(); err == nil {
		t.Error("Reload() of a broken file = nil, want an error")
	}
	writeFile(t, filepath.Join(f.dir, "a.crt"), []byte("broken differently"))
	f.clock.advance(time.Second)
	f.wantServed(t, "first")
	if got := f.log.count("cannot be used"); got != 2 {
		t.Errorf("%d records about two changes, want 2:\n%s", got, f.log)
	}
	os.Remove(filepath.Join(f.dir, "a.crt"))
	f.clock.advance(time.Second)
	f.wantServed(t, "first")
}

func TestRecoversFromAHalfReplacedPair(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(year))
	key := newECDSAKey(t)
	writeFile(t, filepath.Join(f.dir, "a.crt"),
		certificatePEM(f.authority.issue(t, "second", key, time.Now().Add(year)), f.authority.intermediate))
	f.clock.advance(time.Second)
	f.wantServed(t, "first")
	writeFile(t, filepath.Join(f.dir, "a.key"), keyPEM(t, key))
	f.clock.advance(time.Second)
	f.wantServed(t, "second")
}

func TestReloadDoesNotWaitForTheNextLook(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(year))
	writePair(t, f.authority, f.dir, "second", time.Now().Add(year))
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	f.wantServed(t, "second")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := f.log.count("certificate read again"); got != 1 {
		t.Errorf("%d records, want 1: the second time nothing was new", got)
	}
}

func TestWarnsOfExpiryFrom30DaysBefore(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	f := newFollowed(t, time.Now().Add(32*day))
	if f.log.count("level=WARN") != 0 {
		t.Errorf("warned 32 days before the end:\n%s", f.log)
	}
	for range 3 * 24 * 4 { // three days, a handshake each quarter of an hour
		f.clock.advance(15 * time.Minute)
		f.NotAfter()
	}
	if got := f.log.count("expires soon"); got < 1 || got > 2 {
		t.Errorf("%d warnings on the first day within the last 30, want one a day:\n%s", got, f.log)
	}
	writePair(t, f.authority, f.dir, "second", time.Now().Add(20*day))
	before := f.log.count("expires soon")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if f.log.count("expires soon") != before+1 {
		t.Errorf("a new certificate that expires soon is not warned about:\n%s", f.log)
	}
}

func TestServesAnExpiredCertificateWithAWarning(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(-time.Hour))
	if f.log.count("has expired") != 1 {
		t.Errorf("no warning:\n%s", f.log)
	}
	if f.NotAfter().After(time.Now()) {
		t.Errorf("NotAfter() = %v, want the past", f.NotAfter())
	}
}

func TestLooksWhileManyHandshakesRun(t *testing.T) {
	t.Parallel()
	f := newFollowed(t, time.Now().Add(year))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				f.clock.advance(time.Second)
				if _, err := f.TLSConfig().GetCertificate(nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Go(func() {
		for range 20 {
			writePair(t, f.authority, f.dir, "second", time.Now().Add(year))
			f.Reload()
		}
	})
	group.Wait()
	f.clock.advance(time.Second)
	f.wantServed(t, "second")
}
