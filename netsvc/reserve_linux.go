package netsvc

import (
	"os"
	"sync"
)

// reservedFiles is how many descriptors are kept for a hand-over, which has to work when
// all others are in use: for maxChunks memory files and the document, for the trays of a
// million connections, for pipes and a program.
const reservedFiles = 96

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

// release empties it.
func (r *reserve) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	closeFiles(r.files)
	r.files = nil
}
