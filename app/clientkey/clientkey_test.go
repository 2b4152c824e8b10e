package clientkey_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app/clientkey"
)

func TestANewKeyIsReadAndIsNoOther(t *testing.T) {
	t.Parallel()
	text := clientkey.New()
	if text == clientkey.New() {
		t.Fatal("two new keys are the same")
	}
	secret, iv, err := clientkey.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || string(raw) != "\x20\x00\x00\x00\x10\x00\x00\x00"+string(secret[:])+string(iv[:]) {
		t.Errorf("%x is not the lengths, %x and %x (%v)", raw, secret, iv, err)
	}
}

// The variants of each byte are tested where keys are used, in package wire.
func TestAnErrorDoesNotShowTheKey(t *testing.T) {
	t.Parallel()
	text := clientkey.New()
	swapped := strings.Map(func(r rune) rune {
		if r == 'A' {
			return '!'
		}
		return r
	}, text) // the lengths have some A
	for _, wrong := range []string{"", text[:75], text + "=", swapped, "AAAA" + text[4:]} {
		_, _, err := clientkey.Parse(wrong)
		if err == nil {
			t.Fatalf("accepted %d characters", len(wrong))
		}
		if strings.Contains(err.Error(), text[20:30]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}
