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

	// versions has those of apps, and of removed ones, whose changes were agreed on in a
	// cluster; nil if there was none.
	versions map[uuid.UUID]version
}

// heldKey is a server key, current or old, with its app.
type heldKey struct {
	id  uuid.UUID
	app *App
	key *ServerKey
}

func newSnapshot(apps []*App, versions map[uuid.UUID]version) *snapshot {
	s := &snapshot{
		byID:        make(map[uuid.UUID]*App, len(apps)),
		byServerKey: make(map[string]heldKey, len(apps)),
		versions:    versions,
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
	next := &snapshot{byID: maps.Clone(s.byID), byServerKey: maps.Clone(s.byServerKey), versions: s.versions}
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
	s.list = slices.AppendSeq(make([]*App, 0, len(s.byID)), maps.Values(s.byID))
	slices.SortFunc(s.list, compareApps)
}

// version is the number of the newest agreed change of an app; 0 if there is none.
func (s *snapshot) version(id string) uint64 {
	parsed, err := parseID(id)
	if err != nil {
		return 0
	}
	return s.versions[parsed].number
}

// holderOfKeys is another app that has a server key of a; nil if there is none.
func (s *snapshot) holderOfKeys(a *App) *App {
	if a == nil {
		return nil
	}
	for i := range a.ServerKeys {
		if held, taken := s.byServerKey[a.ServerKeys[i].Key]; taken && held.app.ID != a.ID {
			return held.app
		}
	}
	return nil
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
