package netsvc

import (
	"os"
	"sync"
)

// reservedFiles is how many descriptors are kept for a hand-over, which has to work when
// all others are in use.
const reservedFiles = 32

// reserve holds descriptors until they are needed.
type reserve struct {
	mu    sync.Mutex
	files []*os.File
}

// take fills the reserve. Where there are no descriptors left it stays smaller.
func (r *reserve) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.files) < reservedFiles {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return
		}
		r.files = append(r.files, f)
	}
}

// takeFirst fills it when a server opens. If there are too few descriptors left, for so many
// connections were taken over, half of them are for senders.
func (r *reserve) takeFirst() {
	r.take()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.files); n < reservedFiles {
		closeFiles(r.files[n/2:])
		r.files = r.files[:n/2]
	}
}

// release empties it.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeFiles(r.files)
	r.files = nil
}
