package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Version is that of the envelopes that are sealed here.
const Version = 1

const (
	// HeadBytes is how long the head is that anybody can read.
	HeadBytes = 24
	// Overhead is by how much an envelope is longer than its body.
	Overhead = HeadBytes + tagBytes

	tagBytes   = 16
	nonceBytes = 12
)

// Kind says what an envelope carries: a small letter. Readers ignore kinds that they
// do not know.
type Kind byte

// The kinds of envelopes.
const (
	KindMessage         Kind = 'm'
	KindAcknowledgement Kind = 'a'
	KindHeartbeat       Kind = 'h'
	KindGoodbye         Kind = 'b'
	KindQuestion        Kind = 'q'
	KindAnswer          Kind = 'r'
	KindHandOver        Kind = 'v'
	KindChanged         Kind = 'c'
	KindApplied         Kind = 'd'
	KindFrame           Kind = 's' // of a stream
	KindSession         Kind = 'o' // of a remembered session that goes on at another node
	KindRecord          Kind = 'k' // of the bucket: Keys.SealRecord, never a Sealer's
)

// Epoch names one life of a node; that of a record is random and names nothing.
type Epoch [8]byte

// NewEpoch draws an epoch.
func NewEpoch() (e Epoch) {
	rand.Read(e[:]) // never fails: crypto/rand ends the process instead
	return e
}

// String returns the epoch in hexadecimal digits.
func (e Epoch) String() string { return hex.EncodeToString(e[:]) }

// Head is what the head of an envelope says. Only Open vouches for it.
type Head struct {
	Kind   Kind
	Key    KeyID
	Epoch  Epoch
	Turn   uint16
	Number uint64
}

// Why an envelope is not opened, besides VersionError and UnknownKeyError.
var (
	ErrCut    = errors.New("shorter than an envelope")
	ErrForged = errors.New("not sealed with the cluster's key, or changed on its way")
)

// VersionError is the version of an envelope that this release cannot read.
type VersionError byte

func (v VersionError) Error() string { return fmt.Sprintf("an envelope of version %d", byte(v)) }

// UnknownKeyError is the id of a key that the key file does not have.
type UnknownKeyError KeyID

func (id UnknownKeyError) Error() string {
	return fmt.Sprintf("sealed with another cluster key: %s", KeyID(id))
}

// ReadHead returns what an envelope claims to be. Errors are ErrCut and VersionError.
func ReadHead(envelope []byte) (Head, error) {
	if len(envelope) > 0 && envelope[0] != Version {
		return Head{}, VersionError(envelope[0])
	}
	if len(envelope) < Overhead {
		return Head{}, ErrCut
	}
	return Head{
		Kind:   Kind(envelope[1]),
		Key:    KeyID(envelope[2:6]),
		Epoch:  Epoch(envelope[6:14]),
		Turn:   binary.BigEndian.Uint16(envelope[14:16]),
		Number: binary.BigEndian.Uint64(envelope[16:24]),
	}, nil
}

func (h *Head) append(dst []byte) []byte {
	dst = append(dst, Version, byte(h.Kind))
	dst = append(dst, h.Key[:]...)
	dst = append(dst, h.Epoch[:]...)
	dst = binary.BigEndian.AppendUint16(dst, h.Turn)
	return binary.BigEndian.AppendUint64(dst, h.Number)
}

// nonces are those not in use: one that is passed to a cipher lives on the heap.
var nonces = sync.Pool{New: func() any { return new([nonceBytes]byte) }}

func (h *Head) nonce() *[nonceBytes]byte {
	n := nonces.Get().(*[nonceBytes]byte)
	n[0] = byte(h.Kind)
	binary.BigEndian.PutUint64(n[4:], h.Number)
	return n
}

// cipher makes the one for what a node of the named cluster seals in one turn of an
// epoch.
func (k *clusterKey) cipher(cluster string, epoch Epoch, turn uint16) cipher.AEAD {
	salt := binary.BigEndian.AppendUint16(epoch[:len(epoch):len(epoch)], turn)
	key, err := hkdf.Key(sha256.New, k.secret[:], salt, "pns4ones "+cluster+" 1", keyBytes)
	if err != nil {
		panic(err) // only for keys longer than HKDF can make
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for keys of another length
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for ciphers with other blocks than AES
	}
	return gcm
}

// Sealer seals what a node sends in one turn of its epoch. It may be used concurrently.
// Never make two of the same cluster, key, epoch and turn: their numbers would be the
// same.
type Sealer struct {
	cluster string
	epoch   Epoch
	turn    uint16
	current atomic.Pointer[sealing]
	numbers ['z' - 'a' + 1]atomic.Uint64 // the last one of each kind
}

type sealing struct {
	key KeyID
	gcm cipher.AEAD
}

// NewSealer returns one that seals with the first of the keys, for the cluster of that
// name.
func NewSealer(keys *Keys, cluster string, epoch Epoch, turn uint16) *Sealer {
	s := &Sealer{cluster: cluster, epoch: epoch, turn: turn}
	s.Use(keys)
	return s
}

// ResumeSealer returns one for another turn of an epoch, whose numbers go on after those that
// Numbers has returned.
func ResumeSealer(keys *Keys, cluster string, epoch Epoch, turn uint16, numbers []uint64) *Sealer {
	s := NewSealer(keys, cluster, epoch, turn)
	for i, number := range numbers[:min(len(numbers), len(s.numbers))] {
		s.numbers[i].Store(number)
	}
	return s
}

// Numbers are the last number of each kind, from a to z.
func (s *Sealer) Numbers() []uint64 {
	numbers := make([]uint64, len(s.numbers))
	for i := range s.numbers {
		numbers[i] = s.numbers[i].Load()
	}
	return numbers
}

// Use seals with other keys from now on; numbers go on.
func (s *Sealer) Use(keys *Keys) {
	first := &keys.all[0]
	s.current.Store(&sealing{first.id, first.cipher(s.cluster, s.epoch, s.turn)})
}

// Seal appends an envelope of a kind, a small letter, with the body to dst. It returns
// the number of the envelope as well: the first of a kind has 1. The body may be
// dst[len(dst)+HeadBytes:] of a larger capacity, and is then sealed where it is.
func (s *Sealer) Seal(dst []byte, kind Kind, body []byte) (envelope []byte, number uint64) {
	current := s.current.Load()
	number = s.numbers[kind-'a'].Add(1)
	head := Head{kind, current.key, s.epoch, s.turn, number}
	return sealBody(dst, current.gcm, &head, body, ""), number
}

// sealBody appends head and sealed body. The name is authenticated with the head.
func sealBody(dst []byte, gcm cipher.AEAD, head *Head, body []byte, name string) []byte {
	start := len(dst)
	dst = head.append(slices.Grow(dst, Overhead+len(body)))
	known := dst[start:]
	if name != "" {
		known = slices.Concat(known, []byte(name))
	}
	nonce := head.nonce()
	defer nonces.Put(nonce)
	return gcm.Seal(dst, nonce[:], body, known)
}

// openBody appends the body of an envelope. The name was authenticated with the head.
func openBody(dst []byte, gcm cipher.AEAD, head *Head, envelope []byte, name string) ([]byte, error) {
	known := envelope[:HeadBytes]
	if name != "" {
		known = slices.Concat(known, []byte(name))
	}
	nonce := head.nonce()
	defer nonces.Put(nonce)
	body, err := gcm.Open(dst, nonce[:], envelope[HeadBytes:], known)
	if err != nil {
		return nil, ErrForged
	}
	return body, nil
}

// Opener opens what nodes of a cluster sealed. It may be used concurrently.
type Opener struct {
	cluster string
	mu      sync.RWMutex
	keys    *Keys
	ciphers map[life]cipher.AEAD // those that have opened something
}

// life is what a cipher is made for.
type life struct {
	key   KeyID
	epoch Epoch
	turn  uint16
}

// maxCiphers bounds what an Opener keeps, far above the nodes of a cluster. Without the
// key nobody adds to it.
const maxCiphers = 1024

// NewOpener returns one that opens what was sealed with any of the keys, for the
// cluster of that name.
func NewOpener(keys *Keys, cluster string) *Opener {
	o := &Opener{cluster: cluster}
	o.Use(keys)
	return o
}

// Use opens with other keys from now on.
func (o *Opener) Use(keys *Keys) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keys = keys
	o.ciphers = make(map[life]cipher.AEAD)
}

// Open appends the body of an envelope to dst and vouches for its head. With
// envelope[HeadBytes:HeadBytes] as dst it is opened where it is. Errors are ErrCut,
// ErrForged, VersionError and UnknownKeyError; what was behind dst's length is
// undefined then.
func (o *Opener) Open(dst, envelope []byte) (Head, []byte, error) {
	head, err := ReadHead(envelope)
	if err != nil {
		return Head{}, nil, err
	}
	of := life{head.Key, head.Epoch, head.Turn}
	o.mu.RLock()
	keys, gcm := o.keys, o.ciphers[of]
	o.mu.RUnlock()
	known := gcm != nil
	if !known {
		key := keys.find(head.Key)
		if key == nil {
			return Head{}, nil, UnknownKeyError(head.Key)
		}
		gcm = key.cipher(o.cluster, head.Epoch, head.Turn)
	}
	body, err := openBody(dst, gcm, &head, envelope, "")
	if err != nil {
		return Head{}, nil, err
	}
	if !known {
		o.keep(keys, of, gcm)
	}
	return head, body, nil
}

// keep remembers a cipher that has opened something, if the keys are still the same.
func (o *Opener) keep(keys *Keys, of life, gcm cipher.AEAD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys != keys {
		return
	}
	if len(o.ciphers) >= maxCiphers {
		clear(o.ciphers) // those in use are back with their next envelope
	}
	o.ciphers[of] = gcm
}

// SealRecord returns a record of the bucket of the named cluster, to be kept under
// name. Two records are never the same, even of the same body.
func (k *Keys) SealRecord(cluster, name string, body []byte) []byte {
	return k.all[0].sealRecord(cluster, name, body, NewEpoch())
}

func (key *clusterKey) sealRecord(cluster, name string, body []byte, epoch Epoch) []byte {
	head := Head{Kind: KindRecord, Key: key.id, Epoch: epoch}
	return sealBody(nil, key.cipher(cluster, epoch, 0), &head, body, name)
}

// ResealRecord returns a record of the bucket of the named cluster as the first key seals it:
// with the same body and the same epoch, by which its maker knows it again. Whoever does
// that with the same keys gets the same bytes. Errors are as of Opener.Open.
func (k *Keys) ResealRecord(cluster, name string, record []byte) ([]byte, error) {
	body, err := k.OpenRecord(cluster, name, record)
	if err != nil {
		return nil, err
	}
	head, err := ReadHead(record)
	if err != nil {
		return nil, err
	}
	return k.all[0].sealRecord(cluster, name, body, head.Epoch), nil
}

// OpenRecord returns the body of a record that was kept under name in the bucket of the
// named cluster. Errors are as of Opener.Open.
func (k *Keys) OpenRecord(cluster, name string, record []byte) ([]byte, error) {
	head, err := ReadHead(record)
	if err != nil {
		return nil, err
	}
	if head.Kind != KindRecord || head.Turn != 0 || head.Number != 0 {
		return nil, ErrForged
	}
	key := k.find(head.Key)
	if key == nil {
		return nil, UnknownKeyError(head.Key)
	}
	return openBody(nil, key.cipher(cluster, head.Epoch, 0), &head, record, name)
}
