package moving_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

var (
	epochA, epochB, epochC = seal.Epoch{0xA}, seal.Epoch{0xB}, seal.Epoch{0xC}
	aQuestion              = moving.Question{Session: someSession, Claim: moving.Claim{Turn: 2, Received: 1, From: 1}}
)

func nameOf(epoch seal.Epoch) string { return epoch.String() }

// answerer is a node as a test has it answer.
type answerer struct {
	mu     sync.Mutex
	status moving.Status
	lacks  bool
	frozen int // times that Freeze was called
}

func (a *answerer) change(status moving.Status, lacks bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.status, a.lacks = status, lacks
}

func (a *answerer) look() (moving.Status, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status, a.lacks
}

func (a *answerer) options() moving.Options {
	return moving.Options{
		Last:   func() (seal.Epoch, uint64) { return epochA, 17 },
		Lacks:  func(moving.Cover) bool { _, lacks := a.look(); return lacks },
		Still:  func(f func(moving.Cover)) { f(someCover) },
		Look:   func(*moving.Question) moving.Status { status, _ := a.look(); return status },
		Freeze: a.freeze, Patience: func() time.Duration { return time.Second }, Name: nameOf,
	}
}

func (a *answerer) freeze(_ *moving.Question, worked moving.Cover) (moving.Status, func() moving.Memory) {
	if status, _ := a.look(); status != moving.Found {
		return status, nil
	}
	a.frozen++
	return moving.Found, func() moving.Memory { return moving.Memory{Line: moving.Line{Turn: 1, Begun: 1}, Has: worked} }
}

// answering answers a question, in a bubble in which then is called in the middle of the node's patience. It returns
// how long the answer took, too.
func answering(t *testing.T, a *answerer, then func(*answerer)) (answer moving.Answer, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if then != nil {
			time.AfterFunc(500*time.Millisecond, func() { then(a) })
		}
		body, err := moving.New(a.options()).Answer(t.Context(), epochB, aQuestion.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		took = time.Since(began)
		if answer, err = moving.ParseAnswer(body); err != nil {
			t.Fatal(err)
		}
	})
	return answer, took
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const until, soon = 500 * time.Millisecond, 10 * time.Millisecond
	for _, c := range []struct {
		name        string
		status      moving.Status
		lacks       bool
		then        func(*answerer)
		want        moving.Status
		frozen      int
		least, most time.Duration
	}{
		{name: "nothing, at once", status: moving.Nothing, lacks: true, want: moving.Nothing},
		{name: "stale, at once", status: moving.Stale, lacks: true, want: moving.Stale},
		{name: "what it remembers", status: moving.Found, want: moving.Found, frozen: 1},
		{
			name: "when it has worked off what the asker had", status: moving.Found, lacks: true,
			then: func(a *answerer) { a.change(moving.Found, false) }, want: moving.Found, frozen: 1,
			least: until, most: until + soon,
		},
		{
			name: "when that cannot come any more", status: moving.Found, lacks: true,
			want: moving.Found, frozen: 1, least: time.Second, most: time.Second + soon,
		},
		{
			name: "when its own question is answered", status: moving.Busy,
			then: func(a *answerer) { a.change(moving.Stale, false) }, want: moving.Stale, least: until, most: until + soon,
		},
		{
			name: "that it has forgotten it meanwhile", status: moving.Found, lacks: true,
			then: func(a *answerer) { a.change(moving.Nothing, true) }, want: moving.Nothing, least: until, most: until + soon,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := &answerer{status: c.status, lacks: c.lacks}
			answer, took := answering(t, is, c.then)
			asWanted := answer.Status == c.want && answer.Last == 17 && is.frozen == c.frozen
			if !asWanted || took < c.least || took > max(c.most, soon) {
				t.Errorf("%+v, frozen %d times, after %v", answer, is.frozen, took)
			}
			if c.want == moving.Found && !reflect.DeepEqual(answer.Memory.Has, someCover) {
				t.Errorf("the memory accounts for %v", answer.Memory.Has)
			}
		})
	}
}

// TestAQuestionThatComesAgainIsAnsweredOnce: it is repeated until it is answered.
func TestAQuestionThatComesAgainIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := moving.New((&answerer{status: moving.Busy}).options())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := m.Answer(ctx, epochB, aQuestion.Append(nil))
			ended <- err
		}()
		synctest.Wait()
		if _, err := m.Answer(ctx, epochB, aQuestion.Append(nil)); !errors.Is(err, moving.ErrUnanswered) {
			t.Errorf("the same question again: %v", err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if _, err := m.Answer(ctx, epochB, []byte("?")); err == nil {
			t.Error("what is no question is answered")
		}
	})
}

func TestAsksAllPeers(t *testing.T) {
	t.Parallel()
	line := moving.Line{Turn: 1, Begun: 1, Written: 3}
	found := moving.Answer{Status: moving.Found, Last: 5, Memory: moving.Memory{Line: line}}
	for _, c := range []struct {
		name     string
		b, c     moving.Answer
		memories int
		stale    bool
	}{
		{name: "nothing", b: moving.Answer{Last: 5}, c: moving.Answer{Last: 6}},
		{name: "one has it", b: found, c: moving.Answer{Last: 6}, memories: 1},
		{name: "one took a larger turn", b: found, c: moving.Answer{Status: moving.Stale, Last: 6}, memories: 1, stale: true},
	} {
		answers := map[seal.Epoch]moving.Answer{epochB: c.b, epochC: c.c}
		lost := seal.Epoch{0xD}
		m := moving.New(moving.Options{
			Peers:    func() []seal.Epoch { return []seal.Epoch{epochB, epochC, lost} },
			Last:     func() (seal.Epoch, uint64) { return epochA, 9 },
			Seen:     func() moving.Cover { return moving.Cover{epochA: {Top: 9}, epochB: {Top: 4}, {0xE}: {Top: 2}} },
			Patience: func() time.Duration { return time.Second }, Name: nameOf,
			Ask: func(_ context.Context, peer seal.Epoch, question []byte) ([]byte, error) {
				q, err := moving.ParseQuestion(question)
				seen := q.Seen.Has(moving.Origin{Epoch: epochB, Number: 4})
				if err != nil || q.Claim != aQuestion.Claim || q.Session != someSession || !seen {
					t.Errorf("%s: asked %+v: %v", c.name, q, err)
				}
				answer, there := answers[peer]
				if !there {
					return nil, fmt.Errorf("asking: %w", moving.ErrLost)
				}
				return answer.Append(nil), nil
			},
		})
		result, err := m.Ask(t.Context(), aQuestion)
		all := uint64(math.MaxUint64)
		before := moving.Cover{epochA: {Top: 9}, epochB: {Top: 5}, epochC: {Top: 6}, lost: {Top: all}, {0xE}: {Top: all}}
		asWanted := result.Stale == c.stale && len(result.Memories) == c.memories
		if err != nil || !asWanted || !reflect.DeepEqual(result.Before, before) {
			t.Errorf("%s: %+v %v", c.name, result, err)
		}
		for _, m := range result.Memories {
			if m.Node != nameOf(epochB) {
				t.Errorf("%s: the memory is of node %q", c.name, m.Node)
			}
		}
	}
}

// TestWhatALostPeerHasSentIsPastOneDay: when it was waited for longer than a message is under way.
func TestWhatALostPeerHasSentIsPastOneDay(t *testing.T) {
	t.Parallel()
	for waits, want := range map[time.Duration][]seal.Epoch{0: nil, time.Second: {epochB}} {
		synctest.Test(t, func(t *testing.T) {
			m := moving.New(moving.Options{
				Peers:    func() []seal.Epoch { return []seal.Epoch{epochB, epochC} },
				Last:     func() (seal.Epoch, uint64) { return epochA, 9 },
				Seen:     func() moving.Cover { return moving.Cover{epochB: {Top: 4}} },
				Patience: func() time.Duration { return time.Second },
				Ask: func(_ context.Context, peer seal.Epoch, _ []byte) ([]byte, error) {
					if peer == epochC {
						return (&moving.Answer{Last: 6}).Append(nil), nil
					}
					time.Sleep(waits)
					return nil, moving.ErrLost
				},
			})
			result, err := m.Ask(t.Context(), aQuestion)
			if err != nil || !reflect.DeepEqual(result.Past, want) {
				t.Errorf("after %v: %v %v, want %v", waits, result.Past, err, want)
			}
		})
	}
}

// TestWhoCannotAskFails: nothing can be concluded from that. What cannot be read is of no use.
func TestWhoCannotAskFails(t *testing.T) {
	t.Parallel()
	moved := errors.New("the node moves")
	for _, c := range []struct {
		name   string
		answer []byte
		err    error
		want   error
	}{
		{"this node moves", nil, moved, moved},
		{"nonsense is answered", []byte("?"), nil, nil},
	} {
		m := moving.New(moving.Options{
			Peers:    func() []seal.Epoch { return []seal.Epoch{epochB} },
			Last:     func() (seal.Epoch, uint64) { return epochA, 9 },
			Seen:     func() moving.Cover { return moving.Cover{} },
			Patience: func() time.Duration { return time.Second }, Name: nameOf,
			Ask: func(context.Context, seal.Epoch, []byte) ([]byte, error) { return c.answer, c.err },
		})
		result, err := m.Ask(t.Context(), aQuestion)
		if !errors.Is(err, c.want) || err == nil && result.Before[epochB].Top != math.MaxUint64 {
			t.Errorf("%s: %+v, %v", c.name, result, err)
		}
	}
}

func TestAConfirmationDrops(t *testing.T) {
	t.Parallel()
	var dropped moving.Confirmation
	other := moving.New(moving.Options{Name: nameOf, Drop: func(s moving.Session, turn uint64, node string) {
		if node != nameOf(epochA) {
			t.Errorf("it goes on at %q", node)
		}
		dropped = moving.Confirmation{Session: s, Turn: turn}
	}})
	m := moving.New(moving.Options{Tell: func(confirmation []byte) {
		if err := other.Confirmed(epochA, confirmation); err != nil {
			t.Error(err)
		}
	}})
	m.Confirm(someSession, 4)
	if dropped != (moving.Confirmation{Session: someSession, Turn: 4}) {
		t.Errorf("dropped %+v", dropped)
	}
	if err := other.Confirmed(epochA, []byte("?")); err == nil {
		t.Error("what is no confirmation is taken")
	}
}
