package app

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"
)

// prefixVersion is that of the keys in bucket cluster that have a version.
const prefixVersion = "app."

// sumRemoved is in place of the checksum of an app that was removed.
const sumRemoved = "removed"

// storedCluster is what bucket cluster holds.
type storedCluster struct {
	member Membership
	agreed map[uuid.UUID]storedVersion
}

type storedVersion struct {
	number uint64
	sum    string // of the record that was agreed on, or sumRemoved
	now    string // of the record that there is; empty: there is none
}

func readCluster(bucket pairs) (*storedCluster, error) {
	s := new(storedCluster)
	if bucket == nil {
		return s, nil
	}
	for key, value := range bucket {
		var err error
		id, isVersion := bytes.CutPrefix(key, []byte(prefixVersion))
		switch {
		case isVersion:
			err = s.readVersion(string(id), value)
		case bytes.Equal(key, keyCluster):
			s.member.Cluster, err = parseID(string(value))
		case bytes.Equal(key, keyNode):
			s.member.Node, err = parseID(string(value))
		}
		if err != nil {
			return nil, fmt.Errorf("%w: its record of the cluster: %s: %w", ErrDamaged, quoteShort(string(key)), err)
		}
	}
	return s, nil
}

func (s *storedCluster) readVersion(id string, value []byte) error {
	parsed, err := parseID(id)
	if err != nil {
		return err
	}
	number, sum, _ := bytes.Cut(value, []byte{' '})
	v := storedVersion{sum: string(sum)}
	v.number, err = strconv.ParseUint(string(number), 10, 64)
	if err != nil || v.number == 0 || v.sum != sumRemoved && len(v.sum) != sumLen {
		return errors.New("the version cannot be read")
	}
	if s.agreed == nil {
		s.agreed = make(map[uuid.UUID]storedVersion)
	}
	s.agreed[parsed] = v
	return nil
}

// found notes the record that there is of an app.
func (s *storedCluster) found(id string, line []byte) {
	if s.agreed == nil {
		return
	}
	parsed := uuid.MustParse(id)
	if v, known := s.agreed[parsed]; known {
		v.now = sumOf(line)
		s.agreed[parsed] = v
	}
}

// versions is to be called when all records were found.
func (s *storedCluster) versions() map[uuid.UUID]version {
	if s.agreed == nil {
		return nil
	}
	versions := make(map[uuid.UUID]version, len(s.agreed))
	for id, v := range s.agreed {
		same := v.now == v.sum || v.now == "" && v.sum == sumRemoved
		versions[id] = version{number: v.number, alone: !same}
	}
	return versions
}

func (c change) writeCluster(tx *bbolt.Tx) error {
	if c.member == nil && len(c.agreed) == 0 {
		return nil
	}
	if c.joins && tx.Bucket(bucketCluster) != nil {
		if err := tx.DeleteBucket(bucketCluster); err != nil {
			return err
		}
	}
	bucket, err := tx.CreateBucketIfNotExists(bucketCluster)
	if err != nil {
		return err
	}
	if c.member != nil {
		if err := c.member.write(bucket); err != nil {
			return err
		}
	}
	for _, one := range c.agreed {
		sum := sumRemoved
		if one.App != nil {
			line, err := encodeApp(one.App)
			if err != nil {
				return err
			}
			// What is there may have been written by a version that wrote it otherwise.
			if err := tx.Bucket(bucketApps).Put([]byte(one.ID), line); err != nil {
				return err
			}
			sum = sumOf(line)
		}
		key := prefixVersion + one.ID
		if err := bucket.Put([]byte(key), fmt.Appendf(nil, "%d %s", one.Version, sum)); err != nil {
			return err
		}
	}
	return nil
}

func (m *Membership) write(bucket *bbolt.Bucket) error {
	for _, id := range []struct {
		key []byte
		id  uuid.UUID
	}{{keyCluster, m.Cluster}, {keyNode, m.Node}} {
		if id.id == uuid.Nil {
			continue
		}
		if err := bucket.Put(id.key, []byte(id.id.String())); err != nil {
			return err
		}
	}
	return nil
}
