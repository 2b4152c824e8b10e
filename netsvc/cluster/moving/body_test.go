package moving_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

var (
	someSession = moving.Session{AppID: "a1", IbID: "база", UserID: "u", Secret: "AAAAAAAAAAAAAAAAAAAAAA"}
	someCover   = moving.Cover{{1}: {Top: 9, Missing: []uint64{2, 3, 7}}}
	someAnswers = []moving.Answer{
		{Status: moving.Nothing, Last: 4}, {Status: moving.Stale},
		{Status: moving.Found, Last: 1 << 60, Memory: moving.Memory{
			Line: moving.Line{Turn: 4, Begun: 1, Written: 12}, Base: 10, Since: 1764000000000000000, Missed: 1, Resumed: 3,
			Cut:  true,
			Sent: [][]byte{[]byte(`{"a":1}`), []byte(`{}`)}, Has: someCover,
			Unsent: []moving.Frame{
				{moving.Origin{Epoch: seal.Epoch{3}, Number: 8}, []byte(`{"b":2}`)}, {moving.Origin{}, []byte("{}")},
			},
			Lost: moving.Lost{Lives: []seal.Epoch{{5}, {6}}, For: 1900 * time.Millisecond},
		}},
	}
)

func TestBodiesTravel(t *testing.T) {
	t.Parallel()
	q := moving.Question{Session: someSession, Claim: moving.Claim{Turn: 3, Received: 17, From: 2}, Seen: someCover}
	if got, err := moving.ParseQuestion(q.Append(nil)); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("the question came as %+v: %v", got, err)
	}
	for _, a := range someAnswers {
		if got, err := moving.ParseAnswer(a.Append(nil)); err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("the answer %+v came as %+v: %v", a, got, err)
		}
	}
	c := moving.Confirmation{Session: someSession, Turn: 5}
	if got, err := moving.ParseConfirmation(c.Append(nil)); err != nil || got != c {
		t.Errorf("the confirmation came as %+v: %v", got, err)
	}
}

// TestCutBodies: what breaks off is an error, not a smaller memory.
func TestCutBodies(t *testing.T) {
	t.Parallel()
	for _, a := range someAnswers {
		whole := a.Append(nil)
		for n := range whole {
			if got, err := moving.ParseAnswer(whole[:n]); err == nil {
				t.Errorf("%d of %d bytes are the answer %+v", n, len(whole), got)
			}
		}
		if _, err := moving.ParseAnswer(append(whole, 0)); err == nil {
			t.Error("an answer with a byte behind it is taken")
		}
	}
}

// FuzzAnswer: whatever is an answer is the same one when it is written and read again.
func FuzzAnswer(f *testing.F) {
	for _, a := range someAnswers {
		f.Add(a.Append(nil))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := moving.ParseAnswer(body)
		if err != nil {
			return
		}
		again, err := moving.ParseAnswer(a.Append(nil))
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%+v came as %+v: %v", a, again, err)
		}
	})
}

// FuzzQuestion is the same for questions.
func FuzzQuestion(f *testing.F) {
	q := moving.Question{Session: someSession, Claim: moving.Claim{Turn: 3, Received: 17, From: 2}, Seen: someCover}
	f.Add(q.Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := moving.ParseQuestion(body)
		if err != nil {
			return
		}
		written := q.Append(nil)
		again, err := moving.ParseQuestion(written)
		if err != nil || !reflect.DeepEqual(q, again) || len(q.Seen) < 2 && !bytes.Equal(written, again.Append(nil)) {
			t.Errorf("%+v came as %+v: %v", q, again, err)
		}
	})
}
