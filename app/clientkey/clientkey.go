// Package clientkey is the form of a client key: the text in which it is kept,
// shown, and copied into 1C, and what it consists of (protocol.md section 2).
//
// app makes such keys and checks those of old files, netsvc/wire signs and encrypts
// with them. What a key is good for is theirs; here is only how it is written.
package clientkey

import (
	"crypto/aes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// The text is base64 of the lengths of the AES key and of the IV, each an int32le,
// then the AES key and the IV themselves.
const (
	SecretBytes = 32            // the AES key, which signs registrations too
	IVBytes     = aes.BlockSize // of all frames
	headerBytes = 4 + 4
	keyBytes    = headerBytes + SecretBytes + IVBytes
	textChars   = 76
)

// New returns a fresh key.
func New() string {
	var random [SecretBytes + IVBytes]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	return Text([SecretBytes]byte(random[:SecretBytes]), [IVBytes]byte(random[SecretBytes:]))
}

// Text is a key in its one exact form.
func Text(secret [SecretBytes]byte, iv [IVBytes]byte) string {
	key := make([]byte, 0, keyBytes)
	key = binary.LittleEndian.AppendUint32(key, SecretBytes)
	key = binary.LittleEndian.AppendUint32(key, IVBytes)
	key = append(append(key, secret[:]...), iv[:]...)
	return base64.StdEncoding.EncodeToString(key)
}

// Parse reads a key in its one exact form, 76 characters of padded base64. Errors
// never show the text.
func Parse(text string) (secret [SecretBytes]byte, iv [IVBytes]byte, err error) {
	wrong := func(err error) ([SecretBytes]byte, [IVBytes]byte, error) {
		return [SecretBytes]byte{}, [IVBytes]byte{}, fmt.Errorf("reading a client key: %w", err)
	}
	if len(text) != textChars {
		return wrong(fmt.Errorf("%d characters, expected %d", len(text), textChars))
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return wrong(errors.New("it is not base64"))
	}
	if len(raw) != keyBytes {
		return wrong(fmt.Errorf("%d bytes, expected %d", len(raw), keyBytes))
	}
	if n := int32(binary.LittleEndian.Uint32(raw)); n != SecretBytes {
		return wrong(fmt.Errorf("an AES key of %d bytes, expected %d", n, SecretBytes))
	}
	if n := int32(binary.LittleEndian.Uint32(raw[4:])); n != IVBytes {
		return wrong(fmt.Errorf("an IV of %d bytes, expected %d", n, IVBytes))
	}
	copy(secret[:], raw[headerBytes:])
	copy(iv[:], raw[headerBytes+SecretBytes:])
	return secret, iv, nil
}
