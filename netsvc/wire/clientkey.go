package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// A client key as text (protocol.md section 2): base64 of the lengths of the
// AES key and the IV, each an int32le, then the key and the IV themselves.
const (
	clientKeyChars = 76
	clientKeyBytes = 8 + aesKeyBytes + aes.BlockSize
	aesKeyBytes    = 32
)

// redacted is all that a client key ever shows of itself.
const redacted = "[client key]"

// ClientKey is what an app and its sessions share: it signs registrations and
// encrypts frames (protocol.md section 2). It is immutable, safe for concurrent
// use, and never shows itself, however it is printed or logged.
type ClientKey struct {
	secret [aesKeyBytes]byte // the AES key, and the HMAC key of the registration
	iv     [aes.BlockSize]byte
	block  cipher.Block
}

// ParseClientKey reads a key in its one exact form, 76 characters of padded
// base64. Errors never show the text.
func ParseClientKey(s string) (*ClientKey, error) {
	if len(s) != clientKeyChars {
		return nil, fmt.Errorf("reading a client key: %d characters, expected %d", len(s), clientKeyChars)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("reading a client key: it is not base64")
	}
	if len(raw) != clientKeyBytes {
		return nil, fmt.Errorf("reading a client key: %d bytes, expected %d", len(raw), clientKeyBytes)
	}
	if n := int32(binary.LittleEndian.Uint32(raw)); n != aesKeyBytes {
		return nil, fmt.Errorf("reading a client key: an AES key of %d bytes, expected %d", n, aesKeyBytes)
	}
	if n := int32(binary.LittleEndian.Uint32(raw[4:])); n != aes.BlockSize {
		return nil, fmt.Errorf("reading a client key: an IV of %d bytes, expected %d", n, aes.BlockSize)
	}
	k := new(ClientKey)
	copy(k.secret[:], raw[8:])
	copy(k.iv[:], raw[8+aesKeyBytes:])
	if k.block, err = aes.NewCipher(k.secret[:]); err != nil {
		return nil, fmt.Errorf("reading a client key: %w", err)
	}
	return k, nil
}

// Equal reports, in constant time, whether both are the same key. A nil key
// equals only another nil.
func (k *ClientKey) Equal(o *ClientKey) bool {
	if k == nil || o == nil {
		return k == o
	}
	secret := subtle.ConstantTimeCompare(k.secret[:], o.secret[:])
	iv := subtle.ConstantTimeCompare(k.iv[:], o.iv[:])
	return secret&iv == 1
}

// Fingerprint tells keys apart without telling anything of them.
func (k *ClientKey) Fingerprint() string {
	h := sha256.New()
	io.WriteString(h, "pns4ones client key")
	h.Write(k.secret[:])
	h.Write(k.iv[:])
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// String returns a fixed text without the key.
func (k ClientKey) String() string { return redacted }

// GoString returns a fixed text without the key.
func (k ClientKey) GoString() string { return redacted }

// Format writes a fixed text without the key, whatever the verb.
func (k ClientKey) Format(s fmt.State, _ rune) { io.WriteString(s, redacted) }

// LogValue returns a fixed text without the key.
func (k ClientKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// appendMAC appends the hash that a registration carries (section 4.1).
func appendMAC(dst []byte, secret *[aesKeyBytes]byte, payload []byte) []byte {
	h := hmac.New(sha256.New, secret[:])
	h.Write(payload)
	return h.Sum(dst)
}
