// Package failurelog logs failures that strangers can repeat at will: refused
// registrations, unknown keys, peers outside the allowed network.
//
// The first failure of a peer for a reason, in the name of an app, is logged at
// once; the same again is only counted, and the count is logged as «repeated» once
// in a while (protocol.md section 5). So one misconfigured client cannot hide
// everything else: all infobases of a 1C server share its address, and none of them
// hides the refusals of another. Memory is bounded however many peers there are. It is used by the
// listeners, the hub and the HTTP interface; it knows none of them.
package failurelog

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

const (
	// summaryEvery is how often the count of a repeated failure is logged.
	summaryEvery = 30 * time.Second
	// maxTracked bounds the peers, reasons and apps counted apart; what comes
	// beyond is counted by reason and app, for as many again, and then by reason
	// alone.
	maxTracked = 1024
)

// Log throttles the records of one kind of failure. Its methods may be called
// concurrently.
type Log struct {
	logger *slog.Logger
	event  string

	mu      sync.Mutex
	closed  bool
	timer   *time.Timer
	tracked map[failure]uint64 // how often it was repeated since its last record
}

// failure is what is counted together. The zero peer stands for all those that
// did not fit.
type failure struct {
	peer   netip.Addr
	reason string
	app    string // id; empty: it is not known whose it was
}

// New returns a log whose records carry event as their message, at the level
// Warning. Close it when nothing reports to it any more.
func New(logger *slog.Logger, event string) *Log {
	return &Log{logger: logger, event: event, tracked: make(map[failure]uint64)}
}

// Report logs one failure of peer, or counts it if the same was logged a short
// while ago. app is the id of the app that it concerns: one that exists, never a
// stranger's word for it; empty if there is none. The attributes must not hold
// secrets; they go only into a record written now, not into a later summary.
func (l *Log) Report(peer netip.Addr, reason, app string, attrs ...slog.Attr) {
	f := failure{peer.Unmap(), reason, app}
	if l.repeated(f) {
		return
	}
	l.logger.LogAttrs(context.Background(), slog.LevelWarn, l.event, append(f.attrs(), attrs...)...)
}

// attrs are what a record says of f itself.
func (f failure) attrs() []slog.Attr {
	peer := "others"
	if f.peer.IsValid() {
		peer = f.peer.String()
	}
	attrs := []slog.Attr{slog.String("reason", f.reason), slog.String("peer", peer)}
	if f.app != "" {
		attrs = append(attrs, slog.String("app", f.app))
	}
	return attrs
}

// repeated counts the failure and reports whether its record was written already.
func (l *Log) repeated(f failure) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if _, known := l.tracked[f]; !known && len(l.tracked) >= maxTracked {
		f.peer = netip.Addr{}
	}
	if _, known := l.tracked[f]; !known && len(l.tracked) >= 2*maxTracked {
		f.app = ""
	}
	count, known := l.tracked[f]
	if known {
		l.tracked[f] = count + 1
		return true
	}
	l.tracked[f] = 0
	if l.timer == nil {
		l.timer = time.AfterFunc(summaryEvery, l.summarise)
	}
	return false
}

// summarise logs what was repeated and forgets what was not. It runs on a
// timer of its own as long as something is tracked.
func (l *Log) summarise() {
	l.mu.Lock()
	repeated := l.takeRepeated()
	if len(l.tracked) == 0 || l.closed {
		l.timer = nil
	} else {
		l.timer.Reset(summaryEvery)
	}
	l.mu.Unlock()
	l.write(repeated)
}

// takeRepeated returns the counts above zero and starts them anew; what was
// silent is dropped. The caller holds mu.
func (l *Log) takeRepeated() map[failure]uint64 {
	repeated := make(map[failure]uint64)
	for f, count := range l.tracked {
		if count == 0 {
			delete(l.tracked, f)
			continue
		}
		repeated[f] = count
		l.tracked[f] = 0
	}
	return repeated
}

func (l *Log) write(repeated map[failure]uint64) {
	for f, count := range repeated {
		l.logger.LogAttrs(context.Background(), slog.LevelWarn, l.event+", repeated",
			append(f.attrs(), slog.Uint64("more", count))...)
	}
}

// Close writes the counts not yet told and stops the timer. A failure reported
// afterwards is logged without throttling.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	repeated := l.takeRepeated()
	l.mu.Unlock()
	l.write(repeated)
}
