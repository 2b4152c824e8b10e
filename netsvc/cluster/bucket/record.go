package bucket

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// The keys of the bucket: what it is, and an app each.
const (
	keyMeta   = "meta"
	prefixApp = "app."
)

// keyOf is the key of an app.
func keyOf(id string) string { return prefixApp + id }

// idOf is the id of the app that a key is of.
func idOf(key string) (id string, ok bool) {
	text, isApp := strings.CutPrefix(key, prefixApp)
	parsed, err := uuid.Parse(text)
	return text, isApp && err == nil && parsed.String() == text
}

// recordFormat is the only one so far of a record of an app.
const recordFormat = 1

// appRecord is what is sealed under the key of an app.
type appRecord struct {
	Format  int             `json:"v"`
	Cluster uuid.UUID       `json:"cluster"` // the bucket may become another cluster's
	Version uint64          `json:"version"`
	By      string          `json:"by"` // name of the node
	App     json.RawMessage `json:"app,omitempty"`
	Removed bool            `json:"removed,omitempty"`
}

// errLater: a record is of a later version of the program.
var errLater = errors.New("it is of a later version of the program")

// agreedChange is a change of an app, with who put it into the bucket.
type agreedChange struct {
	app.Change
	cluster uuid.UUID
	by      string // name of the node
}

func (c agreedChange) encode() ([]byte, error) {
	r := appRecord{Format: recordFormat, Cluster: c.cluster, Version: c.Version, By: c.by, Removed: c.App == nil}
	if c.App != nil {
		var err error
		if r.App, err = c.App.MarshalRecord(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(&r)
}

// decodeChange reads a record of the app with that id. The error quotes nothing of it.
func decodeChange(id string, body []byte) (c agreedChange, err error) {
	var r appRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return c, errors.New("it is no record of an app")
	}
	c = agreedChange{app.Change{ID: id, Version: r.Version}, r.Cluster, r.By}
	switch {
	case r.Format > recordFormat:
		return c, errLater
	case r.Format != recordFormat || r.Version == 0 || r.Cluster == noCluster || r.Removed == (r.App != nil):
		return c, errors.New("it is no record of an app")
	case r.Removed:
		return c, nil
	}
	if c.App, err = app.ParseRecord(r.App); err != nil {
		return c, err
	}
	if c.App.ID != id {
		return c, fmt.Errorf("it is of another app, %s", c.App.ID)
	}
	return c, nil
}

// metaRecord is what is sealed under keyMeta.
type metaRecord struct {
	Cluster uuid.UUID `json:"cluster"`
	State   string    `json:"state"`
	By      string    `json:"by"` // name of the node
	// Retired are the ids of the keys that the cluster has left, the last one at the end.
	Retired []string `json:"retired,omitempty"`
}

// maxRetired bounds them: whoever seals with a key that was left so long ago has no other one.
const maxRetired = 32

// retire notes that the cluster leaves a key.
func (m *metaRecord) retire(key seal.KeyID) {
	m.Retired = append(slices.Clone(m.Retired), key.String())
	m.Retired = m.Retired[max(len(m.Retired)-maxRetired, 0):]
}

// What State is.
const (
	metaSeeding = "seeding" // the node By puts its apps into the bucket
	metaReady   = "ready"
)

func (m *metaRecord) encode() []byte {
	body, err := json.Marshal(m)
	if err != nil {
		panic(err) // a struct of strings
	}
	return body
}

func decodeMeta(body []byte) (*metaRecord, error) {
	m := new(metaRecord)
	if json.Unmarshal(body, m) != nil || m.Cluster == uuid.Nil || m.State != metaSeeding && m.State != metaReady {
		return nil, errors.New("it does not say what the bucket is")
	}
	return m, nil
}
