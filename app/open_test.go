package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
)

func TestOpenMakesFolderAndFileForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new", "pns4ones")
	path := filepath.Join(folder, "pns4ones.db")
	r := open(t, path, app.Options{})
	if !r.Created() || len(r.List()) != 0 {
		t.Errorf("created %v, apps %v", r.Created(), r.List())
	}
	for name, want := range map[string]fs.FileMode{path: 0o600, folder: fs.ModeDir | 0o700,
		filepath.Dir(folder): fs.ModeDir | 0o700} {
		info := must[fs.FileInfo](t)(os.Stat(name))
		if runtime.GOOS != "windows" && info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(folder)); len(left) != 1 {
		t.Errorf("there is more than the database: %v", left)
	}
}

func TestOpenWhileAnotherHasItOpen(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	create(t, r, "a")
	before := fingerprint(t, path)
	const lockWait = 200 * time.Millisecond
	began := time.Now()
	_, err := app.Open(path, app.Options{LockWait: lockWait})
	if !errors.Is(err, app.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if took := time.Since(began); took < lockWait/2 {
		t.Errorf("it gave up after %v", took)
	}
	if after := fingerprint(t, path); after != before {
		t.Error("the file changed")
	}
	create(t, r, "b")
	closeRegistry(t, r)
	if r := open(t, path, app.Options{}); len(r.List()) != 2 {
		t.Errorf("apps: %v", r.List())
	}
}

func TestOpenWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	opened := make(chan error)
	go func() {
		second, err := app.Open(path, app.Options{LockWait: time.Minute})
		if err == nil {
			err = second.Close()
		}
		opened <- err
	}()
	closeRegistry(t, r)
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

func TestOpenTwoAtOnceOnAnEmptyFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "pns4ones.db")
	results := make(chan bool)
	for range 4 {
		go func() {
			r, err := app.Open(path, app.Options{LockWait: time.Minute})
			if err != nil {
				t.Error(err)
				results <- false
				return
			}
			created := r.Created()
			if _, err := r.Create("a"); err != nil {
				t.Error(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			results <- created
		}()
	}
	made := 0
	for range 4 {
		if <-results {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d of them made the database", made)
	}
	if r := open(t, path, app.Options{}); len(r.List()) != 4 {
		t.Errorf("%d apps of 4", len(r.List()))
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, err := app.Open(folder, app.Options{})
	if err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("a folder: %v", err)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(folder)); len(left) != 0 {
		t.Errorf("it left %v", left)
	}
	file := filepath.Join(folder, "file")
	writeFile(t, file, []byte("x"))
	if _, err := app.Open(filepath.Join(file, "pns4ones.db"), app.Options{}); err == nil {
		t.Error("a path through a file was accepted")
	}
}

func TestOpenSaysThePathOnce(t *testing.T) {
	t.Parallel()
	for _, path := range []string{dbPath(t), t.TempDir()} {
		if filepath.Ext(path) != "" {
			writeFile(t, path, []byte("garbage"))
		}
		_, err := app.Open(path, app.Options{})
		if err == nil || strings.Count(err.Error(), path) != 1 {
			t.Errorf("%v", err)
		}
	}
}

func TestOpenRefusesDamagedFiles(t *testing.T) {
	t.Parallel()
	good := goodFile(t, 100)
	half := len(good) / 2 / pageSize * pageSize
	random := make([]byte, 1<<16)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for name, content := range map[string][]byte{
		"empty":                 {},
		"one byte":              {0},
		"text":                  []byte(strings.Repeat("pns4ones ", 10_000)),
		"short text":            []byte("hello"),
		"random":                random,
		"zeros":                 make([]byte, 1<<16),
		"cut in the first page": good[:100],
		"cut after one page":    good[:pageSize],
		"cut after the metas":   good[:2*pageSize],
		"cut in the middle":     good[:half],
		"cut in a page":         good[:half+1234],
		"middle zeroed": bytes.Join([][]byte{good[:2*pageSize], make([]byte, half-2*pageSize), good[half:]},
			nil),
		"metas zeroed":           append(make([]byte, 2*pageSize), good[2*pageSize:]...),
		"metas of another file":  append(goodFile(t, 1)[:2*pageSize:2*pageSize], good[2*pageSize:]...),
		"begins one byte late":   append([]byte{0}, good...),
		"begins one byte early":  good[1:],
		"begins one page early":  good[pageSize:],
		"all pages exchanged":    exchanged(good[2*pageSize:], good[:2*pageSize]),
		"converted to text mode": bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")),
	} {
		t.Run(name, func(t *testing.T) {
			path := dbPath(t)
			writeFile(t, path, content)
			wantRefused(t, path, app.ErrDamaged)
		})
	}
}

// pageSize is that of a file made on this machine. The first two pages are metas.
var pageSize = os.Getpagesize()

// exchanged puts the pages in reverse order behind the metas.
func exchanged(pages, metas []byte) []byte {
	file := bytes.Clone(metas)
	for at := len(pages) - pageSize; at >= 0; at -= pageSize {
		file = append(file, pages[at:at+pageSize]...)
	}
	return file
}

func TestOpenRefusesForeignAndBrokenContents(t *testing.T) {
	t.Parallel()
	put := func(bucket, key, value string) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket([]byte(bucket)).Put([]byte(key), []byte(value)) }
	}
	edit := func(from, to string) func(*bbolt.Tx) error { // with a checksum that is right
		return func(tx *bbolt.Tx) error {
			apps := tx.Bucket([]byte("apps"))
			text := string(apps.Get([]byte(idA))[9:])
			if !strings.Contains(text, from) {
				return fmt.Errorf("no %s in the record", from)
			}
			return apps.Put([]byte(idA), sealed(strings.Replace(text, from, to, 1)))
		}
	}
	for _, c := range []struct {
		name string
		edit func(*bbolt.Tx) error
		want error
		says []string
	}{
		{"newer schema", put("meta", "schema_version", "7"), app.ErrNewer, []string{"7", "1"}},
		{"schema 0", put("meta", "schema_version", "0"), app.ErrDamaged, []string{"schema"}},
		{"schema that is no number", put("meta", "schema_version", "one"), app.ErrDamaged, []string{"schema"}},
		{"no schema", func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("schema_version")) },
			app.ErrDamaged, []string{"schema"}},
		{"no meta", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) }, app.ErrDamaged,
			[]string{"not a database of this service"}},
		{"no apps", func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("apps")) }, app.ErrDamaged,
			[]string{"list of apps"}},
		{"record of nothing", put("apps", idA, ""), app.ErrDamaged, []string{idA}},
		{"record without a sum", put("apps", idA, "{}"), app.ErrDamaged, []string{idA}},
		{"record that is no JSON", put("apps", idA, string(sealed("{"))), app.ErrDamaged, []string{idA}},
		{"record of an empty object", put("apps", idA, string(sealed("{}"))), app.ErrDamaged, []string{idA}},
		{"record under another id", func(tx *bbolt.Tx) error {
			apps := tx.Bucket([]byte("apps"))
			return apps.Put([]byte(idC), apps.Get([]byte(idA)))
		}, app.ErrDamaged, []string{idC, idA}},
		{"record that is a bucket", func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("apps")).CreateBucket([]byte(idC))
			return err
		}, app.ErrDamaged, []string{idC}},
		{"record with a very long id", put("apps", strings.Repeat("x", 10_000), ""), app.ErrDamaged, []string{"xxx"}},
		{"server key of another app", edit(keyA, keyB), app.ErrDamaged, []string{idA, idB}},
		{"server key of a wrong form", edit(keyA, keyA[1:]), app.ErrDamaged, []string{idA, "server key 1"}},
		{"client key of a wrong form", edit(clientA, clientA[4:]), app.ErrDamaged, []string{idA, "client key 1"}},
		{"generation 0", edit(`"generation":1`, `"generation":0`), app.ErrDamaged, []string{idA, "client key 1"}},
		{"current key with an end", edit(`"generation":1`, `"generation":1,"until":"2026-01-01T00:00:00Z"`),
			app.ErrDamaged, []string{idA, "client key 1"}},
		{"no server key", edit(`"server_keys":[`, `"server_keys":[],"x":[`), app.ErrDamaged, []string{idA, "no keys"}},
		{"short token secret", edit(`"token_secret":"`, `"token_secret":"AAAA","x":"`), app.ErrDamaged,
			[]string{idA, "secret"}},
		{"title with a line break", edit(`"title":"A"`, `"title":"A\nB"`), app.ErrDamaged, []string{idA, "title"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := dbPath(t)
			r := open(t, path, app.Options{})
			importFile(t, r, oldFile(entryA, entryB))
			closeRegistry(t, r)
			db := must[*bbolt.DB](t)(bbolt.Open(path, 0o600, nil))
			if err := errors.Join(db.Update(c.edit), db.Close()); err != nil {
				t.Fatal(err)
			}
			err := wantRefused(t, path, c.want)
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v\ndoes not say %q", err, s)
				}
			}
			if len(err.Error()) > 500+len(path) {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

// sealed is a record with this JSON.
func sealed(text string) []byte {
	return fmt.Appendf(nil, "%08x %s", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)), text)
}

// Whichever bit flips: either the file opens with every app as it was, or it is
// refused. The one exception is bbolt's: with the later of the two meta pages
// broken, as by a torn write, the state before the last change is there.
func TestOpenAfterAnyBitFlipIsWholeOrRefused(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	r := open(t, path, app.Options{Now: c.now})
	fill(t, r, 40)
	before := r.List()
	must[*app.App](t)(r.Rename(before[7].ID, "renamed"))
	after := r.List()
	closeRegistry(t, r)
	good := readFile(t, path)

	const steps = 1000
	random := rand.New(rand.NewPCG(3, 4))
	outcomes := make(map[string]int)
	for i := range steps {
		at := i * len(good) / steps
		if i < 200 {
			at = i%2*pageSize + i/2 // the heads of both metas, byte by byte
		}
		flipped := bytes.Clone(good)
		flipped[at] ^= 1 << random.IntN(8)
		writeFile(t, path, flipped)
		r, err := app.Open(path, app.Options{Now: c.now})
		switch {
		case err == nil && reflect.DeepEqual(r.List(), after):
			outcomes["whole"]++
		case err == nil && at < 2*pageSize && reflect.DeepEqual(r.List(), before):
			outcomes["state before"]++
		case err == nil:
			t.Errorf("byte %d: it opens with other apps", at)
		case errors.Is(err, app.ErrDamaged) || errors.Is(err, app.ErrNewer):
			outcomes["refused"]++
		default:
			t.Errorf("byte %d: %v", at, err)
		}
		if err == nil {
			closeRegistry(t, r)
		}
		if !bytes.Equal(readFile(t, path), flipped) {
			t.Errorf("byte %d: opening changed the file", at)
		}
	}
	t.Log(outcomes)
	if outcomes["whole"] == 0 || outcomes["refused"] == 0 || outcomes["state before"] == 0 {
		t.Errorf("not every outcome was seen: %v", outcomes)
	}
}

func TestFileCutShortUnderARunningRegistryFailsChangesOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	path := dbPath(t)
	r := open(t, path, app.Options{})
	a := create(t, r, "a")
	token := must[app.Token](t)(r.Authorize(a.ServerKeys[0].Key, time.Hour))
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.Create("b"); !errors.Is(err, app.ErrDamaged) {
			t.Errorf("got %v, want ErrDamaged", err)
		}
	}
	if got, err := r.CheckToken(token.Value); got != a || err != nil || len(r.List()) != 1 {
		t.Errorf("readers: %v, %v", got, err)
	}
	closeRegistry(t, r)
}

// The stored form is what later versions have to read.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	path, c := dbPath(t), newClock()
	r := open(t, path, app.Options{Now: c.now})
	importFile(t, r, entryA)
	must[*app.App](t)(r.RotateClientKey(idA, time.Hour))
	closeRegistry(t, r)
	db := must[*bbolt.DB](t)(bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true}))
	defer db.Close()
	err := db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket([]byte("meta")).Get([]byte("schema_version")); string(v) != "1" {
			t.Errorf("schema version %q", v)
		}
		var rec struct {
			ID, Title  string
			CreatedAt  string           `json:"created_at"`
			ServerKeys []map[string]any `json:"server_keys"`
			ClientKeys []map[string]any `json:"client_keys"`
		}
		line := tx.Bucket([]byte("apps")).Get([]byte(idA))
		if !bytes.Equal(line, sealed(string(line[9:]))) {
			t.Error("the checksum is another one")
		}
		if err := json.Unmarshal(line[9:], &rec); err != nil {
			return err
		}
		if rec.ID != idA || rec.Title != "A" || rec.CreatedAt != "2026-03-01T12:00:00.25Z" ||
			len(rec.ServerKeys) != 1 || rec.ServerKeys[0]["key"] != keyA || len(rec.ServerKeys[0]) != 3 ||
			rec.ServerKeys[0]["since"] != rec.CreatedAt || rec.ClientKeys[0]["since"] != rec.CreatedAt ||
			len(rec.ServerKeys[0]["token_secret"].(string)) != 44 ||
			len(rec.ClientKeys) != 2 || rec.ClientKeys[0]["generation"] != 2.0 || rec.ClientKeys[0]["until"] != nil ||
			rec.ClientKeys[1]["key"] != clientA || rec.ClientKeys[1]["until"] != "2026-03-01T13:00:01Z" {
			t.Errorf("got %s", line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantRefused opens path, wants the error, and the file untouched.
func wantRefused(t *testing.T, path string, want error) error {
	t.Helper()
	before := fingerprint(t, path)
	r, err := app.Open(path, app.Options{})
	if err == nil {
		r.Close()
		t.Fatalf("it was opened, want %v", want)
	}
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	if after := fingerprint(t, path); after != before {
		t.Error("the file changed")
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(path))); len(left) != 1 {
		t.Errorf("something was left beside it: %v", left)
	}
	return err
}

type fileState struct {
	content string
	mode    fs.FileMode
	changed time.Time
}

func fingerprint(t *testing.T, path string) fileState {
	t.Helper()
	info := must[fs.FileInfo](t)(os.Stat(path))
	return fileState{string(readFile(t, path)), info.Mode(), info.ModTime()}
}

// fill makes n apps in one transaction.
func fill(t *testing.T, r *app.Registry, n int) {
	t.Helper()
	var file strings.Builder
	for i := range n {
		fmt.Fprintf(&file, "#App %d\n00000000-0000-4000-8000-%012x\n%064d\n%s\n\n", i, i, i, clientA)
	}
	if report := importFile(t, r, file.String()); len(report.Imported) != n {
		t.Fatalf("%d apps of %d", len(report.Imported), n)
	}
}

// goodFile is a database with n apps.
func goodFile(t *testing.T, n int) []byte {
	t.Helper()
	path := dbPath(t)
	r := open(t, path, app.Options{})
	fill(t, r, n)
	closeRegistry(t, r)
	return readFile(t, path)
}
