package app

import (
	"crypto/rand"
	"errors"

	"github.com/google/uuid"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

// The form of a server key (protocol.md section 2); that of a client key is in
// package clientkey.
const (
	serverKeyLen     = 64
	serverKeyLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newServerKey takes letters from the system's random source. Bytes at and above
// the largest multiple of the number of letters are thrown away, otherwise the
// first letters would come up more often.
func newServerKey() string {
	const fair = 256 / len(serverKeyLetters) * len(serverKeyLetters)
	key := make([]byte, 0, serverKeyLen)
	var random [serverKeyLen]byte
	for {
		rand.Read(random[:]) // never fails: crypto/rand ends the process instead
		for _, b := range random {
			if int(b) >= fair {
				continue
			}
			key = append(key, serverKeyLetters[int(b)%len(serverKeyLetters)])
			if len(key) == serverKeyLen {
				return string(key)
			}
		}
	}
}

func newTokenSecret() (s tokenSecret) {
	rand.Read(s[:])
	return s
}

var (
	errBadID        = errors.New("not a UUID of 36 characters")
	errBadServerKey = errors.New("not 64 letters and digits")
	errBadClientKey = errors.New("not a client key in base64")
)

// parseID takes only the form with four dashes; uuid.Parse alone knows others.
func parseID(s string) (uuid.UUID, error) {
	if len(s) != 36 {
		return uuid.UUID{}, errBadID
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.UUID{}, errBadID
	}
	return id, nil
}

func checkServerKey(s string) error {
	if len(s) != serverKeyLen {
		return errBadServerKey
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return errBadServerKey
		}
	}
	return nil
}

func checkClientKey(s string) error {
	if _, _, err := clientkey.Parse(s); err != nil {
		return errBadClientKey
	}
	return nil
}
