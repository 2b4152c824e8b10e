package httpapi

import (
	"log/slog"
	"time"
)

// OpenCertificateAt is OpenCertificate with a clock of the test's own.
func OpenCertificateAt(o TLSOptions, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	src := pfxSource(o.Certificate, o.Password)
	if o.Mode == TLSFromFileWithPrivateKey {
		src = pemSource(o.Certificate, o.Key)
	}
	return openCertificate(src, log, now)
}

// NewWithTimeouts is New with limits of time a test can wait for.
func NewWithTimeouts(o Options, header, body, drain time.Duration) *Server {
	return newServer(o, timeouts{header, body, drain})
}
