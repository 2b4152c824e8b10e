package netsvc

import (
	"os"
	"sync"
	"sync/atomic"
)

// reservedFiles is how many descriptors are kept for a hand-over, which has to work when
// all others are in use: for maxChunks memory files and the document, for the trays of a
// million connections, for pipes and a program.
const reservedFiles = 48

// leastReserved is the reserve of a process that could not take all connections over.
const leastReserved = 16

// reserve holds descriptors until they are needed.
type reserve struct {
	needed atomic.Bool

	mu    sync.Mutex
	files []*os.File
}

// take fills the reserve. Where there are no descriptors left it stays smaller.
func (r *reserve) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.needed.Store(false)
	for len(r.files) < reservedFiles {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.files = append(r.files, f)
	}
}

// share gives most of it to senders.
func (r *reserve) share() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.files) > leastReserved {
		closeFiles(r.files[leastReserved:])
		r.files = r.files[:leastReserved]
	}
}

// release empties it. Where all other descriptors are in use, those who connect do not get
// these: isNeeded reports that until take.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	used, err := os.ReadDir("/proc/self/fd")
	r.needed.Store(err != nil || int(openLimit())-len(used) < reservedFiles)
	closeFiles(r.files)
	r.files = nil
}

func (r *reserve) isNeeded() bool { return r.needed.Load() }

// fillReserve keeps descriptors for the next hand-over. If some were missing at this one,
// there has to be room for senders too.
func (s *Server) fillReserve() {
	s.reserve.take()
	if s.takeover != nil && s.takeover.missing > 0 {
		s.reserve.share()
	}
}
