package files

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

var (
	// ErrNotRegular: what is there is a pipe, a folder or a device.
	ErrNotRegular = errors.New("it is no regular file")
	// ErrNoAnswer: the disk, most likely one in the network, does not answer.
	ErrNoAnswer = errors.New("the disk does not answer")
	// ErrTooLarge: there is more in it than anybody would put there.
	ErrTooLarge = errors.New("it is too large")
)

// A disk has 3 s to answer. They are counted in ticks, each of which this process has to
// be woken for: while the machine is so busy that it is not, or stands still, the time
// does not run either.
const (
	tick  = 50 * time.Millisecond
	ticks = 60
)

// Read reads a regular file of at most limit bytes. Neither a pipe nor a disk that hangs
// keeps it waiting. The error is ErrNotRegular, ErrNoAnswer, ErrTooLarge, or one of the
// file system. Nothing ends a read that hangs, so a goroutine may be left behind.
func Read(path string, limit int64) ([]byte, error) {
	return within(ticks, tick, func() ([]byte, error) { return read(path, limit) })
}

func read(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: that is where a pipe has one wait
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, ErrNotRegular
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(content)) > limit:
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrTooLarge, limit)
	}
	return content, nil
}

// within does work, and gives it up after so many ticks.
func within(ticks int, tick time.Duration, work func() ([]byte, error)) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		content, err := work()
		done <- result{content, err}
	}()
	clock := time.NewTicker(tick) // which drops the ticks that nobody was awake for
	defer clock.Stop()
	for range ticks {
		select {
		case r := <-done:
			return r.content, r.err
		case <-clock.C:
		}
	}
	select {
	case r := <-done:
		return r.content, r.err
	default:
		return nil, ErrNoAnswer
	}
}
