package cluster

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestAWindowTakesEachNumberOnce(t *testing.T) {
	t.Parallel()
	var w window
	w.begin(10)
	take := func(number uint64, fresh bool, missed uint64) {
		t.Helper()
		if f, m := w.take(0, number); f != fresh || m != missed {
			t.Errorf("%d: fresh %t, %d missed, want %t, %d", number, f, m, fresh, missed)
		}
	}
	take(10, false, 0)
	take(0, false, 0)
	take(11, true, 0)
	take(11, false, 0)
	take(14, true, 2)
	take(13, true, 0)
	take(12, true, 0)
	take(12, false, 0)
	w.judge(12, verdict{queued, 3, 1})
	w.judge(500, verdict{outcome: tooLate}) // not taken: it changes nothing
	for number, want := range map[uint64]verdict{
		9: {outcome: tooLate}, 12: {queued, 3, 1}, 13: {outcome: underWay}, 15: {}, 500: {},
	} {
		if got := w.verdict(number); got != want {
			t.Errorf("verdict on %d: %v, want %v", number, got, want)
		}
	}
	take(14+windowSize, true, windowSize-1)
	take(14, false, 0)
	take(15, true, 0)
	if got := w.verdict(12); got.outcome != tooLate {
		t.Errorf("what left the window is %v", got)
	}
}

// Whatever is lost, doubled and late: no number is taken twice, and of those that are not
// older than the window none is refused the first time.
func TestAWindowUnderARandomSchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		var w window
		taken := map[uint64]bool{}
		top := uint64(0)
		for range 20_000 {
			number := top + 1
			switch random.IntN(10) {
			case 0:
				number += uint64(random.IntN(2 * windowSize))
			case 1, 2, 3, 4:
				number -= min(number-1, uint64(random.IntN(windowSize+100)))
			}
			fresh, _ := w.take(0, number)
			old := number+windowSize <= top
			if want := !taken[number] && !old; fresh != want {
				t.Fatalf("seed %d: %d with %d on top: fresh %t, want %t", seed, number, top, fresh, want)
			}
			taken[number] = taken[number] || fresh
			top = max(top, number)
		}
	}
}

func TestAgesNeedNoRightClock(t *testing.T) {
	t.Parallel()
	const minute = time.Minute
	var a ages
	if got := a.of(5*minute, 5*minute); got != math.MaxInt64 {
		t.Errorf("without a heartbeat: %v", got)
	}
	// The peer's clock is an hour behind; the way takes 1 to 3 ms.
	for i := range 200 {
		sent := time.Duration(i) * time.Second
		a.heard(sent+60*minute+time.Duration(1+i%3)*time.Millisecond, sent)
	}
	if got := a.of(64*minute+5*time.Millisecond, 4*minute); got != 4*time.Millisecond {
		t.Errorf("a message of 4 ms is %v old", got)
	}
	// This process stood still for an hour: whatever it reads then is late, however much.
	for i := range agesKept - 1 {
		sent := 4*minute + time.Duration(i)*time.Second
		a.heard(sent+120*minute, sent)
		if got := a.of(sent+120*minute, sent); got < 59*minute {
			t.Fatalf("after %d heartbeats a message of an hour is %v old", i, got)
		}
	}
}

// newAssembly is one for a peer alone.
func newAssembly() *assembly { return &assembly{larges: new(atomic.Int64)} }

func TestPartsAreAWholeInAnyOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	a := newAssembly()
	for first := uint64(1); first < 1000; first += 20 {
		count := 2 + random.IntN(8)
		message := make([]byte, count+random.IntN(100))
		for i := range message {
			message[i] = byte(random.IntN(256))
		}
		order := random.Perm(count)
		for i, part := range order {
			number := first + 2*uint64(part) // others are numbered between them
			h := partHead{part: uint16(part), parts: uint16(count), size: uint64(len(message))}
			if part > 0 {
				h.first = first
			}
			from, to := bounds(len(message), part, count)
			whole, last, ok := a.add(0, number, h, message[from:to])
			if !ok || (whole != nil) != (i == count-1) {
				t.Fatalf("part %d of %d gave %v, %t", i, count, whole, ok)
			}
			if whole != nil && (!bytes.Equal(whole, message) || last != first+2*uint64(count-1)) {
				t.Errorf("the whole is %v up to %d, want %v", whole, last, message)
			}
		}
	}
	if len(a.unfinished) != 0 || a.bytes != 0 {
		t.Errorf("%d are left with %d bytes", len(a.unfinished), a.bytes)
	}
}

func TestBoundsCoverAMessage(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int{{1, 1}, {5, 4}, {2, 2}, {maxMessageBytes, 1024}, {maxMessageBytes - 1, 65535}, {100, 7}} {
		size, parts, at := c[0], c[1], 0
		for i := range parts {
			from, to := bounds(size, i, parts)
			if from != at || to <= from || to-from > (size+parts-1)/parts {
				t.Fatalf("part %d of %d of %d bytes: %d to %d", i, parts, size, from, to)
			}
			at = to
		}
		if at != size {
			t.Errorf("%d parts cover %d of %d bytes", parts, at, size)
		}
	}
}

func TestPartsThatNeverEndAreBounded(t *testing.T) {
	t.Parallel()
	half := make([]byte, 1<<20)
	begin := partHead{part: 0, parts: 2, size: 2 << 20}
	a := newAssembly()
	for number := uint64(1); number < 100; number++ {
		_, _, ok := a.add(0, number, begin, half)
		if want := number <= maxUnfinished/begin.size; ok != want || a.bytes > maxUnfinished {
			t.Fatalf("message %d: taken %t, %d bytes", number, ok, a.bytes)
		}
	}
	if _, _, ok := a.add(0, 200, partHead{part: 1, parts: 2, first: 99, size: 2 << 20}, half); ok {
		t.Error("the rest of a message is taken whose begin was refused")
	}
	a.expire(time.Second, time.Second)
	if len(a.unfinished) == 0 {
		t.Error("they expire too early")
	}
	a.expire(time.Second+1, time.Second)
	if len(a.unfinished) != 0 || a.bytes != 0 {
		t.Errorf("%d are left with %d bytes", len(a.unfinished), a.bytes)
	}
	for _, h := range []partHead{ // another number of parts or of bytes; twice the same; another length
		{part: 1, parts: 3, first: 1, size: 2 << 20}, {part: 1, parts: 2, first: 1, size: 2<<20 - 2},
		{part: 0, parts: 2, size: 2 << 20}, {part: 1, parts: 2, first: 1, size: 2<<20 + 2},
	} {
		a.add(0, 1, begin, half)
		if _, _, ok := a.add(0, 1+uint64(h.part), h, half); ok || a.bytes != 0 {
			t.Errorf("%v after part 0 of 2 is taken, %d bytes", h, a.bytes)
		}
		a.end()
		a = newAssembly()
	}
}

// Of what is larger than a peer's share one at a time is put together, of all peers no more
// than the node has room for.
func TestLargeMessagesAreBounded(t *testing.T) {
	t.Parallel()
	const size = largeBytes * 7
	larges := new(atomic.Int64)
	chunk := make([]byte, size/2)
	for i := range 5 {
		a := &assembly{larges: larges}
		_, _, ok := a.add(0, 1, partHead{part: 0, parts: 2, size: size}, chunk)
		if want := i < maxLarger/size; ok != want {
			t.Fatalf("that of peer %d is taken: %t", i, ok)
		}
		if !ok {
			continue
		}
		if _, _, ok = a.add(0, 9, partHead{part: 0, parts: 2, size: size}, chunk); !ok || len(a.unfinished) != 1 {
			t.Errorf("a second one is taken: %t; %d are unfinished", ok, len(a.unfinished))
		}
		if i == 0 {
			whole, _, ok := a.add(0, 10, partHead{part: 1, parts: 2, first: 9, size: size}, chunk)
			if !ok || len(whole) != size || larges.Load() != size {
				t.Errorf("%d bytes are whole, %d count", len(whole), larges.Load())
			}
		}
	}
	a := &assembly{larges: larges}
	a.release(size) // the whole one is worked off
	if _, _, ok := a.add(0, 1, partHead{part: 0, parts: 2, size: size}, chunk); !ok {
		t.Error("afterwards there is no room")
	}
	a.end()
	if _, _, ok := a.add(0, 2, partHead{part: 0, parts: 2, size: size}, chunk); ok || larges.Load() != size {
		t.Errorf("of a peer that is gone one is taken: %t; %d count", ok, larges.Load())
	}
}

const someApp = "0f8fad5b-d9cb-469f-a165-70867728950e"

// wholeMessage is a message as its parts carry it.
func wholeMessage(m *message) (body []byte, ok bool) {
	head, ok := m.appendHead(nil)
	return append(head, m.plaintext...), ok
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, m := range []message{
		{someApp, wire.Recipient{Type: wire.ToAll, IbID: "база"}, []byte("{}")},
		{someApp, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "ann"}, []byte(strings.Repeat("x", 100_000))},
		{someApp, wire.Recipient{Type: wire.ToGroup, IbID: strings.Repeat("i", 300), UserGroup: "g"}, []byte{}},
	} {
		body, ok := wholeMessage(&m)
		if !ok || len(body) > m.overhead()+len(m.plaintext) {
			t.Errorf("%v: %d bytes, at most %d expected", m.to, len(body), m.overhead()+len(m.plaintext))
		}
		got, err := parseMessage(body)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v became %v (%v)", m, got, err)
		}
		for n := range min(len(body)-len(m.plaintext), 400) {
			if _, err := parseMessage(body[:n]); err == nil {
				t.Errorf("%v: %d bytes are a message", m.to, n)
			}
		}
	}
	for _, m := range []message{
		{"", wire.Recipient{Type: wire.ToAll, IbID: "ib"}, nil},
		{"no app", wire.Recipient{Type: wire.ToAll, IbID: "ib"}, nil},
		{strings.ReplaceAll(someApp, "-", ""), wire.Recipient{Type: wire.ToAll, IbID: "ib"}, nil},
		{someApp, wire.Recipient{Type: "some", IbID: "ib"}, nil},
	} {
		if _, ok := wholeMessage(&m); ok {
			t.Errorf("%v was written", m)
		}
	}
}

func TestAMessageAsBytes(t *testing.T) {
	t.Parallel()
	m := message{someApp, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "ann"}, []byte("{}")}
	body, _ := m.appendHead((&partHead{0x0102030405060708, 1, 2, 3, 5}).append(nil))
	body = append(body, m.plaintext...)
	const want = "0102030405060708" + "0001" + "0002" + "0000000000000003" + "0000000000000005" + "01" + "0f8fad5bd9cb469fa16570867728950e" + "026962" +
		"03616e6e" + "7b7d"
	if got := fmt.Sprintf("%x", body); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	verdicts := appendVerdict(nil, 300, verdict{queued, 130, 2})
	verdicts = appendVerdict(verdicts, 1, verdict{outcome: tooLate})
	verdicts = appendVerdict(verdicts, 2, verdict{outcome: queued})
	if got := fmt.Sprintf("%x", verdicts); got != "ac02"+"8601"+"02"+"0100"+"0204" {
		t.Errorf("verdicts are %s", got)
	}
}

func TestVerdictsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	want := []verdict{{outcome: tooLate}, {outcome: overloaded}, {}, {outcome: underWay}, {outcome: queued},
		{queued, 1, 0}, {queued, 1, 1}, {queued, math.MaxInt32, 5}}
	var body []byte
	for i, v := range want {
		body = appendVerdict(body, uint64(i)<<40, v)
	}
	var got []verdict
	err := parseVerdicts(body, func(number uint64, v verdict) {
		if number != uint64(len(got))<<40 {
			t.Errorf("number %d at %d", number, len(got))
		}
		got = append(got, v)
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("read %v (%v)", got, err)
	}
	for _, wrong := range [][]byte{{1}, {1, 5}, {1, 5, 9}, {0x80}, {1, 4, 1},
		bytes.Repeat([]byte{0xff}, 11), appendVerdict(nil, 1, verdict{queued, 1, 2})} {
		if err := parseVerdicts(wrong, func(uint64, verdict) { t.Errorf("%x: a verdict", wrong) }); err == nil {
			t.Errorf("%x is read", wrong)
		}
	}
}

func someHeartbeat() heartbeat {
	return heartbeat{least: 1, most: 1, id: NodeID{1, 2}, name: "web1", program: "1.2.3", ready: true,
		wait: time.Second, sent: time.Hour, last: 1 << 40, sessions: 12_000, revision: 77,
		heard: []heardOf{{seal.Epoch{1}, 1, 0, false}, {seal.Epoch{2}, math.MaxUint64, 5, true}},
		nodes: []toldOf{{NodeID{3}, "web2", time.Minute}, {NodeID{4}, "web3", 0}}}
}

func TestAHeartbeatIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	h := someHeartbeat()
	body := h.append(nil)
	if got, err := parseHeartbeat(body); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("got %+v (%v)", got, err)
	}
	if got, err := parseHeartbeat(append(bytes.Clone(body), "of a later release"...)); err != nil ||
		!reflect.DeepEqual(got, h) {
		t.Errorf("with more behind it: %+v (%v)", got, err)
	}
	const nodesBytes = 1 + 2*(16+1+4) + 6 + 1
	earlier := len(body) - nodesBytes
	for n := range body {
		switch got, err := parseHeartbeat(body[:n]); {
		case n == earlier && (err != nil || len(got.heard) != len(h.heard) || got.nodes != nil):
			t.Errorf("of an earlier release: %+v (%v)", got, err)
		case n != earlier && err == nil:
			t.Errorf("%d of %d bytes are a heartbeat", n, len(body))
		}
	}
	newer := h
	newer.least, newer.most = mostVersion+1, mostVersion+2
	body = append(newer.append(nil)[:3+16+5+6], "in another form"...)
	if got, err := parseHeartbeat(body); err != nil || got.spoken() || got.name != "web1" || got.program != "1.2.3" {
		t.Errorf("of a newer version: %+v (%v)", got, err)
	}
	for _, wrong := range []func(*heartbeat){
		func(h *heartbeat) { h.name = strings.Repeat("n", maxNameChars+1) },
		func(h *heartbeat) { h.program = strings.Repeat("n", maxVersionChars+1) },
		func(h *heartbeat) { h.heard = make([]heardOf, maxHeard+1) },
		func(h *heartbeat) { h.nodes = make([]toldOf, maxTold+1) },
		func(h *heartbeat) { h.nodes[0].name = strings.Repeat("n", maxNameChars+1) },
		func(h *heartbeat) { h.sessions = math.MaxInt64 },
		func(h *heartbeat) { h.least, h.most = 2, 1 },
	} {
		h := someHeartbeat()
		wrong(&h)
		if _, err := parseHeartbeat(h.append(nil)); err == nil {
			t.Errorf("%+v is read", h)
		}
	}
}

func TestAQuestionIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, numbers := range [][]uint64{nil, {1}, {math.MaxUint64, 2}, make([]uint64, maxAsked)} {
		if got, err := parseQuestion(appendQuestion(nil, numbers)); err != nil || !slices.Equal(got, numbers) {
			t.Errorf("%v became %v (%v)", numbers, got, err)
		}
	}
	for _, wrong := range [][]byte{nil, {2}, {askNumbers, 0x80}, appendQuestion(nil, make([]uint64, maxAsked+1))} {
		if _, err := parseQuestion(wrong); err == nil {
			t.Errorf("%x is read", wrong)
		}
	}
}

// What only peers can seal is read as carefully as if strangers could.
func FuzzBodies(f *testing.F) {
	m := message{someApp, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "ann"}, []byte("{}")}
	body, _ := wholeMessage(&m)
	h := someHeartbeat()
	f.Add(body)
	f.Add(h.append(nil))
	f.Add(appendVerdict(nil, 5, verdict{queued, 3, 1}))
	f.Add(appendQuestion(nil, []uint64{1, 2, 300}))
	f.Add((&partHead{1, 0, 1, 0, 0}).append(nil))
	f.Add((&partHead{1, 1, 2, 7, 900}).append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		if m, err := parseMessage(body); err == nil {
			again, ok := wholeMessage(&m)
			if back, err := parseMessage(again); !ok || err != nil || !reflect.DeepEqual(back, m) {
				t.Errorf("%v became %v (%v)", m, back, err)
			}
		}
		if h, err := parseHeartbeat(body); err == nil && h.spoken() {
			if back, err := parseHeartbeat(h.append(nil)); err != nil || !reflect.DeepEqual(back, h) {
				t.Errorf("%+v became %+v (%v)", h, back, err)
			}
		}
		var again []byte
		if parseVerdicts(body, func(n uint64, v verdict) { again = appendVerdict(again, n, v) }) == nil {
			if err := parseVerdicts(again, func(uint64, verdict) {}); err != nil {
				t.Errorf("%x became %x", body, again)
			}
		}
		if numbers, err := parseQuestion(body); err == nil {
			if back, err := parseQuestion(appendQuestion(nil, numbers)); err != nil || !slices.Equal(back, numbers) {
				t.Errorf("%v became %v (%v)", numbers, back, err)
			}
		}
		if h, rest, err := parsePart(body); err == nil {
			if again := append(h.append(nil), rest...); h.part >= h.parts || !bytes.Equal(again, body) {
				t.Errorf("part %d of %d: %x became %x", h.part, h.parts, body, again)
			}
		}
	})
}
