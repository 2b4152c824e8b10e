//go:build !windows

package httpapi

import (
	"log/slog"
	"time"
)

// OpenStored is OpenCertificate with TLSFromStorage, looking below roots.
func OpenStored(roots []string, name string, log *slog.Logger) (*Certificate, error) {
	src, err := storageIn(roots, name)
	if err != nil {
		return nil, err
	}
	return openCertificate(src, log, time.Now)
}
