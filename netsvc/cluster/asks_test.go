package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// answering has a node answer questions for sessions.
func answering(answer func(ctx context.Context, question []byte) ([]byte, error)) func(*cluster.Options) {
	return func(o *cluster.Options) {
		o.Answer = func(ctx context.Context, _ seal.Epoch, question []byte) ([]byte, error) { return answer(ctx, question) }
	}
}

// echo answers with the question.
func echo(_ context.Context, question []byte) ([]byte, error) { return question, nil }

func TestAQuestionIsAnswered(t *testing.T) {
	t.Parallel()
	s := newService(t)
	large := bytes.Repeat([]byte("x"), 3<<20)
	var asked []string // at b
	var mu sync.Mutex
	a := s.start("web1", 0, answering(echo))
	b := s.start("web2", 0, answering(func(_ context.Context, question []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, string(question[:min(len(question), 9)]))
		switch string(question) {
		case "large":
			return large, nil
		case "later":
			if slices.Index(asked, "later") == len(asked)-1 { // the first time
				return nil, moving.ErrUnanswered
			}
		}
		return question, nil
	}))
	s.start("web3", 0)       // has no sessions
	go b.Accept(t.Context()) // a large answer comes through a stream
	peer := b.Status().Epoch
	eventually(t, "all to know each other", func() bool {
		return a.count(cluster.PeerLive) == 2 && b.count(cluster.PeerLive) == 2
	})
	if got := a.Answering(); !slices.Equal(got, []seal.Epoch{peer}) || a.NameOf(peer) != "web2" {
		t.Errorf("%v can be asked", got)
	}
	for _, c := range []struct{ question, want []byte }{
		{[]byte("small"), []byte("small")}, {[]byte("later"), []byte("later")}, {[]byte("large"), large}, {large, large},
	} {
		answer, err := a.Ask(t.Context(), peer, c.question)
		if err != nil || !bytes.Equal(answer, c.want) {
			t.Errorf("%.9s: %d bytes, %v", c.question, len(answer), err)
		}
	}
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			question := fmt.Appendf(nil, "%d", i)
			if answer, err := a.Ask(t.Context(), peer, question); err != nil || !bytes.Equal(answer, question) {
				t.Errorf("%s: %s, %v", question, answer, err)
			}
		})
	}
	group.Wait()
}

func TestAQuestionIsAskedUntilThePeerIsLost(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*node){
		"killed": func(n *node) { n.Kill() },
		"left":   func(n *node) { n.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			asked := make(chan struct{}, 1000)
			silent := func(ctx context.Context, _ []byte) ([]byte, error) {
				asked <- struct{}{}
				return nil, moving.ErrUnanswered
			}
			a, b := s.start("web1", 0, answering(echo)), s.start("web2", 0, answering(silent))
			meet(t, a, b)
			failed := make(chan error, 1)
			go func() {
				_, err := a.Ask(context.Background(), b.Status().Epoch, []byte("?"))
				failed <- err
			}()
			for range 3 {
				<-asked
			}
			end(b)
			if err := <-failed; !errors.Is(err, moving.ErrLost) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAPeerIsNotLostBecauseItConnectsLater: NATS is back, this node too, and nobody listens for the peer yet.
func TestAPeerIsNotLostBecauseItConnectsLater(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Back = patience
	way := newProxy(t, s.nats.URL())
	a := s.start("web1", 0, answering(echo))
	b := s.start("web2", 0, answering(echo), func(o *cluster.Options) { o.NATS.Servers = []string{way.url()} })
	meet(t, a, b)
	s.nats.Stop()
	way.setCut(true)
	s.nats.Start()
	eventually(t, "the first one to be back", func() bool { return a.Status().Reconnects > 0 })
	peer := b.Status().Epoch
	for range 3 {
		a.NoResponder(peer)
	}
	if got := a.states(); got != "web2 live" {
		t.Errorf("before the peer is back: %s", got)
	}
	way.setCut(false)
	if answer, err := a.Ask(t.Context(), peer, []byte("?")); err != nil || string(answer) != "?" {
		t.Errorf("the peer answers %q, %v", answer, err)
	}
}

// TestAPeerMayBeLostForAMoment: NATS ends connections one after the other when it stops, the peer's first. Who is
// asking goes on to ask, and who comes waits.
func TestAPeerMayBeLostForAMoment(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.wait, s.time.Back = time.Nanosecond, patience
	way := newProxy(t, s.nats.URL())
	asked, goOn := make(chan struct{}, 1000), make(chan struct{})
	a := s.start("web1", 0, answering(echo))
	b := s.start("web2", 0, func(o *cluster.Options) { o.NATS.Servers = []string{way.url()} },
		answering(func(ctx context.Context, question []byte) ([]byte, error) {
			asked <- struct{}{}
			select {
			case <-goOn:
				return question, nil
			default:
				return nil, moving.ErrUnanswered
			}
		}))
	meet(t, a, b)
	eventually(t, "it to be settled", a.Settled)
	answered := make(chan error, 1)
	go func() {
		_, err := a.Ask(context.Background(), b.Status().Epoch, []byte("?"))
		answered <- err
	}()
	<-asked
	way.setCut(true)
	eventually(t, "it to be lost", func() bool { return a.states() == "web2 lost" })
	if a.Settled() {
		t.Error("sessions are taken that it may have")
	}
	close(goOn)
	way.setCut(false)
	if err := <-answered; err != nil {
		t.Errorf("it does not answer: %v", err)
	}
	meet(t, a, b)
	eventually(t, "it to be settled", a.Settled)
}

// TestAPeerThatDoesNotConnectAgainIsLost as soon as it had the time to.
func TestAPeerThatDoesNotConnectAgainIsLost(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Back = time.Nanosecond
	a, b := s.start("web1", 0, answering(echo)), s.start("web2", 0, answering(echo))
	meet(t, a, b)
	s.nats.Stop()
	b.Kill()
	s.nats.Start()
	eventually(t, "the first one to be back", func() bool { return a.Status().Reconnects > 0 })
	if _, err := a.Ask(t.Context(), b.Status().Epoch, []byte("?")); !errors.Is(err, moving.ErrLost) {
		t.Errorf("%v", err)
	}
}

// TestNobodyConcludesAnythingFromANodeThatCannotAsk: it hands over, or has begun anew, or who asked has gone.
func TestNobodyConcludesAnythingFromANodeThatCannotAsk(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*node, context.CancelFunc){
		"it hands over":     func(n *node, _ context.CancelFunc) { n.HandOver() },
		"it begins anew":    func(n *node, _ context.CancelFunc) { n.BeginAnew() },
		"who asked is gone": func(_ *node, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			asked := make(chan struct{}, 1000)
			hanging := func(ctx context.Context, _ []byte) ([]byte, error) {
				asked <- struct{}{}
				<-ctx.Done()
				return nil, ctx.Err()
			}
			a, b := s.start("web1", 0, answering(echo)), s.start("web2", 0, answering(hanging))
			meet(t, a, b)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				_, err := a.Ask(ctx, b.Status().Epoch, []byte("?"))
				failed <- err
			}()
			<-asked
			end(a, cancel)
			if err := <-failed; err == nil || errors.Is(err, moving.ErrLost) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestAPeerThatMovesAnswersInItsNextProcess: it is asked until it is back.
func TestAPeerThatMovesAnswersInItsNextProcess(t *testing.T) {
	t.Parallel()
	s := newService(t)
	asked := make(chan struct{}, 1000)
	a := s.start("web1", 0, answering(echo))
	b := s.start("web2", 0, answering(func(ctx context.Context, _ []byte) ([]byte, error) {
		asked <- struct{}{}
		<-ctx.Done() // HandOver does not wait for it
		return nil, ctx.Err()
	}))
	meet(t, a, b)
	eventually(t, "it to be live", func() bool { return b.Status().State == cluster.StateLive })
	answered := make(chan string, 1)
	go func() {
		answer, err := a.Ask(context.Background(), b.Status().Epoch, []byte("question"))
		if err != nil {
			t.Error(err)
		}
		answered <- string(answer)
	}()
	<-asked
	connected := make(chan struct{}, 1)
	next := s.start("web2", 0, func(o *cluster.Options) {
		o.Successor, o.Connected = true, func(*nats.Conn) { connected <- struct{}{} }
	}, answering(echo))
	<-connected // else it does not hear everything
	s.move(b, next)
	if got := <-answered; got != "question" {
		t.Errorf("answered %q", got)
	}
	if !next.Settled() {
		t.Error("the next process does not take sessions at once")
	}
}

func TestAConfirmationReachesAllWhoCanBeAsked(t *testing.T) {
	t.Parallel()
	s := newService(t)
	confirmed := make(chan string, 2)
	confirming := func(o *cluster.Options) { o.Confirmed = func(_ seal.Epoch, body []byte) { confirmed <- string(body) } }
	a, b := s.start("web1", 0, answering(echo)), s.start("web2", 0, answering(echo), confirming)
	c := s.start("web3", 0, answering(echo), confirming)
	meet(t, a, b, c)
	a.Confirm([]byte("session"))
	for range 2 {
		if got := <-confirmed; got != "session" {
			t.Errorf("confirmed %q", got)
		}
	}
}

// TestANodeTakesSessionsWhenNothingIsUnderWayThatItDoesNotGet.
func TestANodeTakesSessionsWhenNothingIsUnderWayThatItDoesNotGet(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.wait = 100 * time.Millisecond
	a := s.start("web1", 0, answering(echo))
	if a.Settled() {
		t.Error("it has just been started, and takes sessions")
	}
	eventually(t, "it to be settled", a.Settled)
	if st := a.Status().State; st != cluster.StateLive {
		t.Errorf("it is %s", st)
	}
	// One that is not live after a while is a reason no more, nor is NATS that is gone.
	s.nats.Stop()
	eventually(t, "it to be cut off", func() bool { return a.Status().State == cluster.StateCutOff })
	eventually(t, "it to be settled", a.Settled)
}

// TestWhatIsSaidOfSessionsIsNotPlayedAgain: somebody who sees all that goes through NATS sends it once more, to the
// node that it was for, to another one, and to the next process.
func TestWhatIsSaidOfSessionsIsNotPlayedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var asked, confirmed atomic.Int64
	counting := func(o *cluster.Options) {
		o.Answer = func(_ context.Context, _ seal.Epoch, question []byte) ([]byte, error) {
			asked.Add(1)
			return question, nil
		}
		o.Confirmed = func(seal.Epoch, []byte) { confirmed.Add(1) }
	}
	a, b, c := s.start("web1", 0, answering(echo)), s.start("web2", 0, counting), s.start("web3", 0, counting)
	meet(t, a, b, c)
	stranger, err := nats.Connect(s.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	recorded, err := stranger.SubscribeSync("pns4ones.main.n.*.o")
	if err != nil {
		t.Fatal(err)
	}
	stranger.Flush()
	if _, err := a.Ask(t.Context(), b.Status().Epoch, []byte("?")); err != nil {
		t.Fatal(err)
	}
	a.Confirm([]byte("!"))
	eventually(t, "both to be told", func() bool { return confirmed.Load() == 2 })
	before := asked.Load()
	dropped := func() (sum uint64) {
		for _, n := range []*node{b, c} {
			for _, count := range n.Stats().Dropped {
				sum += count
			}
		}
		return sum
	}
	was, played := dropped(), uint64(0)
	for {
		waiting, _, _ := recorded.Pending()
		if waiting == 0 {
			break
		}
		msg, err := recorded.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(msg.Subject, a.Status().Epoch.String()) {
			continue
		}
		for _, n := range []*node{b, c} {
			stranger.Publish("pns4ones.main.n."+n.Status().Epoch.String()+".o", msg.Data)
			played++
		}
	}
	eventually(t, "all of it to be dropped", func() bool { return dropped() >= was+played })
	if asked.Load() != before || confirmed.Load() != 2 {
		t.Errorf("%d questions and %d confirmations were taken", asked.Load(), confirmed.Load())
	}
}
