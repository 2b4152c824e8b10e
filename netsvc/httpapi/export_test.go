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

// PEMBlocks tells how many blocks are read, and whether there are more.
func PEMBlocks(data []byte) (int, bool) {
	blocks, damaged := pemBlocks(data)
	return len(blocks), damaged
}

// NewWithTimeouts is New with limits of time a test can wait for.
func NewWithTimeouts(o Options, header, body, drain time.Duration) *Server {
	return newServer(o, timeouts{header, body, drain})
}
