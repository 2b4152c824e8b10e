package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"time"
)

// A stored app is one line: the CRC-32C of what follows in 8 hex digits, a space,
// and the JSON of appRecord. bbolt itself protects only its two meta pages; with
// the sum, a flipped bit in a key shows up at the start instead of as senders and
// sessions that are refused for no visible reason.
const sumLen = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type appRecord struct {
	ID         string            `json:"id"`
	Title      string            `json:"title"`
	CreatedAt  time.Time         `json:"created_at"`
	ServerKeys []serverKeyRecord `json:"server_keys"`
	ClientKeys []clientKeyRecord `json:"client_keys"`
}

type serverKeyRecord struct {
	Key         string    `json:"key"`
	TokenSecret []byte    `json:"token_secret"`
	Since       time.Time `json:"since,omitzero"`
	Until       time.Time `json:"until,omitzero"`
}

type clientKeyRecord struct {
	Key        string    `json:"key"`
	Generation int       `json:"generation"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
}

func encodeApp(a *App) ([]byte, error) {
	text, err := encodeRecord(a)
	if err != nil {
		return nil, err
	}
	line := make([]byte, 0, sumLen+1+len(text))
	line = fmt.Appendf(line, "%08x ", crc32.Checksum(text, castagnoli))
	return append(line, text...), nil
}

func encodeRecord(a *App) ([]byte, error) {
	rec := appRecord{ID: a.ID, Title: a.Title, CreatedAt: a.CreatedAt}
	for i := range a.ServerKeys {
		k := &a.ServerKeys[i]
		rec.ServerKeys = append(rec.ServerKeys, serverKeyRecord{k.Key, k.tokenSecret[:], k.Since, k.Until})
	}
	for _, k := range a.ClientKeys {
		rec.ClientKeys = append(rec.ClientKeys, clientKeyRecord(k))
	}
	text, err := json.Marshal(&rec)
	if err != nil || a.later == nil {
		return text, err
	}
	return a.later.add(text)
}

// decodeApp keeps nothing of line, which may be mapped memory. Its errors never
// quote the record.
func decodeApp(line []byte) (*App, error) {
	sum, text, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(sum) != sumLen {
		return nil, errors.New("it does not begin with a checksum")
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || uint32(want) != crc32.Checksum(text, castagnoli) {
		return nil, errors.New("its checksum does not match")
	}
	return decodeRecord(text)
}

// sumOf is the checksum of a line, as it stands there.
func sumOf(line []byte) string { return string(line[:sumLen]) }

func decodeRecord(text []byte) (*App, error) {
	var rec appRecord
	var later *laterFields
	if !decodeWhole(text, &rec) {
		rec = appRecord{}
		err := json.Unmarshal(text, &rec)
		if err == nil {
			later, err = readLater(text)
		}
		if err != nil {
			return nil, errors.New("it is not the JSON of an app")
		}
	}
	a := &App{ID: rec.ID, Title: rec.Title, CreatedAt: rec.CreatedAt.UTC(), later: later}
	for _, k := range rec.ServerKeys {
		if len(k.TokenSecret) != secretByteLen {
			return nil, errors.New("a token secret has the wrong size")
		}
		a.ServerKeys = append(a.ServerKeys, ServerKey{k.Key, a.sinceUTC(k.Since), endUTC(k.Until),
			tokenSecret(k.TokenSecret)})
	}
	for _, k := range rec.ClientKeys {
		k.Since, k.Until = a.sinceUTC(k.Since), endUTC(k.Until)
		a.ClientKeys = append(a.ClientKeys, ClientKey(k))
	}
	return a, validate(a)
}

// decodeWhole reports whether text is the JSON of a record and of nothing else.
func decodeWhole(text []byte, rec *appRecord) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(rec) != nil {
		return false
	}
	_, err := d.Token()
	return err == io.EOF
}

// sinceUTC is when a key was made, as far as its record tells.
func (a *App) sinceUTC(t time.Time) time.Time {
	if t.IsZero() {
		return a.CreatedAt
	}
	return t.UTC()
}

// endUTC keeps zero zero in the sense of ==, too.
func endUTC(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// validate checks what the rest of the package relies on.
func validate(a *App) error {
	if id, err := parseID(a.ID); err != nil || id.String() != a.ID {
		return fmt.Errorf("its id is %w", errBadID)
	}
	if _, err := cleanTitle(a.Title); err != nil {
		return err
	}
	if len(a.ServerKeys) == 0 || len(a.ClientKeys) == 0 {
		return errors.New("it has no keys")
	}
	for i, k := range a.ServerKeys {
		if err := checkServerKey(k.Key); err != nil {
			return fmt.Errorf("server key %d is %w", i+1, err)
		}
		if (i == 0) != k.Until.IsZero() {
			return fmt.Errorf("the end of server key %d is wrong", i+1)
		}
	}
	for i, k := range a.ClientKeys {
		if err := checkClientKey(k.Key); err != nil {
			return fmt.Errorf("client key %d is %w", i+1, err)
		}
		if (i == 0) != k.Until.IsZero() || k.Generation < 1 ||
			i > 0 && k.Generation >= a.ClientKeys[i-1].Generation {
			return fmt.Errorf("the end or the generation of client key %d is wrong", i+1)
		}
	}
	return nil
}
