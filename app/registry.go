package app

import (
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
	// Changed is called for each app that was created or changed (a is what it is
	// now) or removed (a is nil), after the change is on disk and visible to
	// readers, before the call that made it returns. Calls come one after the
	// other in the order of the changes; the writer's lock is held, so Changed may
	// read the registry but must not change it. It is not called for what Open
	// finds.
	Changed func(id string, a *App)
}

// ErrClosed: the registry was closed, nothing can be changed any more.
var ErrClosed = errors.New("the database is closed")

// Registry keeps the apps. Readers ([Registry.List], [Registry.Get],
// [Registry.Authorize], [Registry.CheckToken], [Registry.Export]) take an immutable
// snapshot without any lock; writers go one at a time, and each returns only when
// its change is on disk. A change that could not be stored is not visible at all.
// All methods are safe for concurrent use. It starts no goroutines; call Close.
type Registry struct {
	now     func() time.Time
	changed func(id string, a *App)
	created bool

	current atomic.Pointer[snapshot]

	// writing lets in one writer at a time. Unlike most locks it is held while
	// the disk works and while Changed is called: that is what makes the order
	// on disk, in memory and in Changed the same.
	writing sync.Mutex
	store   *store
}

// Created tells whether this Open made the database.
func (r *Registry) Created() bool { return r.created }

// Close waits for a change under way and lets go of the file. Later changes fail
// with ErrClosed; reads go on answering from what was there.
func (r *Registry) Close() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.store.close()
}

// Backup returns the contents of a database file with all apps as they are now.
// It is in memory: whoever reads it, however slowly, does not hold up writers.
// The error is ErrClosed, ErrDamaged, or one of the file system.
func (r *Registry) Backup() ([]byte, error) {
	r.writing.Lock() // after Close there is nothing to read
	defer r.writing.Unlock()
	content, err := r.store.backup()
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
	r.writing.Lock()
	defer r.writing.Unlock()
	a := &App{
		ID:         id.String(),
		Title:      title,
		CreatedAt:  r.now().UTC().Round(0),
		ServerKeys: []ServerKey{{Key: newServerKey(), tokenSecret: newTokenSecret()}},
		ClientKeys: []ClientKey{{Key: clientkey.New(), Generation: 1}},
	}
	if err := r.commit([]*App{a}, nil); err != nil {
		return nil, fmt.Errorf("creating an app: %w", err)
	}
	return a, nil
}

// Rename gives the app another title; keys and tokens stay. The error is
// ErrNotFound, ErrBadTitle, or why it could not be stored.
func (r *Registry) Rename(id, title string) (*App, error) {
	return r.change("renaming an app", id, func(a *App) (err error) {
		a.Title, err = cleanTitle(title)
		return err
	})
}

// ResetToken makes all tokens of the app invalid at once; the keys stay. The error
// is ErrNotFound, or why it could not be stored.
func (r *Registry) ResetToken(id string) (*App, error) {
	return r.change("resetting tokens", id, func(a *App) error {
		for i := range a.ServerKeys {
			a.ServerKeys[i].tokenSecret = newTokenSecret()
		}
		return nil
	})
}

// Remove removes the app with its keys and tokens. The error is ErrNotFound, or why
// it could not be stored.
func (r *Registry) Remove(id string) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	a, ok := r.Get(id)
	if !ok {
		return fmt.Errorf("removing an app: %s: %w", quoteShort(id), ErrNotFound)
	}
	if err := r.commit(nil, []string{a.ID}); err != nil {
		return fmt.Errorf("removing an app: %s: %w", a.ID, err)
	}
	return nil
}

// change stores a copy of the app after edit has worked on it.
func (r *Registry) change(doing, id string, edit func(*App) error) (*App, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	old, ok := r.Get(id)
	if !ok {
		return nil, fmt.Errorf("%s: %s: %w", doing, quoteShort(id), ErrNotFound)
	}
	a := old.clone()
	if err := edit(a); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", doing, old.ID, err)
	}
	if err := r.commit([]*App{a}, nil); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", doing, old.ID, err)
	}
	return a, nil
}

// commit makes one change in three steps: on disk, visible, told. It is called
// with writing locked. After an error nothing has changed for readers.
func (r *Registry) commit(put []*App, remove []string) error {
	next := r.current.Load().with(put, remove)
	if err := r.store.commit(put, remove); err != nil {
		return err
	}
	r.current.Store(next)
	if r.changed == nil {
		return nil
	}
	for _, id := range remove {
		r.changed(id, nil)
	}
	for _, a := range put {
		r.changed(a.ID, a)
	}
	return nil
}
