package wire

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

// redacted is all that a client key ever shows of itself.
const redacted = "[client key]"

// ClientKey is what an app and its sessions share: it signs registrations and
// encrypts frames (protocol.md section 2). It is immutable, safe for concurrent
// use, and never shows itself, however it is printed or logged.
type ClientKey struct {
	secret [clientkey.SecretBytes]byte // the AES key, and the HMAC key of the registration
	iv     [clientkey.IVBytes]byte
	block  cipher.Block
}

// ParseClientKey reads a key in its one exact form, 76 characters of padded
// base64. Errors never show the text.
func ParseClientKey(s string) (*ClientKey, error) {
	k := new(ClientKey)
	var err error
	if k.secret, k.iv, err = clientkey.Parse(s); err != nil {
		return nil, err
	}
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

// Reveal returns what ParseClientKey reads. It is for another process of the service, over a
// sealed way, and for nobody else.
func (k *ClientKey) Reveal() string { return clientkey.Text(k.secret, k.iv) }

// Fingerprint distinguishes keys without revealing anything of them.
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
func appendMAC(dst []byte, secret *[clientkey.SecretBytes]byte, payload []byte) []byte {
	h := hmac.New(sha256.New, secret[:])
	h.Write(payload)
	return h.Sum(dst)
}
