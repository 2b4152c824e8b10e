package files

import (
	"errors"
	"testing"
	"time"
)

// TestADiskThatDoesNotAnswerIsGivenUp; one that answers at the last moment is heard.
func TestADiskThatDoesNotAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	defer close(hangs)
	if _, err := within(3, time.Millisecond, func() ([]byte, error) { <-hangs; return nil, nil }); !errors.Is(err,
		ErrNoAnswer) {
		t.Errorf("got %v, want %v", err, ErrNoAnswer)
	}
	broken := errors.New("broken")
	content, err := within(ticks, time.Hour, func() ([]byte, error) { return []byte("x"), broken })
	if string(content) != "x" || err != broken {
		t.Errorf("got %q, %v", content, err)
	}
}
