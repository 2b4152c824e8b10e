package wire_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestClientKeyIsReadInItsExactFormOnly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a line break after it": keyText + "\n",
		"a line break within":   keyText[:38] + "\n" + keyText[38:75],
		"a space before it":     " " + keyText,
		"no padding":            strings.TrimRight(keyText, "="),
		"spare bits set":        strings.TrimSuffix(keyText, "E=") + "F=",
		"the URL-safe alphabet": strings.NewReplacer("+", "-", "/", "_").Replace(keyText),
		"a key length of 2^31": base64.StdEncoding.EncodeToString(append([]byte{0, 0, 0, 0x80},
			mustBase64(t, keyText)[4:]...)),
		"lengths as big-endian": base64.StdEncoding.EncodeToString(append([]byte{0, 0, 0, 32, 0, 0, 0, 16},
			mustBase64(t, keyText)[8:]...)),
		"the lengths left out": base64.StdEncoding.EncodeToString(mustBase64(t, keyText)[8:]),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.ParseClientKey(text)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), keyText[11:20]) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestClientKeyNeverShowsItself(t *testing.T) {
	t.Parallel()
	k := mustKey(t, keyText)
	raw := mustBase64(t, keyText)[8:]

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", *k)
		fmt.Fprintf(&out, verb+"\n", struct{ Secret *wire.ClientKey }{k})
		fmt.Fprintf(&out, verb+"\n", struct{ Secret wire.ClientKey }{*k})
	}
	fmt.Fprintln(&out, k.String(), k.GoString())
	slog.New(slog.NewTextHandler(&out, nil)).Info("key", "pointer", k, "value", *k, "nil", (*wire.ClientKey)(nil))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("key", "pointer", k, "value", *k)
	//lint:ignore SA9005 that nothing comes out is what is tested
	if err := json.NewEncoder(&out).Encode(k); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{
		keyText[11:20], string(raw[:4]),
		fmt.Sprintf("%x", raw[:2]), fmt.Sprintf("%X", raw[:2]), // ae22
		fmt.Sprintf("%d %d", raw[0], raw[1]), fmt.Sprintf("0x%x, 0x%x", raw[0], raw[1]),
	} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q shows in:\n%s", secret, out.String())
		}
	}
}

func TestClientKeysAreEqualByWhatTheyHold(t *testing.T) {
	t.Parallel()
	raw := mustBase64(t, keyText)
	raw[len(raw)-1] ^= 1
	k, same, other := mustKey(t, keyText), mustKey(t, keyText), mustKey(t, otherKeyText)
	otherIV := mustKey(t, base64.StdEncoding.EncodeToString(raw))
	var none *wire.ClientKey
	for _, c := range []struct {
		name string
		a, b *wire.ClientKey
		want bool
	}{
		{"the same", k, k, true},
		{"parsed twice", k, same, true},
		{"another key", k, other, false},
		{"another IV", k, otherIV, false},
		{"a key and nil", k, none, false},
		{"nil and a key", none, k, false},
		{"nil and nil", none, none, true},
	} {
		if got := c.a.Equal(c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
