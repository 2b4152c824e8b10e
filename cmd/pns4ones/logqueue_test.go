package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slowReader takes nothing until it is let.
type slowReader struct {
	let sync.Mutex

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *slowReader) Write(b []byte) (int, error) {
	r.let.Lock()
	defer r.let.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func TestNobodyWaitsForWhoReadsTheLog(t *testing.T) {
	t.Parallel()
	var reader slowReader
	reader.let.Lock()
	log := newLogQueue(&reader)
	const more = 100
	for n := range maxLogLines + more {
		fmt.Fprintf(log, "line %d\n", n)
	}
	reader.let.Unlock()
	log.Close()
	lines := strings.Split(strings.TrimSpace(reader.text.String()), "\n")
	dropped, last := 0, -1
	for _, line := range lines {
		var n int
		switch {
		case strings.HasPrefix(line, "level=Warning"):
			if _, err := fmt.Sscanf(line[strings.LastIndex(line, "lines="):], "lines=%d", &n); err != nil {
				t.Fatal(err)
			}
			dropped += n
		default:
			if _, err := fmt.Sscanf(line, "line %d", &n); err != nil || n <= last {
				t.Fatalf("%q came after line %d", line, last)
			}
			last = n
		}
	}
	// One more fits, if the first has been taken out of the queue by then.
	if dropped < more-1 || dropped > more || len(lines)-1+dropped != maxLogLines+more {
		t.Errorf("%d lines came, and %d are said to be dropped", len(lines)-1, dropped)
	}
}

func TestTheEndDoesNotWaitForWhoReadsTheLog(t *testing.T) {
	t.Parallel()
	var reader slowReader
	reader.let.Lock()
	defer reader.let.Unlock()
	log := newLogQueue(&reader)
	fmt.Fprintln(log, "a line")
	log.Close() // or the test never ends
}
