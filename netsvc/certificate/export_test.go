package certificate

import (
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/config"
)

// OpenAt is Open with a clock of the test's own.
func OpenAt(o Options, log *slog.Logger, now func() time.Time) (*Certificate, error) {
	src := pfxSource(o.Certificate, o.Password)
	if o.Mode == config.SSLFromFileWithPrivateKey {
		src = pemSource(o.Certificate, o.Key)
	}
	return openSource(src, log, now)
}
