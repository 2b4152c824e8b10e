package wire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ErrBadFrame is wrapped by every error about the bytes of a frame themselves:
// impossible lengths, a wrong key, a plaintext that is not an object.
var ErrBadFrame = errors.New("bad frame")

// The head of a frame (protocol.md section 4.2): the length of the ciphertext
// + 4, then the length of the plaintext, both uint32le. The first counts the
// second.
const (
	frameHeadBytes    = 8
	plainLengthBytes  = 4
	firstReceiveBytes = 4096 // what is allocated before the first byte of a ciphertext arrives
)

// AppendFrame appends the frame that carries plaintext to a session under k
// (section 4.2). It grows dst at most once. The plaintext must not overlap
// dst's spare capacity, and must be shorter than 4 GiB.
func (k *ClientKey) AppendFrame(dst, plaintext []byte) []byte {
	size := ciphertextLen(len(plaintext))
	dst = slices.Grow(dst, frameHeadBytes+size)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(size+plainLengthBytes))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(plaintext)))
	start := len(dst)
	dst = append(dst, plaintext...)
	padding := size - len(plaintext)
	for range padding {
		dst = append(dst, byte(padding))
	}
	cipher.NewCBCEncrypter(k.block, k.iv[:]).CryptBlocks(dst[start:], dst[start:])
	return dst
}

// Reseal returns a frame that carries the same plaintext as a frame under k, under another
// key.
func (k *ClientKey) Reseal(frame []byte, under *ClientKey) ([]byte, error) {
	plaintext, err := ReadFrame(bytes.NewReader(frame), k, len(frame))
	if err != nil {
		return nil, err
	}
	return under.AppendFrame(nil, plaintext), nil
}

// ReadFrame reads the next frame from r and returns its plaintext, a JSON
// object. Memory grows with the bytes received, not with the length announced,
// and never beyond a frame of maxBytes. The error is io.EOF when the stream
// ends between frames, io.ErrUnexpectedEOF within one; a frame that is too large,
// cannot be decrypted or does not begin with '{' wraps ErrBadFrame.
func ReadFrame(r io.Reader, k *ClientKey, maxBytes int) ([]byte, error) {
	f, err := receiveFrame(r, maxBytes)
	if err != nil {
		return nil, err
	}
	return f.open(k, f.ciphertext)
}

// sealedFrame is a frame whose lengths agree with each other.
type sealedFrame struct {
	ciphertext []byte
	plainLen   int
}

// ciphertextLen is the length of n bytes with their PKCS#7 padding.
func ciphertextLen(n int) int { return n + aes.BlockSize - n%aes.BlockSize }

func receiveFrame(r io.Reader, maxBytes int) (sealedFrame, error) {
	var head [frameHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.EOF {
			return sealedFrame{}, err
		}
		return sealedFrame{}, fmt.Errorf("reading the head of a frame: %w", err)
	}
	declared := int64(binary.LittleEndian.Uint32(head[:])) - plainLengthBytes
	plain := int64(binary.LittleEndian.Uint32(head[4:]))
	switch {
	case declared+frameHeadBytes > int64(maxBytes):
		return sealedFrame{}, fmt.Errorf("reading a frame: %w: %d bytes, at most %d", ErrBadFrame,
			declared+frameHeadBytes, maxBytes)
	case plain >= declared || declared != int64(ciphertextLen(int(plain))):
		return sealedFrame{}, fmt.Errorf("reading a frame: %w: %d bytes of ciphertext for a plaintext of %d",
			ErrBadFrame, declared, plain)
	}
	ciphertext, err := receive(r, int(declared))
	if err != nil {
		return sealedFrame{}, fmt.Errorf("reading a frame of %d bytes: %w", declared+frameHeadBytes, err)
	}
	return sealedFrame{ciphertext, int(plain)}, nil
}

// receive reads n bytes; its buffer doubles as it fills.
func receive(r io.Reader, n int) ([]byte, error) {
	buf := make([]byte, 0, min(n, firstReceiveBytes))
	for len(buf) < n {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, min(len(buf), n-len(buf)))
		}
		got, err := io.ReadFull(r, buf[len(buf):min(cap(buf), n)])
		buf = buf[:len(buf)+got]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// open decrypts the frame into dst, which is as long as the ciphertext and may
// be the ciphertext itself.
func (f sealedFrame) open(k *ClientKey, dst []byte) ([]byte, error) {
	cipher.NewCBCDecrypter(k.block, k.iv[:]).CryptBlocks(dst, f.ciphertext)
	plaintext, padding := dst[:f.plainLen], dst[f.plainLen:]
	if bytes.Count(padding, []byte{byte(len(padding))}) != len(padding) {
		return nil, fmt.Errorf("decrypting a frame: %w: wrong padding; is it under another key?", ErrBadFrame)
	}
	if len(plaintext) == 0 || plaintext[0] != '{' {
		return nil, fmt.Errorf("decrypting a frame: %w: the plaintext does not begin with '{'; "+
			"is it under another key?", ErrBadFrame)
	}
	return plaintext, nil
}
