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

// PEMBlocks returns how many blocks are read, and whether there are more.
func PEMBlocks(data []byte) (int, bool) {
	blocks, damaged := pemBlocks(data)
	return len(blocks), damaged
}
