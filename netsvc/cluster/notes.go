package cluster

import (
	"log/slog"
	"sync"
	"time"
)

// note is something to be logged, or, with change, to be told to the owner of the node.
type note struct {
	level  slog.Level
	text   string
	attrs  []slog.Attr
	peer   string // its name
	change PeerChange
}

// maxNotes bounds those that wait to be written. What is more is lost: nothing waits for a
// log that nobody reads.
const maxNotes = 256

// note has something logged by somebody who does not hold mu: what reads the log may stand
// still.
func (n *Node) note(level slog.Level, text string, attrs ...slog.Attr) {
	n.write(note{level: level, text: text, attrs: attrs})
}

// tell has the owner told of a peer, in the order of what is logged.
func (n *Node) tell(p *peer, change PeerChange) {
	n.write(note{peer: p.told.name, change: change})
}

func (n *Node) write(one note) {
	select {
	case n.notes <- one:
	default:
	}
}

// writeNotes logs what was noted, until the end of the node.
func (n *Node) writeNotes() {
	for {
		select {
		case one := <-n.notes:
			n.report(one)
		case <-n.ending:
			for len(n.notes) > 0 {
				n.report(<-n.notes)
			}
			return
		}
	}
}

func (n *Node) report(one note) {
	switch {
	case one.change == "":
		n.log.LogAttrs(background, one.level, one.text, one.attrs...)
	case n.options.PeerChanged != nil:
		n.options.PeerChanged(one.peer, one.change)
	}
}

// paces lets each of several things be logged once a minute, however often it happens.
type paces struct {
	mu   sync.Mutex
	next map[string]time.Duration
}

// maxPaces bounds the things that are told apart.
const maxPaces = 64

// report calls log unless it did so for the same thing within the last minute.
func (p *paces) report(now time.Duration, thing string, log func()) {
	p.mu.Lock()
	due := now >= p.next[thing]
	if due {
		if p.next == nil || len(p.next) >= maxPaces {
			p.next = make(map[string]time.Duration)
		}
		p.next[thing] = now + time.Minute
	}
	p.mu.Unlock()
	if due {
		log()
	}
}
