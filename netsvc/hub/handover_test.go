package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// handOver ends the service and returns what it left, as it is after a journey.
func handOver(t *testing.T, s *service, served <-chan error) *hub.State {
	t.Helper()
	s.ln.Close()
	if err := <-served; err != nil {
		t.Fatalf("serve: %v", err)
	}
	return journey(t, s.HandOver())
}

// journey takes a state from one process to another.
func journey(t *testing.T, state *hub.State) *hub.State {
	t.Helper()
	came, err := hub.ParseState(state.AppendBinary(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := came.ParseAttributes(state.AppendAttributes(nil)); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(state.Memories)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &came.Memories); err != nil || !came.Whole() {
		t.Fatalf("remembered sessions do not arrive: %v: %s", err, text)
	}
	for i := range came.Frames {
		came.Frames[i].Bytes = bytes.Clone(state.Frames[i].Bytes)
	}
	for i := range came.Sessions {
		came.Sessions[i].Conn = state.Sessions[i].Conn
	}
	return came
}

// successor is a hub with the keys that goes on with them.
func successor(t *testing.T, state *hub.State, keys ...hub.Key) (*service, hub.TakenOver) {
	t.Helper()
	return successorWith(t, state, roomy, keys...)
}

func successorWith(t *testing.T, state *hub.State, limits hub.Limits, keys ...hub.Key) (*service, hub.TakenOver) {
	t.Helper()
	s := &service{Hub: hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler), Limits: limits}), t: t, key: keys[0].Secret}
	s.SetApp(appID, keys)
	became := s.TakeOver(state)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Shutdown(ctx)
		s.isEmpty()
	})
	return s, became
}

// roomy lets a slow session have messages that no socket takes whole.
var roomy = hub.Limits{QueueBytes: 64 << 20}

func TestSessionsGoOnInAnotherHub(t *testing.T) {
	first, served := open(t, hub.Options{Limits: roomy})
	key := hub.Key{Generation: 1, Secret: first.key}
	ann := first.connect("ib", "ann", "group")
	slow := first.connect("ib", "slow", "")
	registration := packet(32, fields(appID, "ib", "half", ""))
	write := func(c net.Conn, b []byte) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	half, again := first.dial(), first.dial()
	write(half, registration[:10])
	write(again, packet(32, fields(appID, "ib", "before", "")))
	eventually(t, "it is registered", func() bool { return first.Stats().Sessions == 3 })
	write(again, registration[:1])
	first.Publish(appID, toAll("ib"), topic("one"))
	receive(t, ann)
	// More than the sockets take: it stops in the middle of a frame.
	large := strings.Repeat("x", 6<<20)
	for i := range 3 {
		first.Publish(appID, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "slow"}, topic(fmt.Sprintf("%d %s", i, large)))
	}
	var before hub.Session
	eventually(t, "the first message is counted", func() bool {
		page, err := first.Sessions(hub.Query{UserID: "ann"})
		if err != nil || len(page.Sessions) != 1 {
			return false
		}
		before = page.Sessions[0]
		return before.Delivered == 1
	})

	state := handOver(t, first, served)
	second, became := successor(t, state, key)
	if became != (hub.TakenOver{Sessions: 3, Unregistered: 1}) {
		t.Fatalf("%+v", became)
	}
	page, err := second.Sessions(hub.Query{UserID: "ann"})
	if err != nil || len(page.Sessions) != 1 || !reflect.DeepEqual(page.Sessions[0], before) {
		t.Errorf("the session was %+v and is %+v, %v", before, page.Sessions, err)
	}
	if n := second.Publish(appID, toAll("ib"), topic("two")); n != 3 {
		t.Errorf("reached %d sessions", n)
	}
	if got := receive(t, ann); got != `{"topic":"two"}` {
		t.Errorf("ann got %s", got)
	}
	if got := receive(t, slow); got != `{"topic":"one"}` {
		t.Errorf("slow got %.80s", got)
	}
	for i := range 3 {
		if got, want := receive(t, slow), fmt.Sprintf(`{"topic":"%d %s"}`, i, large); got != want {
			t.Fatalf("slow got %.80s of %d bytes", got, len(got))
		}
	}
	if got := receive(t, slow); got != `{"topic":"two"}` {
		t.Errorf("slow got %.80s", got)
	}

	// The rest of what was half sent.
	write(half, registration[10:])
	write(again, registration[1:])
	eventually(t, "both are registered", func() bool {
		page, err := second.Sessions(hub.Query{UserID: "half"})
		return err == nil && page.Total == 2
	})
	if fresh := state.LastID; before.ID > fresh {
		t.Errorf("the last number is %d, a session has %d", fresh, before.ID)
	}
}

func TestSessionsUnderAKeyThatIsGoneAreClosed(t *testing.T) {
	first, served := open(t, hub.Options{})
	old := hub.Key{Generation: 1, Secret: first.key}
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	underOld := first.connect("ib", "old", "")
	first.SetApp(appID, []hub.Key{next, old})
	underNext := first.register(wire.Registration{AppID: appID, IbID: "ib", UserID: "next"}, next.Secret)
	state := handOver(t, first, served)

	// The same number, but another key: a database of another day.
	forged := hub.Key{Generation: 1, Secret: clientKey(t, 3)}
	second, became := successor(t, state, next, forged)
	if became != (hub.TakenOver{Sessions: 1, Revoked: 1}) {
		t.Fatalf("%+v", became)
	}
	ends(t, underOld)
	if n := second.Stats().Closed["key_revoked"]; n != 1 {
		t.Errorf("%d sessions are counted as closed", n)
	}
	second.Publish(appID, toAll("ib"), topic("x"))
	if got := receive(t, underNext); got != `{"topic":"x"}` {
		t.Errorf("got %s", got)
	}
}

// TestAFrameUnderAKeyThatIsGoneIsFinished hands a session over that had half of a message
// when it registered under another key: the rest of it goes out though the first key has
// ended, for cutting it would garble what follows.
func TestAFrameUnderAKeyThatIsGoneIsFinished(t *testing.T) {
	first, served := open(t, hub.Options{Limits: roomy})
	old := hub.Key{Generation: 1, Secret: first.key}
	next := hub.Key{Generation: 2, Secret: clientKey(t, 2)}
	first.SetApp(appID, []hub.Key{next, old})
	slow := first.connect("ib", "slow", "")
	large := strings.Repeat("x", 16<<20) // more than the sockets take
	first.Publish(appID, toAll("ib"), topic(large))
	eventually(t, "a part of it is written", func() bool { return first.Stats().DeliveredBytes > 0 })
	before := first.Stats().Registrations
	if err := slow.Register(wire.Registration{AppID: appID, IbID: "ib", UserID: "slow"}, next.Secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is registered again", func() bool { return first.Stats().Registrations > before })
	first.SetApp(appID, []hub.Key{next})
	state := handOver(t, first, served)

	// And once more: the key is not known there any more.
	second, became := successor(t, state, next)
	if became != (hub.TakenOver{Sessions: 1}) {
		t.Fatalf("%+v", became)
	}
	third, became := successor(t, journey(t, second.HandOver()), next)
	if became != (hub.TakenOver{Sessions: 1}) {
		t.Fatalf("%+v", became)
	}
	third.Publish(appID, toAll("ib"), topic("x"))
	if got, want := receive(t, slow), fmt.Sprintf(`{"topic":"%s"}`, large); got != want {
		t.Errorf("got %.80s of %d bytes", got, len(got))
	}
	if got := receive(t, slow); got != `{"topic":"x"}` {
		t.Errorf("got %s", got)
	}
}

// TestNothingIsLostOrDoubledOnTheWay hands over again and again while a message
// follows the other.
func TestNothingIsLostOrDoubledOnTheWay(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	s, served := open(t, hub.Options{})
	key := hub.Key{Generation: 1, Secret: s.key}
	const sessions, rounds, messages = 20, 5, 200
	var clients []*wire.Client
	for i := range sessions {
		clients = append(clients, s.connect("ib", fmt.Sprint(i), ""))
	}
	ended := make(chan error, sessions)
	for i, c := range clients {
		go func() {
			for n := range rounds * messages {
				if got, want := receive(t, c), fmt.Sprintf(`{"topic":"%d"}`, n); got != want {
					ended <- fmt.Errorf("session %d got %s, want %s", i, got, want)
					return
				}
			}
			ended <- nil
		}()
	}
	for round := range rounds {
		for n := range messages {
			if reached := s.Publish(appID, toAll("ib"), topic(fmt.Sprint(round*messages+n))); reached != sessions {
				t.Fatalf("reached %d", reached)
			}
		}
		if round == 0 {
			s.ln.Close()
			<-served
		}
		state := journey(t, s.HandOver())
		s = &service{Hub: hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler)}), t: t, key: key.Secret}
		s.SetApp(appID, []hub.Key{key})
		if became := s.TakeOver(state); became != (hub.TakenOver{Sessions: sessions}) {
			t.Fatalf("%+v", became)
		}
	}
	for range sessions {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
}

func TestAStateThatIsNotWholeIsRecognised(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"frames":[{"key":0}]}`, `{"sessions":[{"key":0}]}`, `{"sessions":[{"key":-2}]}`, `{"sessions":[{"key":-1,"queue":[0]}]}`,
		`{"sessions":[{"key":-1,"written":1}]}`, `{"keys":[{}],"frames":[{"key":0,"bytes":"AAAA"}],"sessions":[{"key":0,"queue":[0],"written":4}]}`,
		`{"keys":[{}],"frames":[{"key":0,"bytes":"AAAA"}],"sessions":[{"key":0,"queue":[0],"written":3}]}`, `{"keys":[{}],"frames":[{"key":0}]}`,
	} {
		var state hub.State
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			t.Fatal(err)
		}
		if state.Whole() {
			t.Errorf("%s passes", text)
		}
	}
}
