//go:build !windows

package certificate

import (
	"log/slog"
	"time"
)

// OpenStored is Open with config.SSLFromStorage, looking below roots.
func OpenStored(roots []string, name string, log *slog.Logger) (*Certificate, error) {
	src, err := storageIn(roots, name)
	if err != nil {
		return nil, err
	}
	return openSource(src, log, time.Now)
}
