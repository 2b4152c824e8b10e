package app

import (
	"encoding/json"
	"slices"
	"strings"
)

// laterFields is what only a later version of the program knows of an app: the fields of its
// record, and of those of its keys, that have no place in App. While the nodes of a cluster
// are upgraded one by one, an older one that changes an app must not lose them.
type laterFields struct {
	app  fields
	keys map[string]fields // by server or client key
}

// fields are those of a JSON object.
type fields map[string]json.RawMessage

// The lists of keys in a record.
var keyLists = []string{"server_keys", "client_keys"}

// besides is the fields that are none of known.
func (f fields) besides(known ...string) fields {
	rest := make(fields)
	for name, value := range f {
		// As package json sees it, letters of another case are no other field.
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
			rest[name] = value
		}
	}
	return rest
}

// readLater finds what has no place in appRecord.
func readLater(text []byte) (*laterFields, error) {
	var record fields
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, err
	}
	later := &laterFields{app: record.besides(append(keyLists, "id", "title", "created_at")...),
		keys: make(map[string]fields)}
	for _, list := range keyLists {
		var keys []fields
		if err := json.Unmarshal(record[list], &keys); err != nil {
			return nil, err
		}
		for _, k := range keys {
			var key string
			if err := json.Unmarshal(k["key"], &key); err != nil {
				return nil, err
			}
			if rest := k.besides("key", "token_secret", "generation", "since", "until"); len(rest) > 0 {
				later.keys[key] = rest
			}
		}
	}
	return later, nil
}

// add puts the fields into a record of the app, but for those of keys that are gone.
func (l *laterFields) add(text []byte) ([]byte, error) {
	var record fields
	if err := json.Unmarshal(text, &record); err != nil {
		return nil, err
	}
	for _, list := range keyLists {
		var keys []fields
		if err := json.Unmarshal(record[list], &keys); err != nil {
			return nil, err
		}
		for _, k := range keys {
			var key string
			if err := json.Unmarshal(k["key"], &key); err != nil {
				return nil, err
			}
			for name, value := range l.keys[key] {
				k[name] = value
			}
		}
		var err error
		if record[list], err = json.Marshal(keys); err != nil {
			return nil, err
		}
	}
	for name, value := range l.app {
		record[name] = value
	}
	return json.Marshal(record)
}

// sameLater reports whether two apps with the same keys have the same fields of a later version.
func sameLater(a, b *App) bool {
	if a.later == nil && b.later == nil {
		return true
	}
	x, err := encodeRecord(a)
	y, otherErr := encodeRecord(b)
	return err == nil && otherErr == nil && string(x) == string(y)
}
