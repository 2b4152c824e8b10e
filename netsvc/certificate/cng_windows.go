package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Padding of NCryptSignHash, from bcrypt.h.
const (
	padPKCS1 = 0x2 // BCRYPT_PAD_PKCS1
	padPSS   = 0x8 // BCRYPT_PAD_PSS
)

// pkcs1Padding is BCRYPT_PKCS1_PADDING_INFO.
type pkcs1Padding struct{ hash *uint16 }

// pssPadding is BCRYPT_PSS_PADDING_INFO.
type pssPadding struct {
	hash *uint16
	salt uint32
}

// storedKey is a private key that never leaves the system's key store: a
// [crypto.Signer] over CNG. Its methods may be called concurrently, as
// NCryptSignHash may.
type storedKey struct {
	handle windows.Handle
	public crypto.PublicKey
}

// Loaded when the first key is used: only FromStorage needs them.
var (
	ncrypt     = windows.NewLazySystemDLL("ncrypt.dll")
	signHash   = ncrypt.NewProc("NCryptSignHash")
	freeObject = ncrypt.NewProc("NCryptFreeObject")
)

// newStoredKey takes over an NCRYPT_KEY_HANDLE. With mustFree it is freed when
// the key is no longer reachable.
func newStoredKey(handle windows.Handle, public crypto.PublicKey, mustFree bool) *storedKey {
	key := &storedKey{handle: handle, public: public}
	if mustFree {
		runtime.AddCleanup(key, func(h windows.Handle) { freeObject.Call(uintptr(h)) }, handle)
	}
	return key
}

// Public returns the public key of the certificate.
func (k *storedKey) Public() crypto.PublicKey { return k.public }

// Sign signs a digest with RSA (PKCS #1 v1.5 or PSS) or ECDSA, as opts say.
func (k *storedKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	defer runtime.KeepAlive(k)
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		signature, err := k.signHash(nil, digest, 0)
		if err != nil {
			return nil, err
		}
		return ecdsaDER(signature)
	case *rsa.PublicKey:
		hash, err := hashName(opts.HashFunc())
		if err != nil {
			return nil, err
		}
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			salt := pss.SaltLength
			if salt == rsa.PSSSaltLengthEqualsHash || salt == rsa.PSSSaltLengthAuto {
				salt = opts.HashFunc().Size()
			}
			return k.signHash(unsafe.Pointer(&pssPadding{hash, uint32(salt)}), digest, padPSS)
		}
		return k.signHash(unsafe.Pointer(&pkcs1Padding{hash}), digest, padPKCS1)
	}
	return nil, fmt.Errorf("signing with a stored key: on a key of type %T: not supported", k.public)
}

// rsaWithoutPSS reports whether the key can only sign the way TLS 1.2 does.
func (k *storedKey) rsaWithoutPSS() bool {
	if _, ok := k.public.(*rsa.PublicKey); !ok {
		return false
	}
	digest := sha256.Sum256(nil)
	_, err := k.Sign(nil, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	return err != nil
}

func (k *storedKey) signHash(padding unsafe.Pointer, digest []byte, flags uintptr) ([]byte, error) {
	if len(digest) == 0 {
		return nil, errors.New("signing with a stored key: an empty digest")
	}
	// 1024 bytes hold a signature of any key: RSA with 8192 bits.
	signature := make([]byte, 1024)
	var size uint32
	status, _, _ := signHash.Call(uintptr(k.handle), uintptr(padding),
		uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)),
		uintptr(unsafe.Pointer(&signature[0])), uintptr(len(signature)),
		uintptr(unsafe.Pointer(&size)), flags|windows.CRYPT_SILENT)
	if status != 0 {
		return nil, fmt.Errorf("signing with a stored key: NCryptSignHash: %w", windows.Errno(status))
	}
	return signature[:size], nil
}

// hashName returns the name CNG has for a hash.
func hashName(hash crypto.Hash) (*uint16, error) {
	switch hash {
	case crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512:
		// "SHA-256" here is "SHA256" there.
		name := hash.String()
		return windows.UTF16PtrFromString(name[:3] + name[4:])
	}
	return nil, fmt.Errorf("signing with a stored key: with the hash %v: not supported", hash)
}

// ecdsaDER turns the two halves CNG returns into what TLS wants.
func ecdsaDER(signature []byte) ([]byte, error) {
	if len(signature) == 0 || len(signature)%2 != 0 {
		return nil, errors.New("signing with a stored key: a signature of odd length")
	}
	half := len(signature) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]),
	})
}
