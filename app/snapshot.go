package app

import (
	"maps"
	"slices"

	"github.com/google/uuid"
)

// snapshot is the state of all apps at one moment, ready for the hot path. It is
// immutable once published; a change copies it, which costs time in proportion to
// the number of apps but spares readers every lock.
type snapshot struct {
	byID        map[uuid.UUID]*App
	byServerKey map[string]heldKey
	list        []*App // by CreatedAt, then ID
}

// heldKey is a server key, current or old, with its app.
type heldKey struct {
	id  uuid.UUID
	app *App
	key *ServerKey
}

func newSnapshot(apps []*App) *snapshot {
	s := &snapshot{
		byID:        make(map[uuid.UUID]*App, len(apps)),
		byServerKey: make(map[string]heldKey, len(apps)),
	}
	for _, a := range apps {
		s.add(a)
	}
	s.sort()
	return s
}

// with is a copy of s in which the apps of put replace or join those of s, and
// those of remove are gone.
func (s *snapshot) with(put []*App, remove []string) *snapshot {
	next := &snapshot{byID: maps.Clone(s.byID), byServerKey: maps.Clone(s.byServerKey)}
	for _, id := range remove {
		next.drop(uuid.MustParse(id))
	}
	for _, a := range put {
		next.drop(uuid.MustParse(a.ID))
		next.add(a)
	}
	next.sort()
	return next
}

func (s *snapshot) add(a *App) {
	id := uuid.MustParse(a.ID)
	s.byID[id] = a
	for i := range a.ServerKeys {
		k := &a.ServerKeys[i]
		s.byServerKey[k.Key] = heldKey{id: id, app: a, key: k}
	}
}

func (s *snapshot) drop(id uuid.UUID) {
	old := s.byID[id]
	if old == nil {
		return
	}
	delete(s.byID, id)
	for i := range old.ServerKeys {
		delete(s.byServerKey, old.ServerKeys[i].Key)
	}
}

func (s *snapshot) sort() {
	s.list = slices.SortedFunc(maps.Values(s.byID), compareApps)
}

// get finds an app by its id in any letter case.
func (s *snapshot) get(id string) (*App, bool) {
	parsed, err := parseID(id)
	if err != nil {
		return nil, false
	}
	a, ok := s.byID[parsed]
	return a, ok
}
