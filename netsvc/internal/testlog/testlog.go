// Package testlog collects what a test's daemon logs.
package testlog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// New returns a logger of every level, below Trace too, and what it writes.
func New() (*slog.Logger, *Buffer) {
	out := new(Buffer)
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.Level(-100)})), out
}

// Buffer keeps the records as text, one a line. Its zero value is ready, and its
// methods may be called concurrently.
type Buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write appends a record; it never fails.
func (b *Buffer) Write(record []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(record)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Count returns how often part was written.
func (b *Buffer) Count(part string) int { return strings.Count(b.String(), part) }

// Line returns the record that has all the parts; without one the test fails.
func (b *Buffer) Line(t testing.TB, parts ...string) string {
	t.Helper()
	for line := range strings.Lines(b.String()) {
		if containsAll(line, parts) {
			return line
		}
	}
	t.Fatalf("no record has %q:\n%s", parts, b)
	return ""
}

func containsAll(s string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}
