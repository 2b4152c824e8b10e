package seal_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

const keyFile = `
pns4ones-cluster-1 01020304 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
pns4ones-cluster-1 a0b1c2d3 //jx6uPc1c7HwLmyq6Sdlo+IgXpzbGVeV1BJQjs0LSY=
`

func mustKeys(t testing.TB, text string) *seal.Keys {
	t.Helper()
	keys, err := seal.ParseKeys("cluster.key", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustHex(t testing.TB, text string) []byte {
	t.Helper()
	raw, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func keyID(t testing.TB, text string) seal.KeyID { return seal.KeyID(mustHex(t, text)) }

// vectors were made by another implementation.
type vectors struct {
	KeyFile   []string `json:"key_file"`
	Envelopes []struct {
		Key, Cluster, Kind, Epoch, Number string
		Turn                              uint16
		Body                              string `json:"body_hex"`
		Envelope                          string `json:"envelope_hex"`
	}
	Records []struct {
		Key, Cluster, Epoch, Name string
		Body                      string `json:"body_hex"`
		Record                    string `json:"record_hex"`
	}
}

func readVectors(t testing.TB) (v vectors, keys *seal.Keys) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Envelopes) == 0 || len(v.Records) == 0 {
		t.Fatal("no vectors")
	}
	return v, mustKeys(t, strings.Join(v.KeyFile, "\n"))
}

func TestEnvelopesAreAsAnotherImplementationMakesThem(t *testing.T) {
	t.Parallel()
	vectors, keys := readVectors(t)
	for _, v := range vectors.Envelopes {
		number, err := strconv.ParseUint(v.Number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		want := seal.Head{Kind: seal.Kind(v.Kind[0]), Key: keyID(t, v.Key), Epoch: seal.Epoch(mustHex(t, v.Epoch)),
			Turn: v.Turn, Number: number}
		body, envelope := mustHex(t, v.Body), mustHex(t, v.Envelope)
		head, got, err := seal.NewOpener(keys, v.Cluster).Open(nil, envelope)
		if err != nil || head != want || !bytes.Equal(got, body) {
			t.Errorf("opened %+v with %x (%v), want %+v with %x", head, got, err, want, body)
		}
		sealer := seal.NewSealer(keys.Only(want.Key), v.Cluster, want.Epoch, want.Turn)
		sealer.StartAt(want.Kind, number-1)
		made, n := sealer.Seal(nil, want.Kind, body)
		if n != number || !bytes.Equal(made, envelope) {
			t.Errorf("sealed number %d as\n%x, want %d as\n%x", n, made, number, envelope)
		}
	}
}

func TestRecordsAreAsAnotherImplementationMakesThem(t *testing.T) {
	t.Parallel()
	vectors, keys := readVectors(t)
	for _, v := range vectors.Records {
		body, record := mustHex(t, v.Body), mustHex(t, v.Record)
		if got, err := keys.OpenRecord(v.Cluster, v.Name, record); err != nil || !bytes.Equal(got, body) {
			t.Errorf("opened %x (%v), want %x", got, err, body)
		}
		only := keys.Only(keyID(t, v.Key))
		made := only.SealRecordWith(v.Cluster, v.Name, body, seal.Epoch(mustHex(t, v.Epoch)))
		if !bytes.Equal(made, record) {
			t.Errorf("sealed as\n%x, want\n%x", made, record)
		}
	}
}

func TestEachChangedBitIsNoticed(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	epoch := seal.NewEpoch()
	opener := seal.NewOpener(keys, "main")
	envelope, _ := seal.NewSealer(keys, "main", epoch, 7).Seal(nil, seal.KindMessage, []byte("body"))
	record := keys.SealRecord("main", "meta", []byte("body"))
	for i := range 8 * len(envelope) {
		changed := bytes.Clone(envelope)
		changed[i/8] ^= 1 << (i % 8)
		if _, _, err := opener.Open(nil, changed); err == nil {
			t.Errorf("bit %d of byte %d of an envelope may be changed", i%8, i/8)
		}
	}
	for i := range 8 * len(record) {
		changed := bytes.Clone(record)
		changed[i/8] ^= 1 << (i % 8)
		if _, err := keys.OpenRecord("main", "meta", changed); err == nil {
			t.Errorf("bit %d of byte %d of a record may be changed", i%8, i/8)
		}
	}
	for n := range len(envelope) {
		if _, _, err := opener.Open(nil, envelope[:n]); err == nil {
			t.Errorf("%d of %d bytes are opened", n, len(envelope))
		}
		if _, err := keys.OpenRecord("main", "meta", record[:min(n, len(record)-1)]); err == nil {
			t.Errorf("%d of %d bytes of a record are opened", n, len(record))
		}
	}
	if _, _, err := opener.Open(nil, append(bytes.Clone(envelope), 0)); !errors.Is(err, seal.ErrForged) {
		t.Errorf("with a byte more: %v", err)
	}
	if _, body, err := opener.Open(nil, envelope); err != nil || string(body) != "body" {
		t.Errorf("after all that the envelope opens as %q (%v)", body, err)
	}
}

func TestWhyAnEnvelopeIsNotOpened(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	second := keyID(t, "a0b1c2d3")
	sealed := func(cluster string, keys *seal.Keys) []byte {
		envelope, _ := seal.NewSealer(keys, cluster, seal.NewEpoch(), 0).Seal(nil, seal.KindHeartbeat, nil)
		return envelope
	}
	newer := sealed("main", keys)
	newer[0] = 2
	for _, test := range []struct {
		name     string
		keys     *seal.Keys
		envelope []byte
		want     error
	}{
		{"nothing", keys, nil, seal.ErrCut},
		{"cut", keys, sealed("main", keys)[:seal.Overhead-1], seal.ErrCut},
		{"other version", keys, newer, seal.VersionError(2)},
		{"other version, short", keys, []byte{9}, seal.VersionError(9)},
		{"other cluster", keys, sealed("other", keys), seal.ErrForged},
		{"second key", keys, sealed("main", keys.Only(second)), nil},
		{"key that is gone", keys.Only(second), sealed("main", keys), seal.UnknownKeyError{1, 2, 3, 4}},
		{"a record", keys, keys.SealRecord("main", "meta", nil), seal.ErrForged},
	} {
		if _, _, err := seal.NewOpener(test.keys, "main").Open(nil, test.envelope); err != test.want {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	envelope := sealed("main", keys)
	if _, err := keys.OpenRecord("main", "", envelope); err != seal.ErrForged {
		t.Errorf("an envelope as a record: %v", err)
	}
	record := keys.SealRecord("main", "app.1", []byte("keys"))
	if _, err := keys.OpenRecord("main", "app.2", record); err != seal.ErrForged {
		t.Errorf("a record under another name: %v", err)
	}
	if _, err := keys.OpenRecord("other", "app.1", record); err != seal.ErrForged {
		t.Errorf("a record in another cluster: %v", err)
	}
}

// A turn of a life has its own cipher: the numbers of the next one may begin anew.
func TestTheSameNumberInAnotherTurnIsAnotherEnvelope(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	epoch := seal.NewEpoch()
	seen := map[string]bool{}
	for turn := range uint16(3) {
		envelope, number := seal.NewSealer(keys, "main", epoch, turn).Seal(nil, seal.KindMessage, []byte("body"))
		if number != 1 {
			t.Errorf("the first number is %d", number)
		}
		seen[string(envelope[seal.HeadBytes:])] = true
		envelope[15] ^= 4
		if _, _, err := seal.NewOpener(keys, "main").Open(nil, envelope); err != seal.ErrForged {
			t.Errorf("turn %d passes for another one: %v", turn, err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("three turns sealed the same body in %d ways", len(seen))
	}
}

func TestNumbersOnlyGrow(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	sealer := seal.NewSealer(keys, "main", seal.NewEpoch(), 0)
	const each, senders = 200, 4
	numbers := make(chan uint64, each*senders)
	var group sync.WaitGroup
	for range senders {
		group.Go(func() {
			for i := range each {
				if i == each/2 {
					sealer.Use(keys.Only(keyID(t, "a0b1c2d3")))
				}
				_, n := sealer.Seal(nil, seal.KindMessage, nil)
				numbers <- n
			}
		})
	}
	group.Wait()
	close(numbers)
	seen := make(map[uint64]bool)
	for n := range numbers {
		seen[n] = true
	}
	for n := uint64(1); n <= each*senders; n++ {
		if !seen[n] {
			t.Errorf("number %d was not given", n)
		}
	}
	if _, n := sealer.Seal(nil, seal.KindHeartbeat, nil); n != 1 {
		t.Errorf("the first heartbeat has number %d", n)
	}
}

// As a key is changed: added on all nodes, moved up on all, dropped on all.
func TestAKeyIsChangedWithoutABreak(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	old, fresh := keys.Only(keyID(t, "01020304")), keys.Only(keyID(t, "a0b1c2d3"))
	both := keys
	moved := mustKeys(t, strings.Join([]string{strings.Split(keyFile, "\n")[2], strings.Split(keyFile, "\n")[1]}, "\n"))
	steps := []*seal.Keys{old, both, moved, fresh}
	sealer := seal.NewSealer(old, "main", seal.NewEpoch(), 0)
	opener := seal.NewOpener(old, "main")
	for i := 1; i < len(steps); i++ { // one node is always a step behind the other
		for _, order := range [][2]*seal.Keys{{steps[i], steps[i-1]}, {steps[i-1], steps[i]}} {
			sealer.Use(order[0])
			opener.Use(order[1])
			envelope, _ := sealer.Seal(nil, seal.KindMessage, []byte("body"))
			if _, _, err := opener.Open(nil, envelope); err != nil {
				t.Errorf("step %d: %v", i, err)
			}
		}
	}
	opener.Use(old)
	envelope, _ := sealer.Seal(nil, seal.KindMessage, nil)
	if _, _, err := opener.Open(nil, envelope); err != (seal.UnknownKeyError{0xa0, 0xb1, 0xc2, 0xd3}) {
		t.Errorf("with a key that is not there yet: %v", err)
	}
}

func TestSealsAndOpensInPlace(t *testing.T) {
	keys := mustKeys(t, keyFile)
	sealer := seal.NewSealer(keys, "main", seal.NewEpoch(), 0)
	opener := seal.NewOpener(keys, "main")
	const text = "a body of a message"
	buffer := make([]byte, seal.HeadBytes, seal.Overhead+len(text))
	buffer = append(buffer, text...)
	once := func() {
		envelope, _ := sealer.Seal(buffer[:0], seal.KindMessage, buffer[seal.HeadBytes:])
		if &envelope[0] != &buffer[0] {
			t.Error("sealed somewhere else")
		}
		_, body, err := opener.Open(envelope[seal.HeadBytes:seal.HeadBytes], envelope)
		if err != nil || string(body) != text || &body[0] != &buffer[seal.HeadBytes] {
			t.Errorf("opened as %q (%v)", body, err)
		}
	}
	once()
	if allocations := testing.AllocsPerRun(100, once); allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// Without the key nobody fills an Opener's memory; with it only so far.
func TestManyLivesAreOpened(t *testing.T) {
	t.Parallel()
	keys := mustKeys(t, keyFile)
	opener := seal.NewOpener(keys, "main")
	for i := range 3000 {
		envelope, _ := seal.NewSealer(keys, "main", seal.NewEpoch(), 0).Seal(nil, seal.KindHeartbeat, nil)
		if _, _, err := opener.Open(nil, envelope); err != nil {
			t.Fatalf("life %d: %v", i, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	vectors, keys := readVectors(f)
	for _, v := range vectors.Envelopes {
		f.Add(mustHex(f, v.Envelope))
	}
	for _, v := range vectors.Records {
		f.Add(mustHex(f, v.Record))
	}
	genuine := map[string]bool{}
	for _, v := range vectors.Envelopes {
		genuine[string(mustHex(f, v.Envelope))] = true
	}
	opener := seal.NewOpener(keys, "main")
	f.Fuzz(func(t *testing.T, envelope []byte) {
		before := bytes.Clone(envelope)
		claimed, headErr := seal.ReadHead(envelope)
		head, body, err := opener.Open(nil, envelope)
		if !bytes.Equal(before, envelope) {
			t.Error("the envelope was changed")
		}
		if err != nil {
			return
		}
		if !genuine[string(envelope)] {
			t.Errorf("forged: %x opens as %x", envelope, body)
		}
		if headErr != nil || head != claimed {
			t.Errorf("opened as %+v, claimed to be %+v (%v)", head, claimed, headErr)
		}
		keys.OpenRecord("main", "meta", envelope)
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{408, 512 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			sealer := seal.NewSealer(mustKeys(b, keyFile), "main", seal.NewEpoch(), 0)
			body, buffer := make([]byte, size), make([]byte, 0, size+seal.Overhead)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				sealer.Seal(buffer, seal.KindMessage, body)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{408, 512 << 10} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			keys := mustKeys(b, keyFile)
			opener := seal.NewOpener(keys, "main")
			envelope, _ := seal.NewSealer(keys, "main", seal.NewEpoch(), 0).Seal(nil, seal.KindMessage, make([]byte, size))
			buffer := make([]byte, 0, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, _, err := opener.Open(buffer, envelope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A record that is sealed again has the same body and epoch, under another key; whoever does it
// gets the same bytes.
func TestARecordIsSealedAgain(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(keyFile), "\n")
	first, second := mustKeys(t, lines[0]), mustKeys(t, lines[1])
	both := mustKeys(t, lines[1]+"\n"+lines[0])
	record := first.SealRecord("main", "app.1", []byte("body"))
	again, err := both.ResealRecord("main", "app.1", record)
	if err != nil {
		t.Fatal(err)
	}
	body, err := second.OpenRecord("main", "app.1", again)
	before, _ := seal.ReadHead(record)
	after, _ := seal.ReadHead(again)
	if err != nil || string(body) != "body" || after.Key != second.ID() || after.Epoch != before.Epoch {
		t.Errorf("sealed again: %q, %v, %+v of %+v", body, err, after, before)
	}
	if once, err := both.ResealRecord("main", "app.1", again); err != nil || !bytes.Equal(once, again) {
		t.Errorf("sealed once more it is something else, %v", err)
	}
	if _, err := both.ResealRecord("main", "app.2", record); !errors.Is(err, seal.ErrForged) {
		t.Errorf("under another name: %v", err)
	}
	if _, err := second.ResealRecord("main", "app.1", record); !errors.As(err, new(seal.UnknownKeyError)) {
		t.Errorf("without its key: %v", err)
	}
}
