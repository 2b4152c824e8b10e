package app_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

func TestAppsGoThroughADocumentUnchanged(t *testing.T) {
	t.Parallel()
	r, c := newRegistry(t)
	for n := range 5 {
		again := must[[]*app.App](t)(app.DecodeApps(must[[]byte](t)(app.EncodeApps(r.List()))))
		if n == 0 && len(again) != 0 || n > 0 && !reflect.DeepEqual(again, r.List()) {
			t.Errorf("%d apps: they are others, or in another order", n)
		}
		a := create(t, r, fmt.Sprintf("app \"%d\" <ы>", n))
		must[*app.App](t)(r.RotateServerKey(a.ID, time.Hour))
		must[*app.App](t)(r.RotateClientKey(a.ID, time.Minute))
		c.advance(-time.Second) // so that the order is not that of creation
	}
}

func TestDecodeRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	r, _ := newRegistry(t)
	importFile(t, r, oldFile(entryA, entryB))
	good := must[[]byte](t)(app.EncodeApps(r.List()))
	for n := range good {
		if apps, err := app.DecodeApps(good[:n]); err == nil || apps != nil {
			t.Fatalf("cut to %d bytes of %d, it is accepted", n, len(good))
		}
	}
	lines := bytes.SplitAfter(good, []byte("\n"))
	for name, document := range map[string]string{
		"a record missing":   "2\n" + string(lines[1]),
		"a record too many":  "1\n" + string(lines[1]) + string(lines[2]),
		"an app twice":       "2\n" + string(lines[1]) + string(lines[1]),
		"a number too large": "99999999999\n",
		"a negative number":  "-1\n",
		"an empty line":      "1\n\n",
		"a changed byte":     strings.Replace(string(good), `"title":"A"`, `"title":"B"`, 1),
		"a key of another app": "2\n" + string(lines[1]) +
			string(sealed(strings.Replace(string(lines[2][9:len(lines[2])-1]), keyB, keyA, 1))) + "\n",
		"a broken key": "1\n" +
			string(sealed(strings.Replace(string(lines[1][9:len(lines[1])-1]), clientA, clientA[4:], 1))) + "\n",
	} {
		apps, err := app.DecodeApps([]byte(document))
		if err == nil || apps != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, secret := range []string{keyA, keyB, clientA, clientB} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error reveals a key: %v", name, err)
			}
		}
	}
}

// FuzzDecodeApps: what is accepted is sound enough to be served, and is written down
// and read back as it is.
func FuzzDecodeApps(f *testing.F) {
	c := newClock()
	r := fuzzRegistry(f, c)
	seed := func() []byte { return must[[]byte](f)(app.EncodeApps(r.List())) }
	f.Add(seed(), false)
	a := must[*app.App](f)(r.Create("a"))
	f.Add(seed(), false)
	must[*app.App](f)(r.RotateServerKey(a.ID, time.Hour))
	must[*app.App](f)(r.RotateClientKey(a.ID, time.Hour))
	must[*app.App](f)(r.Create("b"))
	f.Add(seed(), true)
	f.Add([]byte("0\n"), false)
	f.Add([]byte("1\n00000000 {}\n"), true)
	f.Fuzz(func(t *testing.T, document []byte, seal bool) {
		if seal { // lets the fuzzer get beyond the checksums
			document = resealed(document)
		}
		apps, err := app.DecodeApps(document)
		if err != nil {
			if apps != nil {
				t.Error("apps and an error")
			}
			return
		}
		served := app.FromMemory(apps, app.Identity{}, app.Options{Now: c.now})
		for _, a := range apps {
			token := must[app.Token](t)(served.Authorize(a.ServerKeys[0].Key, time.Hour))
			if got, err := served.CheckToken(token.Value); got != a || err != nil {
				t.Errorf("the token of %v is good for %v, %v", a, got, err)
			}
			if got, ok := served.Get(a.ID); !ok || got != a || len(a.ClientKeysAt(c.now())) == 0 {
				t.Errorf("%v cannot be served", a)
			}
		}
		again := must[[]*app.App](t)(app.DecodeApps(must[[]byte](t)(app.EncodeApps(apps))))
		if len(again) != len(apps) || len(apps) > 0 && !reflect.DeepEqual(again, apps) {
			t.Errorf("%v became %v", apps, again)
		}
	})
}

// resealed makes the checksum of each record right.
func resealed(document []byte) []byte {
	lines := bytes.SplitAfter(document, []byte("\n"))
	for i, line := range lines[1:] {
		if len(line) > 9 && line[len(line)-1] == '\n' {
			lines[i+1] = append(sealed(string(line[9:len(line)-1])), '\n')
		}
	}
	return bytes.Join(lines, nil)
}
