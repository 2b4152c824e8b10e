package app

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/google/uuid"
)

// A token is base64url of 48 bytes (protocol.md, section 3.1): the app's id, the
// moment of expiry, and a MAC of both. Nothing about it is stored.
const (
	tokenIDLen    = 16
	tokenHeadLen  = tokenIDLen + 8 // with the expiry: big-endian seconds of Unix time
	tokenMACLen   = 24             // HMAC-SHA256, cut
	tokenLen      = tokenHeadLen + tokenMACLen
	tokenTextLen  = tokenLen / 3 * 4
	secretByteLen = 32
)

// tokenSecret is the MAC key of the tokens of one server key.
type tokenSecret [secretByteLen]byte

func (tokenSecret) String() string   { return "token secret" }
func (tokenSecret) GoString() string { return "token secret" }

// Token is what a sender gets for its server key. Value is a secret.
type Token struct {
	Value   string    // 64 URL-safe characters
	Expires time.Time // whole seconds, UTC
	App     *App
}

// String hides the token.
func (t Token) String() string { return "token until " + t.Expires.Format(time.RFC3339) }

// GoString is String: %#v must not show the token.
func (t Token) GoString() string { return t.String() }

// Authorize makes a token for the app with this server key, good for lifetime; the
// end is cut to the whole second. With an old key it ends with the key at the
// latest. Earlier tokens stay good. The error is ErrUnknownKey. The cost does not
// depend on the number of apps; safe for concurrent use.
func (r *Registry) Authorize(serverKey string, lifetime time.Duration) (Token, error) {
	s := r.current.Load()
	held, ok := s.byServerKey[serverKey]
	now := r.now()
	if !ok || !works(held.key.Until, now) {
		return Token{}, ErrUnknownKey
	}
	expires := now.Add(lifetime)
	if until := held.key.Until; !until.IsZero() && until.Before(expires) {
		expires = until
	}
	expires = time.Unix(expires.Unix(), 0).UTC()
	r.countToken(held.key.Key, now)
	return Token{
		Value:   formatToken(held.id, expires.Unix(), &held.key.tokenSecret),
		Expires: expires,
		App:     held.app,
	}, nil
}

// CheckToken returns whose token this is. The error is ErrTokenExpired for a genuine
// token whose time is over, ErrTokenInvalid for anything else. The cost depends
// neither on the number of apps nor on that of tokens; safe for concurrent use.
func (r *Registry) CheckToken(token string) (*App, error) {
	if len(token) != tokenTextLen {
		return nil, ErrTokenInvalid
	}
	var text [tokenTextLen]byte
	var raw [tokenLen]byte
	copy(text[:], token)
	if n, err := base64.RawURLEncoding.Decode(raw[:], text[:]); err != nil || n != tokenLen {
		return nil, ErrTokenInvalid
	}
	a := r.current.Load().byID[uuid.UUID(raw[:tokenIDLen])]
	if a == nil {
		return nil, ErrTokenInvalid
	}
	now := r.now()
	for i := range a.ServerKeys {
		k := &a.ServerKeys[i]
		if !works(k.Until, now) {
			continue
		}
		mac := tokenMAC(&k.tokenSecret, raw[:tokenHeadLen])
		if subtle.ConstantTimeCompare(mac[:tokenMACLen], raw[tokenHeadLen:]) == 0 {
			continue
		}
		if now.Unix() >= int64(binary.BigEndian.Uint64(raw[tokenIDLen:])) {
			return nil, ErrTokenExpired
		}
		return a, nil
	}
	return nil, ErrTokenInvalid
}

// Claimed returns the app that a token names, genuine or not: that of one that was
// reset, for instance. It is good for telling people whose sender has a problem, and
// for nothing else.
func (r *Registry) Claimed(token string) (*App, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenLen {
		return nil, false
	}
	a := r.current.Load().byID[uuid.UUID(raw[:tokenIDLen])]
	return a, a != nil
}

func formatToken(id uuid.UUID, expires int64, secret *tokenSecret) string {
	raw := make([]byte, 0, tokenLen)
	raw = append(raw, id[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(expires))
	mac := tokenMAC(secret, raw)
	return base64.RawURLEncoding.EncodeToString(append(raw, mac[:tokenMACLen]...))
}

// tokenMAC is HMAC-SHA256 (RFC 2104), written out because crypto/hmac allocates
// seven times for what each send has to do at least once.
func tokenMAC(secret *tokenSecret, head []byte) [sha256.Size]byte {
	var inner [sha256.BlockSize + tokenHeadLen]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	copy(inner[:], secret[:])
	copy(outer[:], secret[:])
	for i := range sha256.BlockSize {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	copy(inner[sha256.BlockSize:], head[:tokenHeadLen])
	sum := sha256.Sum256(inner[:])
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}
