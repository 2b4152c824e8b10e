package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/app/internal/pages"
)

const (
	// lookFor bounds a Look, even if the disk does not answer.
	lookFor = 3 * time.Second
	// lookAgain is the pause before a state that does not fit together is looked at
	// again; a commit takes less.
	lookAgain = 50 * time.Millisecond
	// lookTimes is how often something that nobody is changing has to be found damaged.
	lookTimes = 3
)

// Seen is what [Look] found.
type Seen struct {
	Identity          Identity // zero: it has none
	LastChangeInDoubt bool     // see [Registry.LastChangeInDoubt]
}

// Look checks a database that another process may have open. It takes no lock, writes
// nothing and makes nothing, but proves the right to write. It takes 3 s at most. The error is as with [Open]
// with NeverCreate; it is ErrLocked if the file kept changing so fast that it could
// not be read, and os.ErrDeadlineExceeded if the disk did not answer.
func Look(path string) (Seen, error) {
	type answer struct {
		seen Seen
		err  error
	}
	answers := make(chan answer, 1)
	end := time.Now().Add(lookFor)
	// Nothing ends a read that hangs in the disk, so this goroutine may outlive us.
	go func() {
		seen, err := look(path, end)
		answers <- answer{seen, err}
	}()
	late := time.NewTimer(lookFor)
	defer late.Stop()
	var a answer
	select {
	case a = <-answers:
	case <-late.C:
		a.err = os.ErrDeadlineExceeded
	}
	if a.err != nil {
		return Seen{}, openError(path, a.err)
	}
	return a.seen, nil
}

func look(path string, end time.Time) (Seen, error) {
	if err := checkFile(path); err != nil {
		return Seen{}, err
	}
	file, err := openExisting(path, os.O_RDWR, 0)
	if err != nil {
		return Seen{}, err
	}
	defer file.Close()
	for still := 0; ; time.Sleep(lookAgain) {
		before := transactions(file)
		there, err := readPages(file)
		after := transactions(file)
		switch {
		case err == nil && after.whole:
			return Seen{Identity: there.identity}, nil
		case after == before:
			still++
		case time.Now().Add(lookAgain).After(end):
			return Seen{}, fmt.Errorf("%w: it changes too fast to be read", ErrLocked)
		}
		switch {
		case err != nil && !errors.Is(err, ErrDamaged):
			return Seen{}, err
		case still == lookTimes && err == nil:
			return Seen{there.identity, true}, nil
		case still == lookTimes:
			return Seen{}, err
		}
	}
}

// state distinguishes moments of a file: no two with a commit in between are equal.
type state struct {
	metas [2]uint64
	whole bool
}

func transactions(file *os.File) state {
	metas, err := pages.Transactions(file)
	return state{metas, err == nil}
}

// readPages reads a database without bbolt, which would want its lock.
func readPages(file *os.File) (*contents, error) {
	buckets, err := pages.Read(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return readContents(func(name []byte) pairs {
		bucket, ok := buckets[string(name)]
		if !ok {
			return nil
		}
		return func(yield func(k, v []byte) bool) {
			for _, p := range bucket {
				if !yield(p.Key, p.Value) {
					return
				}
			}
		}
	})
}
