package pages

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// small pages make deep trees of few bytes.
const testPageSize = 1024

// boltFile is what bbolt wrote after each of the changes, one transaction each.
func boltFile(t testing.TB, changes ...func(*bbolt.Tx) error) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bolt.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: testPageSize, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		if err := db.Update(change); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func fill(bucket string, from, to, valueBytes int) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		for i := from; i < to && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key %05d", i), bytes.Repeat([]byte{byte(i)}, valueBytes))
		}
		return err
	}
}

func drain(bucket string, from, to int) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) (err error) {
		for i := from; i < to && err == nil; i++ {
			err = tx.Bucket([]byte(bucket)).Delete(fmt.Appendf(nil, "key %05d", i))
		}
		return err
	}
}

func nest(depth, keys int) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("nest"))
		for d := 0; d < depth && err == nil; d++ {
			for i := 0; i < keys && err == nil; i++ {
				err = b.Put(fmt.Appendf(nil, "key %d", i), make([]byte, 50))
			}
			if err == nil {
				b, err = b.CreateBucket([]byte("nest"))
			}
		}
		return err
	}
}

func goodFiles(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"new":             boltFile(t),
		"small buckets":   boltFile(t, fill("a", 0, 2, 10), fill("b", 0, 1, 0)),
		"one level":       boltFile(t, fill("a", 0, 20, 100)),
		"three levels":    boltFile(t, fill("a", 0, 3000, 20), fill("b", 0, 3000, 20)),
		"large values":    boltFile(t, fill("a", 0, 5, 20_000), fill("a", 1, 2, 1)),
		"drained":         boltFile(t, fill("a", 0, 1000, 100), drain("a", 0, 990), fill("a", 0, 3, 5000)),
		"emptied":         boltFile(t, fill("a", 0, 1000, 100), drain("a", 0, 1000)),
		"nested buckets":  boltFile(t, nest(10, 3), fill("a", 0, 100, 10)),
		"nested in place": boltFile(t, nest(4, 0)),
	}
}

func TestCheckAcceptsWhatBoltWrites(t *testing.T) {
	t.Parallel()
	for name, content := range goodFiles(t) {
		if err := check(bytes.NewReader(content), int64(len(content))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadFindsWhatBoltFinds(t *testing.T) {
	t.Parallel()
	for name, content := range goodFiles(t) {
		path := filepath.Join(t.TempDir(), "bolt.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		got, err := Read(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string][]Pair)
		err = db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(bucket []byte, b *bbolt.Bucket) error {
				want[string(bucket)] = nil
				return b.ForEach(func(k, v []byte) error {
					want[string(bucket)] = append(want[string(bucket)], Pair{bytes.Clone(k), bytes.Clone(v)})
					return nil
				})
			})
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: it has other contents", name)
		}
	}
}

func TestTransactionsGrowOneByOne(t *testing.T) {
	t.Parallel()
	transactions := func(content []byte) ([2]uint64, error) {
		path := filepath.Join(t.TempDir(), "bolt.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		return Transactions(file)
	}
	var changes []func(*bbolt.Tx) error
	for n := range uint64(4) {
		want := [2]uint64{n + n%2, n + 1 - n%2} // even ones are in the first page
		if ids, err := transactions(boltFile(t, changes...)); err != nil || ids != want {
			t.Errorf("after %d changes: %v, %v, want %v", n, ids, err, want)
		}
		changes = append(changes, fill("a", 0, 3, 10))
	}
	content := boltFile(t, changes...)
	content[headerLen+metaSumAt] ^= 1
	if ids, err := transactions(content); err == nil {
		t.Errorf("a torn meta page is accepted: %v", ids)
	}
	if ids, err := transactions([]byte("garbage")); err == nil {
		t.Errorf("garbage is accepted: %v", ids)
	}
}

func TestCheckAcceptsATornMeta(t *testing.T) {
	t.Parallel()
	content := boltFile(t, fill("a", 0, 100, 20), fill("a", 50, 150, 20), fill("a", 3, 4, 1))
	for _, page := range []int{0, 1} {
		torn := bytes.Clone(content)
		clear(torn[page*testPageSize+headerLen:][:metaLen])
		if err := check(bytes.NewReader(torn), int64(len(torn))); err != nil {
			t.Errorf("meta page %d: %v", page, err)
		}
	}
}

func TestCheckRefusesAFileCutAnywhereInWhatIsUsed(t *testing.T) {
	t.Parallel()
	content := boltFile(t, fill("a", 0, 100, 100))
	m, err := readMeta(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	used := int(m.pages) * testPageSize
	for n := 0; n < used; n += 7 {
		if err := check(bytes.NewReader(content[:n]), int64(n)); err == nil {
			t.Fatalf("cut to %d bytes of %d, it is accepted", n, used)
		}
	}
	if err := check(bytes.NewReader(content[:used]), int64(used)); err != nil {
		t.Errorf("cut to what is used: %v", err)
	}
}

// What Check accepts, bbolt walks through with its own check and with cursors; this
// process would die if Check were wrong.
func TestWhatCheckAcceptsIsSafeForBolt(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for name, good := range goodFiles(t) {
		if len(good) > 200_000 {
			continue
		}
		accepted, refused := 0, 0
		for range 300 {
			broken := bytes.Clone(good)
			m, err := readMeta(bytes.NewReader(good), int64(len(good)))
			if err != nil {
				t.Fatal(err)
			}
			page := random.IntN(int(m.pages)) * testPageSize
			// Most of the heads of pages, where the structure is.
			at := page + random.IntN(96)
			broken[at] ^= 1 << random.IntN(8)
			if check(bytes.NewReader(broken), int64(len(broken))) != nil {
				refused++
				continue
			}
			accepted++
			if err := letBoltWalk(t, broken); err != nil {
				t.Errorf("%s: byte %d: Check accepts it, bbolt says %v", name, at, err)
			}
		}
		t.Logf("%s: %d accepted, %d refused", name, accepted, refused)
	}
}

// letBoltWalk lets bbolt read everything and change something.
func letBoltWalk(t *testing.T, content []byte) error {
	t.Helper()
	// bbolt's check looks at the head even of a meta page that it does not use
	// because it is torn.
	for id := range firstPage {
		order.PutUint64(content[id*testPageSize:], id)
		order.PutUint16(content[id*testPageSize+8:], flagMeta)
	}
	path := filepath.Join(t.TempDir(), "bolt.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return walkBucket(b) })
	})
	if err != nil {
		return err
	}
	return db.Update(fill("fresh", 0, 30, 30))
}

func walkBucket(b *bbolt.Bucket) error {
	if b == nil {
		return nil // a value beside the buckets, which bbolt hands out as no bucket
	}
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return walkBucket(b.Bucket(k))
		}
		return nil
	})
}

// FuzzCheck changes bytes of good files: edits are an offset of two bytes and a
// value each. Check never panics, and bbolt can live with what it accepts.
func FuzzCheck(f *testing.F) {
	bases := [][]byte{
		boltFile(f),
		boltFile(f, fill("a", 0, 100, 20), fill("b", 0, 2, 10), drain("a", 3, 50)),
		boltFile(f, nest(5, 3), fill("a", 0, 5, 3000)),
		boltFile(f, fill("a", 0, 600, 1)),
	}
	for base := range bases {
		f.Add(uint8(base), false, []byte{})
		f.Add(uint8(base), true, []byte{headerLen + 16, 0, 5})              // another root
		f.Add(uint8(base), true, []byte{headerLen + 40, 0, 9})              // fewer pages
		f.Add(uint8(base), false, []byte{8, 8, flagBranch, 10, 8, 255})     // a branch of many
		f.Add(uint8(base), false, []byte{24, 8, 200, 25, 8, 200, 26, 8, 3}) // a key elsewhere
	}
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, base uint8, seal bool, edits []byte) {
		content := bytes.Clone(bases[int(base)%len(bases)])
		for ; len(edits) >= 3; edits = edits[3:] {
			content[int(order.Uint16(edits))%len(content)] = edits[2]
		}
		if seal { // lets the fuzzer get beyond the checksum
			sealMeta(content)
		}
		if check(bytes.NewReader(content), int64(len(content))) != nil {
			return
		}
		if err := letBoltWalk(t, content); err != nil {
			t.Errorf("Check accepts it, bbolt says %v", err)
		}
	})
}

// sealMeta makes the checksum of the first meta page right.
func sealMeta(content []byte) {
	body := content[headerLen:]
	sum := fnv.New64a()
	sum.Write(body[:metaSumAt])
	order.PutUint64(body[metaSumAt:], sum.Sum64())
}
