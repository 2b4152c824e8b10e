package server

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

const (
	// maxFollowers bounds those who follow the log or events. Each costs a
	// goroutine or three and a connection, and a batch of records.
	maxFollowers = 64
	// maxHolders is how many of them a refusal names.
	maxHolders = 10
)

// followers are those who follow the log or the events. The zero value has none; its
// methods may be called concurrently.
type followers struct {
	mu      sync.Mutex
	streams map[holder]int
	total   int
}

// holder is whose streams are counted together.
type holder struct {
	user string
	pid  int
}

func holderOf(p socket.Peer) holder {
	h := holder{"unknown", 0}
	if p.Known {
		h = holder{p.User, p.PID}
	}
	if p.Node != "" {
		h.user += "@" + p.Node
	}
	return h
}

// admit counts a stream of p, or refuses it and says who has the others.
func (f *followers) admit(p socket.Peer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total >= maxFollowers {
		return f.refusal()
	}
	if f.streams == nil {
		f.streams = map[holder]int{}
	}
	f.streams[holderOf(p)]++
	f.total++
	return nil
}

// leave is for a stream that admit has counted.
func (f *followers) leave(p socket.Peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := holderOf(p)
	if f.streams[h]--; f.streams[h] == 0 {
		delete(f.streams, h)
	}
	f.total--
}

func (f *followers) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// refusal names those who follow. The caller holds mu.
func (f *followers) refusal() *control.Error {
	var holders []control.Holder
	for h, n := range f.streams {
		holders = append(holders, control.Holder{User: h.user, PID: h.pid, Streams: n})
	}
	slices.SortFunc(holders, func(a, b control.Holder) int {
		return cmp.Or(cmp.Compare(b.Streams, a.Streams), cmp.Compare(a.PID, b.PID))
	})
	holders = holders[:min(len(holders), maxHolders)]
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = h.User
		if h.PID != 0 {
			names[i] += " (process " + strconv.Itoa(h.PID) + ")"
		}
		names[i] += ": " + strconv.Itoa(h.Streams)
	}
	e := refuse(http.StatusServiceUnavailable, control.CodeTooManyFollowers,
		"too many follow already: "+strconv.Itoa(f.total)+"; "+strings.Join(names, ", "))
	e.Holders = holders
	return e
}
