package app

import (
	"bytes"
	"fmt"

	"github.com/pns4ones/pns4ones/app/names"
)

// SetNames replaces the names of an app; with merge those that it has stay, but for the
// ids that have other ones now. The error is ErrNotFound, names.ErrTooMany, or why it
// could not be stored; then all names are as before. all have passed names.Name.Clean.
func (r *Registry) SetNames(id string, all []names.Name, merge bool) (*App, error) {
	return r.editNames("importing names", id, func(have *names.Table) (*names.Table, error) {
		if merge {
			return have.With(all)
		}
		return names.NewTable(all)
	})
}

// SetName gives a user or an infobase of an app another name, or, where that is empty,
// takes away the one there is. The error is ErrNotFound, names.ErrBadName,
// names.ErrTooMany, or why it could not be stored.
func (r *Registry) SetName(id string, n names.Name) (*App, error) {
	return r.editNames("setting a name", id, func(have *names.Table) (*names.Table, error) {
		if n.Name == "" {
			return have.Without(n.Kind, n.ID), nil
		}
		cleaned, err := n.Clean()
		if err != nil {
			return nil, err
		}
		return have.With([]names.Name{cleaned})
	})
}

// TakeNames takes over the names that an app has on another node of the cluster since at
// (see [App.NamesAt]), unless those here are as new. taken reports whether they were not. all
// have passed names.Name.Clean. The error is ErrNotFound, names.ErrTooMany, or why it could
// not be stored.
func (r *Registry) TakeNames(id string, at int64, all []names.Name) (taken bool, err error) {
	_, err = r.putNames("taking over names", id, func(have *App) (*names.Table, int64, error) {
		table, err := names.NewTable(all)
		if err != nil || !newerNames(at, table, have) {
			return have.names, have.namesAt, err
		}
		taken = true
		return table, at, nil
	})
	return taken, err
}

// newerNames reports whether a table is newer than that of an app. Of two that were made in
// the same moment all nodes choose the same one.
func newerNames(at int64, t *names.Table, have *App) bool {
	return at > have.namesAt || at == have.namesAt && bytes.Compare(t.Encode(), have.names.Encode()) > 0
}

func (r *Registry) editNames(doing, id string, edit func(have *names.Table) (*names.Table, error)) (*App, error) {
	return r.putNames(doing, id, func(have *App) (*names.Table, int64, error) {
		table, err := edit(have.names)
		if err != nil || table.Equal(have.names) && r.agree == nil { // other nodes may have other ones
			return have.names, have.namesAt, err
		}
		return table, max(r.now().UnixMilli(), have.namesAt+1), nil
	})
}

// putNames gives an app other names, as of at.
func (r *Registry) putNames(doing, id string, edit func(have *App) (t *names.Table, at int64, err error)) (*App, error) {
	a, err := withFile(r, ErrOutcomeUnknown, func() (*App, error) {
		old, ok := r.Get(id)
		if !ok {
			return nil, ErrNotFound
		}
		table, at, err := edit(old)
		if err != nil {
			return nil, err
		}
		if table.Equal(old.names) {
			table = old.names
		}
		if table == old.names && at == old.namesAt {
			return old, nil
		}
		a := old.clone()
		a.names, a.namesAt = table, at
		put := []*App{a}
		return a, r.commit(change{put: put, names: put, agreed: r.current.Load().stillAgreed(put)})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", doing, quoteShort(id), err)
	}
	return a, nil
}

// NamesOf is the names of an app, by its id in any letter case; nil if it has none, or
// is gone. It takes no lock.
func (r *Registry) NamesOf(id string) *names.Table {
	a, ok := r.Get(id)
	if !ok {
		return nil
	}
	return a.names
}

// EncodeNames writes down the names of apps for [DecodeNames], by the ids of the apps,
// as far as all of them together take no more than limit bytes.
func EncodeNames(apps []*App, limit int) map[string][]byte {
	records := make(map[string][]byte)
	for _, a := range apps {
		if a.names == nil {
			continue
		}
		record := a.names.Encode()
		if limit -= len(record); limit < 0 {
			break
		}
		records[a.ID] = record
	}
	return records
}

// DecodeNames gives apps that [DecodeApps] returned the names that [EncodeNames] wrote
// down. The error says that some are damaged; those apps have none.
func DecodeNames(apps []*App, records map[string][]byte) (err error) {
	for _, a := range apps {
		record, has := records[a.ID]
		if !has {
			continue
		}
		table, broken := names.Decode(record)
		if broken != nil {
			err = fmt.Errorf("reading the names of app %s: %w", a.ID, broken)
			continue
		}
		a.names = table
	}
	return err
}
