package app

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app/names"
)

// The schema: bucket meta with schema_version in decimal; bucket apps with a record
// (see appRecord) for each app under its id; bucket identity, which files of the
// first versions do not have, with the 16 bytes of the [Identity] under id; bucket names,
// which is there as soon as an app has had some, with a names.Table.Encode under its id;
// bucket names_at, with App.NamesAt in decimal under the ids of apps that have had names.
// Versions that know no names leave those of an app behind that they remove.
//
// Bucket cluster is there as soon as the database was in a cluster, or is about to be:
// cluster and node with their UUIDs, and app.ID with the version of an app, a space, and
// the checksum of the record that was agreed on, or «removed». Who changes an app without
// knowing of the bucket gives its record another checksum.
const schemaVersion = 1

var (
	bucketMeta       = []byte("meta")
	bucketApps       = []byte("apps")
	bucketIdentity   = []byte("identity")
	bucketNames      = []byte("names")
	bucketNamesAt    = []byte("names_at")
	keySchemaVersion = []byte("schema_version")
	keyIdentity      = []byte("id")
	bucketCluster    = []byte("cluster")
	keyCluster       = []byte("cluster")
	keyNode          = []byte("node")
)

// contents is what a database holds.
type contents struct {
	apps     []*App // by CreatedAt, then ID
	identity Identity
	member   Membership
	versions map[uuid.UUID]version
}

// pairs passes on the keys and values of a bucket.
type pairs = iter.Seq2[[]byte, []byte]

// readContents checks and reads a database, whose buckets are found by name; nil says
// that there is no such bucket. It keeps nothing of their bytes, which may be mapped
// memory. The error is ErrNewer, or ErrDamaged naming the record.
func readContents(bucket func(name []byte) pairs) (*contents, error) {
	if err := checkSchema(bucket(bucketMeta)); err != nil {
		return nil, err
	}
	identity, err := readIdentity(bucket(bucketIdentity))
	if err != nil {
		return nil, err
	}
	records := bucket(bucketApps)
	if records == nil {
		return nil, fmt.Errorf("%w: it has no list of apps", ErrDamaged)
	}
	cluster, err := readCluster(bucket(bucketCluster))
	if err != nil {
		return nil, err
	}
	var apps appSet
	for id, line := range records {
		a, err := decodeApp(line)
		if err == nil && a.ID != string(id) {
			err = fmt.Errorf("it is of another app, %s", a.ID)
		}
		if err == nil {
			err = apps.add(a)
		}
		if err == nil {
			cluster.found(a.ID, line)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: record of app %s: %w", ErrDamaged, quoteShort(string(id)), err)
		}
	}
	if err := readNames(bucket(bucketNames), apps.apps); err != nil {
		return nil, err
	}
	if err := readNamesAt(bucket(bucketNamesAt), apps.apps); err != nil {
		return nil, err
	}
	return &contents{apps: apps.sorted(), identity: identity, member: cluster.member,
		versions: cluster.versions()}, nil
}

// readNames gives the apps their names.
func readNames(tables pairs, apps []*App) error {
	if tables == nil {
		return nil
	}
	byID := appsByID(apps)
	for id, record := range tables {
		a := byID[string(id)]
		if a == nil {
			continue
		}
		var err error
		if a.names, err = names.Decode(record); err != nil {
			return fmt.Errorf("%w: names of app %s: %w", ErrDamaged, a.ID, err)
		}
	}
	return nil
}

// readNamesAt notes when the apps got their names.
func readNamesAt(times pairs, apps []*App) error {
	if times == nil {
		return nil
	}
	byID := appsByID(apps)
	for id, value := range times {
		a := byID[string(id)]
		if a == nil {
			continue
		}
		var err error
		if a.namesAt, err = strconv.ParseInt(string(value), 10, 64); err != nil {
			return fmt.Errorf("%w: the time of the names of app %s cannot be read", ErrDamaged, a.ID)
		}
	}
	return nil
}

func appsByID(apps []*App) map[string]*App {
	byID := make(map[string]*App, len(apps))
	for _, a := range apps {
		byID[a.ID] = a
	}
	return byID
}

func checkSchema(meta pairs) error {
	if meta == nil {
		return fmt.Errorf("%w: it is not a database of this service", ErrDamaged)
	}
	version, err := strconv.Atoi(string(find(meta, keySchemaVersion)))
	switch {
	case err != nil || version < 1:
		return fmt.Errorf("%w: its schema version cannot be read", ErrDamaged)
	case version > schemaVersion:
		return fmt.Errorf("%w: its schema version is %d, this program knows %d and below",
			ErrNewer, version, schemaVersion)
	}
	return nil
}

func readIdentity(bucket pairs) (id Identity, err error) {
	if bucket == nil {
		return Identity{}, nil
	}
	stored := find(bucket, keyIdentity)
	if len(stored) != len(id) || Identity(stored).IsZero() {
		return Identity{}, fmt.Errorf("%w: its identity cannot be read", ErrDamaged)
	}
	return Identity(stored), nil
}

// find is the value of a key; nil if it is not there.
func find(bucket pairs, key []byte) []byte {
	for k, v := range bucket {
		if string(k) == string(key) {
			return v
		}
	}
	return nil
}

// appSet gathers apps of which no two have the same id or server key.
type appSet struct {
	apps    []*App
	ids     map[string]bool
	holders map[string]string // server key → id
}

func (s *appSet) add(a *App) error {
	if s.ids == nil {
		s.ids, s.holders = make(map[string]bool), make(map[string]string)
	}
	if s.ids[a.ID] {
		return errors.New("it is there twice")
	}
	s.ids[a.ID] = true
	for _, k := range a.ServerKeys {
		if other, taken := s.holders[k.Key]; taken {
			return fmt.Errorf("it has a server key of app %s", other)
		}
		s.holders[k.Key] = a.ID
	}
	s.apps = append(s.apps, a)
	return nil
}

func (s *appSet) sorted() []*App {
	slices.SortFunc(s.apps, compareApps)
	return s.apps
}

// bucketsIn is how readContents finds buckets in a transaction.
func bucketsIn(tx *bbolt.Tx) func(name []byte) pairs {
	return func(name []byte) pairs {
		bucket := tx.Bucket(name)
		if bucket == nil {
			return nil
		}
		return func(yield func(k, v []byte) bool) {
			cursor := bucket.Cursor()
			for k, v := cursor.First(); k != nil && yield(k, v); {
				k, v = cursor.Next()
			}
		}
	}
}

// initSchema makes an empty database, with an identity of its own.
func initSchema(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketApps); err != nil {
		return err
	}
	return cmp.Or(
		meta.Put(keySchemaVersion, []byte(strconv.Itoa(schemaVersion))),
		writeIdentity(tx, newIdentity()),
	)
}

// write makes the change in a transaction.
func (c change) write(tx *bbolt.Tx) error {
	bucket := tx.Bucket(bucketApps)
	for _, id := range c.remove {
		if err := bucket.Delete([]byte(id)); err != nil {
			return err
		}
	}
	// In the order of the keys: bbolt takes an import of thousands of random ids
	// ten times faster so.
	put := slices.SortedFunc(slices.Values(c.put), func(a, b *App) int { return strings.Compare(a.ID, b.ID) })
	for _, a := range put {
		line, err := encodeApp(a)
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(a.ID), line); err != nil {
			return err
		}
	}
	if err := c.writeNames(tx); err != nil {
		return err
	}
	if err := c.writeCluster(tx); err != nil {
		return err
	}
	if c.identity.IsZero() {
		return nil
	}
	return writeIdentity(tx, c.identity)
}

func (c change) writeNames(tx *bbolt.Tx) error {
	bucket, times := tx.Bucket(bucketNames), tx.Bucket(bucketNamesAt)
	if len(c.names) > 0 {
		var err error
		if bucket, err = tx.CreateBucketIfNotExists(bucketNames); err != nil {
			return err
		}
		if times, err = tx.CreateBucketIfNotExists(bucketNamesAt); err != nil {
			return err
		}
	}
	for _, kept := range []*bbolt.Bucket{bucket, times} {
		if kept == nil {
			continue
		}
		for _, id := range c.remove {
			if err := kept.Delete([]byte(id)); err != nil {
				return err
			}
		}
	}
	for _, a := range c.names {
		if err := times.Put([]byte(a.ID), strconv.AppendInt(nil, a.namesAt, 10)); err != nil {
			return err
		}
		if a.names == nil {
			if err := bucket.Delete([]byte(a.ID)); err != nil {
				return err
			}
			continue
		}
		if err := bucket.Put([]byte(a.ID), a.names.Encode()); err != nil {
			return err
		}
	}
	return nil
}

func writeIdentity(tx *bbolt.Tx, id Identity) error {
	bucket, err := tx.CreateBucketIfNotExists(bucketIdentity)
	if err != nil {
		return err
	}
	return bucket.Put(keyIdentity, id[:])
}
