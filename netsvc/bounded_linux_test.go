package netsvc

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhatIsDoneTooLateGoesToNobodyElse: who has given up waiting must not meet it again.
func TestWhatIsDoneTooLateGoesToNobodyElse(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		takes     time.Duration
		fails     error
		want      error
		discarded bool
	}{
		"in time":             {time.Second, nil, nil, false},
		"in time, and fails":  {time.Second, failed, failed, false},
		"too late":            {3 * time.Second, nil, os.ErrDeadlineExceeded, true},
		"too late, and fails": {3 * time.Second, failed, os.ErrDeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				discarded := 0
				value, err := bounded(time.Now().Add(2*time.Second), func() (int, error) {
					time.Sleep(test.takes)
					return 7, test.fails
				}, func(late int) { discarded += late })
				if !errors.Is(err, test.want) || (value == 7) == test.discarded && test.fails == nil {
					t.Errorf("got %d, %v", value, err)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if (discarded == 7) != test.discarded {
					t.Errorf("%d was discarded", discarded)
				}
			})
		})
	}
}
