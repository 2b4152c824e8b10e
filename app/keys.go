package app

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// Forms of protocol.md, section 2.
const (
	serverKeyLen     = 64
	serverKeyLetters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	clientAESKeyLen  = 32
	clientIVLen      = 16
	clientKeyBytes   = 4 + 4 + clientAESKeyLen + clientIVLen
	clientKeyTextLen = 76
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

func newClientKey() string {
	key := make([]byte, 0, clientKeyBytes)
	key = binary.LittleEndian.AppendUint32(key, clientAESKeyLen)
	key = binary.LittleEndian.AppendUint32(key, clientIVLen)
	key = key[:clientKeyBytes]
	rand.Read(key[8:])
	return base64.StdEncoding.EncodeToString(key)
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
	if len(s) != clientKeyTextLen {
		return errBadClientKey
	}
	key, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(key) != clientKeyBytes ||
		binary.LittleEndian.Uint32(key) != clientAESKeyLen ||
		binary.LittleEndian.Uint32(key[4:]) != clientIVLen {
		return errBadClientKey
	}
	return nil
}
