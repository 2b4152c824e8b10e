// Package logring keeps the daemon's last log records in memory, down to the level
// Information whatever the level of the log itself, so that who looks through the
// control channel always finds something. Warnings and what is worse are kept once
// more: however many sessions come and go, they do not push them out.
//
// Log is a slog.Handler before the one that writes to stderr. netsvc makes one,
// control shows it. It knows neither.
package logring

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/ring"
)

// Size is how many records are kept, and Warnings how many of the level Warning and
// above. At some 300 bytes each they take 4 MB.
const (
	Size     = 10_000
	Warnings = 2_000
)

// Record is a log record. It is never modified.
type Record struct {
	Time    time.Time
	Level   slog.Level
	Message string
	attrs   packed
}

// Attrs have plain values; a group's attributes bear its name before a dot.
func (r *Record) Attrs() iter.Seq[slog.Attr] { return r.attrs.all() }

// Log keeps records and passes them on. Its methods may be called concurrently.
type Log struct {
	next     slog.Handler
	level    slog.Leveler
	records  *ring.Ring[Record]
	warnings *ring.Ring[Record]
	keys     *keySets
	attrs    packer // of WithAttrs
	group    string // of WithGroup, with a dot behind it
}

// New returns a log that keeps records at Information and above, and what level
// asks for beyond that, and passes those at level and above to next.
func New(next slog.Handler, level slog.Leveler) *Log {
	return &Log{next: next, level: level, records: ring.New[Record](Size), warnings: ring.New[Record](Warnings),
		keys: &keySets{sets: make(map[string]*keySet)}}
}

// Records is what is kept for those who want records at that level and above; there may
// be others in it.
func (l *Log) Records(from slog.Level) *ring.Ring[Record] {
	if from >= slog.LevelWarn {
		return l.warnings
	}
	return l.records
}

// Enabled is part of slog.Handler.
func (l *Log) Enabled(_ context.Context, level slog.Level) bool {
	return level >= min(slog.LevelInfo, l.level.Level())
}

// Handle is part of slog.Handler. Its error is that of the handler it passes
// records on to.
func (l *Log) Handle(ctx context.Context, r slog.Record) error {
	attrs := packers.Get().(*packer)
	defer packers.Put(attrs)
	attrs.set(&l.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs.add(l.group, a)
		return true
	})
	record := Record{Time: r.Time, Level: r.Level, Message: r.Message, attrs: l.keys.packed(attrs)}
	l.records.Append(record)
	if r.Level >= slog.LevelWarn {
		l.warnings.Append(record)
	}
	if r.Level < l.level.Level() || !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs is part of slog.Handler.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.next = l.next.WithAttrs(attrs)
	with.attrs = packer{}
	with.attrs.set(&l.attrs)
	for _, a := range attrs {
		with.attrs.add(l.group, a)
	}
	return &with
}

// WithGroup is part of slog.Handler.
func (l *Log) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	with := *l
	with.next = l.next.WithGroup(name)
	with.group += name + "."
	return &with
}
