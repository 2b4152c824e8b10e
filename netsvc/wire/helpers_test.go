package wire_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Keys 1 and 2 of testdata/vectors/clientkey.json.
const (
	keyText      = "IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E="
	otherKeyText = "IAAAABAAAACgfXBYuAYLYyvYVZIFNJmxKzyzDWcgJ+//DOda6CjOHkDA2BYycCi1fNz7zfl00UU="
)

var plain = wire.Registration{
	AppID:     "0f8fad5b-d9cb-469f-a165-70867728950e",
	IbID:      "d2273d53-b633-4817-a006-4fa627a5dea9",
	UserID:    "7c9e6679-7425-40de-944b-e07fc1f90ae7",
	UserGroup: "Managers",
}

func mustKey(t testing.TB, text string) *wire.ClientKey {
	t.Helper()
	k, err := wire.ParseClientKey(text)
	if err != nil {
		t.Fatalf("ParseClientKey: %v", err)
	}
	return k
}

func mustPacket(t testing.TB, r wire.Registration, k *wire.ClientKey) []byte {
	t.Helper()
	packet, err := wire.AppendRegistration(nil, r, k)
	if err != nil {
		t.Fatalf("AppendRegistration(%+v): %v", r, err)
	}
	return packet
}

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("vector: %v", err)
	}
	return b
}

func mustBase64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// allocated returns the bytes f allocated, and what everything else in the
// process did meanwhile: not for tests beside parallel ones.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
