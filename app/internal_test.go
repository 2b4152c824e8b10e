package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"testing"
)

func TestTokenMACIsHMAC(t *testing.T) {
	t.Parallel()
	for range 100 {
		secret := newTokenSecret()
		head := make([]byte, tokenHeadLen)
		rand.Read(head)
		reference := hmac.New(sha256.New, secret[:])
		reference.Write(head)
		if got := tokenMAC(&secret, head); !hmac.Equal(got[:], reference.Sum(nil)) {
			t.Fatalf("got %x", got)
		}
	}
}

// With plain modulo, each of the first eight letters comes up a quarter more often
// than each of the others.
func TestServerKeyLettersAreEquallyLikely(t *testing.T) {
	t.Parallel()
	const keys = 20_000
	counts := make(map[rune]int)
	for range keys {
		for _, letter := range newServerKey() {
			counts[letter]++
		}
	}
	if len(counts) != len(serverKeyLetters) {
		t.Fatalf("%d letters of %d", len(counts), len(serverKeyLetters))
	}
	want := float64(keys*serverKeyLen) / float64(len(serverKeyLetters))
	for letter, n := range counts {
		if d := float64(n)/want - 1; d < -0.05 || d > 0.05 { // seven standard deviations
			t.Errorf("%q comes up %d times, %.0f expected", letter, n, want)
		}
	}
}
