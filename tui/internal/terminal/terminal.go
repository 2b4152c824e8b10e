// Package terminal is what the panel wants of a terminal beyond drawing: the
// clipboard of the machine that it is shown on, its colours, whether it is dark, and
// whether it is still there.
package terminal

import (
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/aymanbagabas/go-osc52/v2"
)

// Output is a terminal that several write to: each Write arrives in one piece.
type Output struct {
	*os.File
	mu sync.Mutex
}

// NewOutput returns file as an Output.
func NewOutput(file *os.File) *Output { return &Output{File: file} }

// Write writes b before anybody else writes.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.File.Write(b)
}

// Input is a terminal that is read, and may go away: its window is closed, its SSH
// session breaks. That ends most programs by SIGHUP, but not one that was started with
// SIGHUP ignored. Bubble Tea goes on when there is nothing to read any more.
type Input struct {
	*os.File
	gone chan struct{}
	once sync.Once
}

// NewInput returns file as an Input.
func NewInput(file *os.File) *Input { return &Input{File: file, gone: make(chan struct{})} }

// Gone is closed when the terminal cannot be read any more.
func (i *Input) Gone() <-chan struct{} { return i.gone }

// Read reads what the person types.
func (i *Input) Read(b []byte) (int, error) {
	n, err := i.File.Read(b)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		i.once.Do(func() { close(i.gone) })
	}
	return n, err
}

// Copy asks the terminal to put a text on its clipboard (OSC 52), which works
// through SSH. Whether it did cannot be known. getenv reveals GNU screen, which
// hands sequences on only if they are wrapped; tmux understands this one itself,
// if its option set-clipboard is on.
func (o *Output) Copy(text string, getenv func(string) string) error {
	sequence := osc52.New(text)
	if strings.HasPrefix(getenv("TERM"), "screen") && getenv("TMUX") == "" {
		sequence = sequence.Screen()
	}
	_, err := sequence.WriteTo(o)
	return err
}
