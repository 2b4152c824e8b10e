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
