package main

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// maxLogLines is how many lines may wait for whoever reads the log.
	maxLogLines = 4096
	// lastLinesTime is how long the end of the daemon waits for the last of them.
	lastLinesTime = time.Second
)

// logQueue passes lines on in a goroutine of its own, so that nobody who logs waits for
// whoever reads the log: a journal that hangs in the same disk as a change of an app must
// not keep sessions from being handed over. Lines for which there is no room are dropped,
// and their number is said when there is room again. End it with Close.
type logQueue struct {
	w       io.Writer
	lines   chan []byte
	dropped atomic.Uint64
	closing chan struct{}
	closed  chan struct{}
}

func newLogQueue(w io.Writer) *logQueue {
	l := &logQueue{w: w, lines: make(chan []byte, maxLogLines), closing: make(chan struct{}),
		closed: make(chan struct{})}
	go l.run()
	return l
}

// Write takes a line. It never waits and never fails. It may be called concurrently.
func (l *logQueue) Write(line []byte) (int, error) {
	select {
	case l.lines <- bytes.Clone(line):
	default:
		l.dropped.Add(1)
	}
	return len(line), nil
}

// Close writes what waits, but waits itself for no longer than lastLinesTime. Nobody may
// log any more: it would not be written.
func (l *logQueue) Close() {
	close(l.closing)
	select {
	case <-l.closed:
	case <-time.After(lastLinesTime):
	}
}

func (l *logQueue) run() {
	defer close(l.closed)
	for {
		select {
		case line := <-l.lines:
			l.pass(line)
		case <-l.closing:
			for len(l.lines) > 0 {
				l.pass(<-l.lines)
			}
			return
		}
	}
}

func (l *logQueue) pass(line []byte) {
	l.w.Write(line) // there is nobody to report an error to
	if n := l.dropped.Swap(0); n > 0 {
		fmt.Fprintf(l.w, "level=Warning msg=\"log lines were dropped: nobody read them in time\" lines=%d\n", n)
	}
}
