// Package certificate is the certificate of the senders' port: read from PEM
// files, a PFX file or the system's storage, proven to be able to serve, and read
// again when its files change.
//
// httpapi serves it, netsvc opens it and says when it expires, and the daemon's
// check of the settings opens it only to see what is wrong. The package knows the
// names of the settings, for what it advises, and nothing of requests.
package certificate

import (
	"bytes"
	"crypto/tls"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/config"
)

// Options names a certificate, as the settings ssl_mode, ssl_certificate,
// ssl_certificate_key and ssl_certificate_password do. Fields a mode does not
// use are ignored, as the manual says.
type Options struct {
	Mode        config.SSLMode // "" is config.SSLNone
	Certificate string         // path of the file; with config.SSLFromStorage the name in the storage
	Key         string         // path of the private key: config.SSLFromFileWithPrivateKey
	Password    string         // of the PFX file: config.SSLFromFileWithPassword
}

const (
	// lookEvery is how often the files are looked at, at most.
	lookEvery = time.Second
	// expiryWarning is how long before its end a certificate is warned about,
	// and expiryRepeat how often while it is in use.
	expiryWarning = 30 * 24 * time.Hour
	expiryRepeat  = 24 * time.Hour
)

// source is where a certificate is read from.
type source struct {
	paths      []string // every file that matters, there or not: a change of any means reading again
	storageGap time.Duration
	read       func() (*tls.Certificate, error)
}

// gap is how long a look is good for. A storage without files is read as a
// whole each time, so more seldom.
func (s source) gap() time.Duration {
	if s.storageGap > 0 {
		return s.storageGap
	}
	return lookEvery
}

// Certificate is the certificate HTTPS is served with, with its chain and key.
// It keeps up with its files: a handshake looks, at most once a second, whether they
// have changed, and reads them again. What cannot be read never replaces what
// works, and connections that are open never notice. It owns no goroutine, and
// its methods may be called concurrently.
type Certificate struct {
	source  source
	log     *slog.Logger
	now     func() time.Time
	started time.Time // looks are timed from here, so that a step of the clock does not matter

	state       atomic.Pointer[reading]
	nextLook    atomic.Int64 // since started
	nextWarning atomic.Int64 // since started; about expiry
}

// reading is what the last reading found; it is never modified.
type reading struct {
	inUse   *tls.Certificate
	files   []fs.FileInfo // as they were, in the order of source.paths; nil: was not there
	failure string        // why the files as they are now cannot be used; "": they are in use
}

// Open reads the certificate the options name and proves that it can be served:
// everything parses, the key belongs to the certificate, and a handshake succeeds.
// Errors are [*Error]. An expired certificate is served nevertheless, with a warning:
// senders that do not check it go on working, and those that do say more clearly than
// a closed port what is wrong.
//
// With config.SSLNone the result is nil, without an error: plain HTTP.
func Open(o Options, log *slog.Logger) (*Certificate, error) {
	if log == nil {
		log = slog.Default()
	}
	switch o.Mode {
	case config.SSLNone, "":
		return nil, nil
	case config.SSLFromStorage:
		src, err := storageSource(o.Certificate)
		if err != nil {
			return nil, err
		}
		return openSource(src, log, time.Now)
	case config.SSLFromFileWithPrivateKey:
		if o.Certificate == "" || o.Key == "" {
			return nil, &Error{Problem: ProblemNotNamed}
		}
		return openSource(pemSource(o.Certificate, o.Key), log, time.Now)
	case config.SSLFromFileWithPassword:
		if o.Certificate == "" {
			return nil, &Error{Problem: ProblemNotNamed}
		}
		return openSource(pfxSource(o.Certificate, o.Password), log, time.Now)
	}
	return nil, &Error{Path: string(o.Mode), Problem: ProblemUnknownMode}
}

func openSource(src source, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	c := &Certificate{source: src, log: log, now: now, started: now()}
	// Before the files are read, not after: what changes in between is seen
	// by the next look.
	files := stat(src.paths)
	inUse, err := src.read()
	if err != nil {
		return nil, err
	}
	c.state.Store(&reading{inUse: inUse, files: files})
	c.nextLook.Store(int64(src.gap()))
	c.warnOfExpiry()
	return c, nil
}

// NotAfter is when the certificate in use expires.
func (c *Certificate) NotAfter() time.Time {
	c.look()
	return c.state.Load().inUse.Leaf.NotAfter
}

// Failure returns why the files as they are now cannot be used, so that the certificate
// from before is still served; empty: they are in use. It has no secrets.
func (c *Certificate) Failure() string {
	c.look()
	return c.state.Load().failure
}

// NotBefore returns the moment from which the certificate in use is valid.
func (c *Certificate) NotBefore() time.Time {
	c.look()
	return c.state.Load().inUse.Leaf.NotBefore
}

// Reload reads the files now, changed or not. On an error the certificate in
// use stays in use.
func (c *Certificate) Reload() error {
	for {
		if done, err := c.readAgain(c.state.Load()); done {
			return err
		}
	}
}

// TLSConfig returns a new configuration that serves this certificate, whatever
// it is at the time of a handshake.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: c.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		// CipherSuites stays nil: the default of crypto/tls is forward secret
		// throughout and still has the ECDHE-CBC suites, the only ones that
		// Windows Server 2012 R2 offers for an RSA certificate.

		// The contract is HTTP/1.1 (protocol.md section 1); a sender that
		// offers h2 as well must not be answered in it.
		NextProtos: []string{"http/1.1"},
	}
}

// GetCertificate is what [tls.Config] asks at each handshake. It never fails.
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.look()
	return c.state.Load().inUse, nil
}

// look reads the files again if they have changed. One caller a second pays
// for it, the others pass.
func (c *Certificate) look() {
	elapsed := int64(c.now().Sub(c.started))
	next := c.nextLook.Load()
	if elapsed < next || !c.nextLook.CompareAndSwap(next, elapsed+int64(c.source.gap())) {
		return
	}
	old := c.state.Load()
	// What could not be used is tried again even if nothing changed: a file
	// that could not be read for want of permission keeps its times and size
	// when that is repaired.
	if old.failure != "" || c.source.storageGap > 0 || !unchanged(old.files, stat(c.source.paths)) {
		c.readAgain(old)
	}
	c.warnOfExpiry()
}

// readAgain replaces old by what the source holds now. It reports false if
// someone else was faster, and then has done nothing.
func (c *Certificate) readAgain(old *reading) (done bool, err error) {
	next := &reading{files: stat(c.source.paths)}
	next.inUse, err = c.source.read()
	if err != nil {
		next.inUse, next.failure = old.inUse, err.Error()
	} else if sameChain(next.inUse, old.inUse) {
		next.inUse = old.inUse
	}
	if !c.state.CompareAndSwap(old, next) {
		return false, nil
	}
	switch {
	case err != nil && (next.failure != old.failure || !unchanged(old.files, next.files)):
		c.log.Warn("changed certificate cannot be used, the one before stays in service", "error", err)
	case err == nil && next.inUse != old.inUse:
		c.log.Info("certificate read again", "not_after", next.inUse.Leaf.NotAfter.UTC())
		c.nextWarning.Store(0)
		c.warnOfExpiry()
	}
	return true, err
}

// warnOfExpiry warns once a day while the end is near; it is noticed when
// someone connects or asks for NotAfter.
func (c *Certificate) warnOfExpiry() {
	notAfter := c.state.Load().inUse.Leaf.NotAfter
	now := c.now()
	left := notAfter.Sub(now)
	if left > expiryWarning {
		return
	}
	elapsed := int64(now.Sub(c.started))
	next := c.nextWarning.Load()
	if elapsed < next || !c.nextWarning.CompareAndSwap(next, elapsed+int64(expiryRepeat)) {
		return
	}
	if left <= 0 {
		c.log.Warn("certificate has expired, it is served nevertheless", "not_after", notAfter.UTC())
		return
	}
	c.log.Warn("certificate expires soon", "not_after", notAfter.UTC(), "days_left", int(math.Floor(left.Hours()/24)))
}

// stat describes the files; nil stands for one that cannot be looked at.
func stat(paths []string) []fs.FileInfo {
	files := make([]fs.FileInfo, len(paths))
	for i, path := range paths {
		if info, err := os.Stat(path); err == nil {
			files[i] = info
		}
	}
	return files
}

// unchanged compares by identity, size and time: a file replaced by rename, or
// a link pointed elsewhere, differs even with the same time and size.
func unchanged(a, b []fs.FileInfo) bool {
	return slices.EqualFunc(a, b, func(a, b fs.FileInfo) bool {
		if a == nil || b == nil {
			return a == b
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

func sameChain(a, b *tls.Certificate) bool {
	return slices.EqualFunc(a.Certificate, b.Certificate, bytes.Equal)
}
