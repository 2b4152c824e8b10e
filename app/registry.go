package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

// Options of a registry; the zero value is ready for use.
type Options struct {
	// Now is the clock; time.Now if nil. It is called from many goroutines.
	Now func() time.Time
	// LockWait is how long to wait for another process to let go of the file;
	// 500 ms if zero.
	LockWait time.Duration
	// NeverCreate makes Open fail with fs.ErrNotExist when nothing is there.
	NeverCreate bool
	// Expect is the identity that the database must have, if it is not zero and the
	// file has one; otherwise Open fails with ErrAnother. It makes Open never create
	// a database, which could only be another one.
	Expect Identity
	// Changed is called for each app that was created or changed (a is what it is
	// now) or removed (a is nil), after the change is on disk and visible to
	// readers, before the call that made it returns, unless that was abandoned.
	// Calls come one after the other in the order of the changes, from goroutines
	// of the registry; the writer's turn is not over, so Changed may read the
	// registry but must not change it. It is not called for what Open finds, but
	// for what Reopen finds changed.
	Changed func(id string, a *App)
	// Agree, if it is not nil, has each change of an app agreed on by all nodes of a
	// cluster before it is stored, but neither names nor the end of keys. It is called
	// from goroutines of the registry, of several changes at once, without the writer's
	// turn, so [Registry.Apply] can be called meanwhile. ErrConflict says that somebody
	// else was faster, and that his change was applied: then the change is made anew, at
	// most 10 times. ErrOutcomeUnknown says that it may have been agreed on, or yet be. Any
	// other error says why there is no agreement; who made the change gets it with
	// ErrNotAgreed. When ctx ends it returns soon; whether it was agreed on is then not known.
	Agree func(ctx context.Context, c Change) error
}

const defaultLockWait = 500 * time.Millisecond

func (o Options) lockWait() time.Duration { return cmp.Or(o.LockWait, defaultLockWait) }

// ErrClosed: the registry was closed, nothing can be changed any more.
var ErrClosed = errors.New("the database is closed")

// Registry keeps the apps. Readers ([Registry.List], [Registry.Get],
// [Registry.Authorize], [Registry.CheckToken], [Registry.Export]) take an immutable
// snapshot without any lock; writers go one at a time, and each returns only when
// its change is on disk. A change that could not be stored is not visible at all.
//
// Besides what is said with each of them, methods that change something fail with
// ErrNotStored, ErrOutcomeUnknown, ErrUnavailable, ErrHandingOver, ErrClosed or
// ErrDamaged. With [Options.Agree], those that change an app fail with ErrNotAgreed or
// ErrConflict, too.
//
// All methods are safe for concurrent use. Each change runs in a goroutine that ends
// with it; behind a stalled disk it may outlive its caller, and even Close.
type Registry struct {
	now      func() time.Time
	changed  func(id string, a *App)
	agree    func(ctx context.Context, c Change) error
	closing  context.Context // ends when Close begins
	close    context.CancelFunc
	lockWait time.Duration
	created  bool

	current atomic.Pointer[snapshot]
	inDisk  atomic.Pointer[time.Time] // when the disk was given the change under way
	inDoubt atomic.Bool
	tokens  sync.Map // server key → *tokenCount

	// gate gives the turn to write. Who has it may use store, which is nil without
	// a file.
	gate  *gate
	store *store

	mu       sync.Mutex
	away     error // why there is no file; nil while there is one
	identity Identity
	member   Membership
}

// Created reports whether this Open made the database.
func (r *Registry) Created() bool { return r.created }

// LastChangeInDoubt reports whether the file, when it was opened, had one of its two
// meta pages damaged. Then the last change may not be there: one that nobody was told
// of, if the power was lost just then, or one that was acknowledged, such as the end
// of a key, if the disk has damaged it since. The next change makes the page whole;
// the answer stays.
func (r *Registry) LastChangeInDoubt() bool { return r.inDoubt.Load() }

// closeWait is how long Close waits for the disk.
const closeWait = 2 * time.Second

// Close waits for a change under way, 2 s at most, and lets go of the file. Later
// changes, and those that wait for their turn, fail with ErrClosed; reads go on
// answering from what was there. When the disk takes longer the error is
// context.DeadlineExceeded, and the file is open until the end of the process, or
// another Close.
func (r *Registry) Close() error {
	r.setAway(ErrClosed)
	r.gate.close(ErrClosed)
	r.close()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	err := r.gate.discharged(ctx)
	if err == nil {
		err = r.closeFile(ctx, ErrClosed)
	}
	if err != nil && !errors.Is(err, ErrDamaged) { // a broken file is closed by the end of the process
		return fmt.Errorf("closing the database: %w", err)
	}
	return nil
}

// Backup returns the contents of a database file with all apps as they are now.
// It is in memory: whoever reads it, however slowly, does not hold up writers.
// The error is ErrUnavailable, ErrHandingOver, ErrClosed, ErrDamaged, or one of the
// file system.
func (r *Registry) Backup() ([]byte, error) {
	content, err := withFile(r, ErrHandingOver, func() ([]byte, error) { return r.store.backup() })
	if err != nil {
		return nil, fmt.Errorf("backing up the database: %w", err)
	}
	return content, nil
}

// List is all apps, by CreatedAt, then ID. The slice is the caller's own.
func (r *Registry) List() []*App { return slices.Clone(r.current.Load().list) }

// Get finds an app by its id, in any letter case.
func (r *Registry) Get(id string) (*App, bool) { return r.current.Load().get(id) }

// Create adds an app with fresh keys. Blanks around the title are taken off. The
// error is ErrBadTitle, or why it could not be stored.
func (r *Registry) Create(title string) (*App, error) {
	title, err := cleanTitle(title)
	if err != nil {
		return nil, fmt.Errorf("creating an app: %w", err)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("creating an app: making an id: %w", err)
	}
	a, err := r.change(id.String(), func(old *App) (*App, error) {
		if old != nil {
			return old, nil // agreed on before, although it was taken for a conflict: nobody else has the id
		}
		now := r.now().UTC().Round(0)
		return &App{
			ID:         id.String(),
			Title:      title,
			CreatedAt:  now,
			ServerKeys: []ServerKey{{Key: newServerKey(), Since: now, tokenSecret: newTokenSecret()}},
			ClientKeys: []ClientKey{{Key: clientkey.New(), Generation: 1, Since: now}},
		}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("creating an app: %w", err)
	}
	return a, nil
}

// Rename gives the app another title; keys and tokens stay. The error is
// ErrNotFound, ErrBadTitle, or why it could not be stored.
func (r *Registry) Rename(id, title string) (*App, error) {
	return r.edit("renaming an app", id, func(a *App) (err error) {
		a.Title, err = cleanTitle(title)
		return err
	})
}

// ResetToken makes all tokens of the app invalid at once; the keys stay. The error
// is ErrNotFound, or why it could not be stored.
func (r *Registry) ResetToken(id string) (*App, error) {
	return r.edit("resetting tokens", id, func(a *App) error {
		for i := range a.ServerKeys {
			a.ServerKeys[i].tokenSecret = newTokenSecret()
		}
		return nil
	})
}

// Remove removes the app with its keys and tokens. The error is ErrNotFound, or why
// it could not be stored.
func (r *Registry) Remove(id string) error {
	_, err := r.change(id, func(old *App) (*App, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		return nil, nil
	})
	if err != nil {
		return fmt.Errorf("removing an app: %s: %w", quoteShort(id), err)
	}
	return nil
}

// edit stores a copy of the app after edit has worked on it. If it is the same as before
// nothing is stored.
func (r *Registry) edit(doing, id string, edit func(*App) error) (*App, error) {
	a, err := r.change(id, func(old *App) (*App, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		a := old.clone()
		if err := edit(a); err != nil || sameApp(a, old) {
			return old, err
		}
		return a, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", doing, quoteShort(id), err)
	}
	return a, nil
}

// change makes one change of one app. become works out what the app becomes: old is what
// it is, nil if there is none; old itself leaves everything as it is, nil removes it.
func (r *Registry) change(id string, become func(old *App) (*App, error)) (*App, error) {
	if r.agree != nil {
		return r.changeTogether(id, become)
	}
	return withFile(r, ErrOutcomeUnknown, func() (*App, error) {
		old, _ := r.Get(id)
		a, err := become(old)
		switch {
		case err != nil:
			return nil, err
		case a == old:
			return a, nil
		case a == nil:
			return nil, r.commit(change{remove: []string{old.ID}})
		}
		return a, r.commit(change{put: []*App{a}})
	})
}

// withFile does work in the writer's turn, if there is a file to work with. When it
// is abandoned meanwhile the caller gets left.
func withFile[T any](r *Registry, left error, work func() (T, error)) (T, error) {
	var none T
	if err := r.Unavailable(); err != nil { // at once, whoever has the turn
		return none, err
	}
	return inTurn(r.gate, left, func() (T, error) {
		if err := r.Unavailable(); err != nil {
			return none, err
		}
		return work()
	})
}
