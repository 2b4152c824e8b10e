package hub_test

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// savedState has all that there can be in a state, but connections and bytes of frames.
func savedState() *hub.State {
	return &hub.State{
		LastID: math.MaxUint64,
		Keys:   []hub.SavedKey{{AppID: appID, Generation: 1, Fingerprint: "abc"}, {AppID: otherID, Generation: 1 << 30}},
		Frames: []hub.SavedFrame{{Key: 1, Size: 1}, {Key: 0, Size: 5 << 20}},
		Sessions: []hub.SavedSession{
			{ID: 1, Since: math.MinInt64, Key: -1},
			{ID: 2, Since: math.MaxInt64, Key: -1, Early: []byte{0, 255, 10}},
			{ID: 3, Key: 0},
			{ID: math.MaxUint64, Key: 1, IbID: "ib", UserID: "Иванов", UserGroup: "Склад\n", Delivered: math.MaxUint64,
				Bytes:        math.MaxUint64,
				LastDelivery: -1, Queue: []int{1, 0, 1}, Written: 5<<20 - 1},
			{ID: 4, Key: 1, IbID: "ib", Early: []byte("x"), Queue: []int{0}},
		},
	}
}

func TestAStateArrivesAsItWas(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]*hub.State{
		"all there can be": savedState(),
		"nothing":          {Keys: []hub.SavedKey{}, Frames: []hub.SavedFrame{}, Sessions: []hub.SavedSession{}},
	} {
		text := want.AppendBinary([]byte("before"))
		rest, whole := bytes.CutPrefix(text, []byte("before"))
		got, err := hub.ParseState(rest)
		clear(text) // nothing of it is kept
		if err != nil || !whole || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestADamagedStateIsRefused(t *testing.T) {
	t.Parallel()
	whole := savedState().AppendBinary(nil)
	for n := range whole {
		if state, err := hub.ParseState(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes pass: %+v", n, len(whole), state)
		}
	}
	if _, err := hub.ParseState(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many passes")
	}
	for name, damage := range map[string]func(s *hub.State){
		"a message under no key":                     func(s *hub.State) { s.Frames[0].Key = 2 },
		"a message without bytes":                    func(s *hub.State) { s.Frames[0].Size = 0 },
		"a message of more bytes than there are":     func(s *hub.State) { s.Frames[0].Size = 1 << 50 },
		"a session under no key":                     func(s *hub.State) { s.Sessions[2].Key = 2 },
		"a message that is not there":                func(s *hub.State) { s.Sessions[3].Queue[2] = 2 },
		"more written than the message has":          func(s *hub.State) { s.Sessions[3].Written = 5 << 20 },
		"something written without a message":        func(s *hub.State) { s.Sessions[2].Written = 1 },
		"sessions under keys, of which there are no": func(s *hub.State) { s.Keys = nil },
		"messages in queues, of which there are no":  func(s *hub.State) { s.Frames = nil },
	} {
		s := savedState()
		damage(s)
		if _, err := hub.ParseState(s.AppendBinary(nil)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	// Numbers without end, and lists as long as no memory.
	long := bytes.Repeat([]byte{0xff}, 11)
	for at := range 4 {
		text := append(make([]byte, at), long...)
		if _, err := hub.ParseState(text); err == nil {
			t.Errorf("%x passes", text)
		}
	}
}

// allocated is how many bytes f takes from the heap. Nothing else runs meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// takesAtMost is how many bytes of memory ParseState may take for so many bytes of input.
func takesAtMost(n int) uint64 { return 64<<10 + 64*uint64(n) }

// TestADamagedStateTakesNoMemory runs alone, for it counts what is allocated.
func TestADamagedStateTakesNoMemory(t *testing.T) {
	const size = 1 << 20
	for _, at := range []int{1, 2, 3} { // where the numbers of keys, frames and sessions are
		// As many as there are bytes left.
		text := append(make([]byte, at, size+8), 0xf0, 0xff, 0x3f)
		text = append(text, make([]byte, size)...)
		took := allocated(func() {
			if _, err := hub.ParseState(text); err == nil {
				t.Errorf("list %d passes", at)
			}
		})
		if took > takesAtMost(len(text)) {
			t.Errorf("list %d: %d bytes were taken for an input of %d", at, took, len(text))
		}
	}
}

func FuzzParseState(f *testing.F) {
	whole := savedState().AppendBinary(nil)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, text []byte) {
		var state *hub.State
		var err error
		if took := allocated(func() { state, err = hub.ParseState(text) }); took > takesAtMost(len(text)) {
			t.Errorf("%d bytes were taken for an input of %d", took, len(text))
		}
		if err != nil {
			return
		}
		if !state.Whole() {
			t.Error("it is not whole")
		}
		again, err := hub.ParseState(state.AppendBinary(nil))
		if err != nil || !reflect.DeepEqual(again, state) {
			t.Errorf("%+v is %+v after a journey, %v", state, again, err)
		}
	})
}

// BenchmarkStateOfAMillion writes and reads a state of 1 000 000 sessions, each of which
// has a user of its own; one in a hundred has a message that waits.
func BenchmarkStateOfAMillion(b *testing.B) {
	const sessions = 1_000_000
	state := &hub.State{LastID: sessions,
		Keys: []hub.SavedKey{{AppID: appID, Generation: 1, Fingerprint: "0123456789abcdef"}}}
	for i := range sessions {
		s := hub.SavedSession{
			ID: uint64(i + 1), Since: 1_700_000_000_000_000_000 + int64(i), IbID: fmt.Sprint("infobase ", i%100),
			UserID:    fmt.Sprint("user ", i),
			UserGroup: "Бухгалтерия", Delivered: 1000, Bytes: 400_000, LastDelivery: 1_700_000_000_000_000_000,
		}
		if i%100 == 0 {
			s.Queue = []int{len(state.Frames)}
			state.Frames = append(state.Frames, hub.SavedFrame{Size: 400})
		}
		state.Sessions = append(state.Sessions, s)
	}
	text := state.AppendBinary(nil)
	b.Run("AppendBinary", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			text = state.AppendBinary(text[:0])
		}
		b.ReportMetric(float64(len(text))/sessions, "B/session")
	})
	b.Run("ParseState", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := hub.ParseState(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFreeze measures HandOver and TakeBack: how long nobody is served if a
// hand-over fails at once.
func BenchmarkFreeze(b *testing.B) {
	const sessions = 10_000
	s, served := open(b, hub.Options{})
	s.clients(b, sessions, false)
	s.ln.Close()
	if err := <-served; err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if n := len(s.HandOver().Sessions); n != sessions {
			b.Fatalf("%d sessions are handed over", n)
		}
		s.TakeBack()
	}
	b.StopTimer()
	if err := s.Shutdown(b.Context()); err != nil {
		b.Fatal(err)
	}
}
