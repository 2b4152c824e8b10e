package cluster_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// to returns what was recorded on the subjects with such an end, once there are so many.
func (r *recording) to(t testing.TB, end string, count int) (found []*nats.Msg) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d envelopes to %s", count, end), func() bool {
		found = slices.DeleteFunc(r.taken(), func(m *nats.Msg) bool { return !strings.HasSuffix(m.Subject, end) })
		return len(found) >= count
	})
	return found
}

// What a node has confirmed to one of its peers it has not confirmed to another, whose
// message has the same number.
func TestAConfirmationForAnotherNodeConfirmsNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	a, b, c := s.start("web1", 1), s.start("web2", 5), s.start("web3", 0)
	meet(t, a, b, c)
	if d := c.Publish(appID, toAll, []byte("the first of web3")); d.Sessions != 6 {
		t.Fatalf("the first message: %+v", d)
	}
	goOn := b.stall()
	defer goOn()
	second := make(chan cluster.Delivery, 1)
	toUser := toAll
	toUser.Type, toUser.UserID = wire.ToUser, "somebody"
	go func() { second <- a.Publish(appID, toUser, []byte("the first of web1")) }()
	eventually(t, "it to be queued here", func() bool { return len(a.received()) == 2 })
	for _, m := range stranger.to(t, "n."+c.Status().Epoch.String()+".a", 1) {
		stranger.send(t, "pns4ones.main.n."+a.Status().Epoch.String()+".a", m.Data)
	}
	stranger.flush(t)
	goOn()
	if d := <-second; d.Sessions != 2 || d.Unconfirmed != nil {
		t.Errorf("with confirmations of other messages %+v, want 2 sessions", d)
	}
}

// A question that is played again, to whom it was for or to another, is not answered.
func TestAQuestionIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Ask = 5 * time.Millisecond
	stranger := s.record()
	a, b, c := s.start("web1", 1), s.start("web2", 2), s.start("web3", 0)
	meet(t, a, b, c)
	goOn := b.stall()
	defer goOn()
	delivered := make(chan cluster.Delivery, 1)
	go func() { delivered <- a.Publish(appID, toAll, []byte("{}")) }()
	ofB, ofC := "n."+b.Status().Epoch.String()+".q", "n."+c.Status().Epoch.String()+".q"
	question := stranger.to(t, ofB, 1)[0]
	goOn()
	<-delivered
	before := [2]map[string]uint64{b.Stats().Dropped, c.Stats().Dropped}
	for _, subject := range []string{ofB, ofC} {
		if err := stranger.conn.PublishRequest("pns4ones.main."+subject, question.Reply, question.Data); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "it to be dropped", func() bool {
		return b.Stats().Dropped["seen"] > before[0]["seen"] && c.Stats().Dropped["forged"] > before[1]["forged"]
	})
}

// Confirmations that are played again are no sign of life.
func TestASilentPeerStaysSilentWhateverIsPlayedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Beat, s.time.Ask, s.time.Lost = time.Hour, patience, time.Hour
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	a.Publish(appID, toAll, []byte("{}"))
	confirmations := stranger.to(t, "n."+a.Status().Epoch.String()+".a", 1)
	goOn := b.stall()
	defer goOn()
	a.SetWait(100 * time.Millisecond)
	eventually(t, "it to be silent", func() bool {
		a.Publish(appID, toAll, []byte("{}"))
		return a.count(cluster.PeerSilent) == 1
	})
	seen := a.Stats().Dropped["seen"]
	for _, m := range confirmations {
		stranger.send(t, m.Subject, m.Data)
	}
	eventually(t, "them to be dropped", func() bool { return a.Stats().Dropped["seen"] > seen })
	if got := a.states(); got != "web2 silent" {
		t.Errorf("afterwards %s", got)
	}
}

// After its memory was set back a node cannot tell what of a peer is played again.
func TestANodeThatBeginsAnewKnowsNobody(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Beat = time.Hour
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	b.Kill()
	a.BeginAnew()
	for _, m := range stranger.taken() {
		stranger.send(t, m.Subject, m.Data)
	}
	stranger.flush(t)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("%+v, want 1 session without web2", d)
	}
	if got := a.states(); got != "web2 lost" {
		t.Errorf("known: %s", got)
	}
}

// The clock is looked at before anything is sealed: a number that was given before the
// memory was set back must not be given to something else.
func TestNothingIsSealedAfterAJumpOfTheClock(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Lost = 3 * time.Second // the stranger hears questions, so NATS does not say that nobody does
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	before := a.Status().Epoch
	a.Jump(time.Minute)
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("%+v, want 1 session without web2", d)
	}
	eventually(t, "it to be taken in as another", func() bool {
		return a.Publish(appID, toAll, []byte("later")).Sessions == 3
	})
	for _, m := range stranger.to(t, ".main.m", 1) {
		if head, err := seal.ReadHead(m.Data); err != nil || head.Epoch == before {
			t.Errorf("message %d was sealed in the epoch before (%v)", head.Number, err)
		}
	}
}

// A log that stands still holds up nobody.
func TestNobodyWaitsForTheLog(t *testing.T) {
	t.Parallel()
	s := newService(t)
	written, goOn := make(chan struct{}, 1000), make(chan struct{})
	a, b := s.start("web1", 1, func(o *cluster.Options) {
		o.Logger = slog.New(stuckLog{o.Logger.Handler(), written, goOn})
	}), s.start("web2", 2)
	t.Cleanup(func() { close(goOn) }) // before a is closed
	meet(t, a, b)
	<-written
	b.Kill()
	if d := a.Publish(appID, toAll, []byte("{}")); d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("%+v, want 1 session without web2", d)
	}
	if got := a.states(); got != "web2 lost" {
		t.Errorf("known: %s", got)
	}
}

// stuckLog stands still at what it is told of other nodes.
type stuckLog struct {
	slog.Handler
	written chan<- struct{}
	goOn    <-chan struct{}
}

func (h stuckLog) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "node ") {
		h.written <- struct{}{}
		<-h.goOn
	}
	return h.Handler.Handle(ctx, r)
}

// Whoever reads the subscriptions while the node begins anew: -race tells.
func TestANodeMayBeginAnewAsItCloses(t *testing.T) {
	t.Parallel()
	s := newService(t)
	subscriptions := s.nats.Running().NumSubscriptions()
	for range 5 {
		a := s.start("web1", 1)
		var both sync.WaitGroup
		both.Go(a.BeginAnew)
		both.Go(a.Close)
		both.Wait()
		eventually(t, "its subscriptions to end", func() bool {
			return s.nats.Running().NumSubscriptions() == subscriptions
		})
	}
}

// A server that takes a connection and says nothing holds up no start.
func TestStartWaitsForNoServer(t *testing.T) {
	t.Parallel()
	s := newService(t)
	hold := make(chan struct{})
	way := newHeldProxy(t, s.nats.URL(), hold)
	started := s.start("web1", 1, func(o *cluster.Options) { o.NATS.Servers = []string{way.url()} })
	close(hold)
	eventually(t, "the connection", func() bool { return started.Status().Server != "" })
	if accepted := way.accepted.Load(); accepted != 1 {
		t.Errorf("it gave up %d connections first", accepted-1)
	}
}

// A part that comes twice says nothing of those that are still on their way.
func TestAPartThatComesTwiceIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Ask = patience
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	if err := b.Deafen(); err != nil {
		t.Fatal(err)
	}
	delivered := make(chan cluster.Delivery, 1)
	go func() { delivered <- a.Publish(appID, toAll, make([]byte, 1100<<10)) }()
	parts := stranger.to(t, ".main.m", 3)
	for _, i := range []int{0, 0, 1, 0, 1, 2} {
		stranger.send(t, "pns4ones.main.n."+b.Status().Epoch.String()+".m", parts[i].Data)
	}
	if d := <-delivered; d.Sessions != 3 || len(b.received()) != 1 {
		t.Errorf("%+v, %d messages arrived", d, len(b.received()))
	}
	if again := a.Stats().SentAgain; again != 0 {
		t.Errorf("%d parts were sent again", again)
	}
}

func TestWhatIsUnderWayWhenANodeBeginsAnewIsNotAwaited(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.wait = time.Hour
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	goOn := b.stall()
	defer goOn()
	delivered := make(chan cluster.Delivery, 1)
	go func() { delivered <- a.Publish(appID, toAll, []byte("of the old epoch")) }()
	eventually(t, "it to be queued here", func() bool { return len(a.received()) == 1 })
	a.BeginAnew()
	var d cluster.Delivery
	eventually(t, "the answer", func() bool {
		select {
		case d = <-delivered:
			return true
		default:
			return false
		}
	})
	if d.Sessions != 1 || !slices.Equal(d.Unconfirmed, []string{"web2"}) {
		t.Errorf("%+v, want 1 session without web2", d)
	}
}

func TestATokenInTheAddressIsNotShown(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.nats = natstest.Start(t, func(o *server.Options) { o.Authorization = "Top-Secret" })
	a := s.start("web1", 1, func(o *cluster.Options) {
		o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//Top-Secret@", 1)}
	})
	eventually(t, "the connection", func() bool { return a.Status().Server != "" })
	for _, text := range []string{a.Status().Server, a.log.String()} {
		if strings.Contains(text, "Secret") {
			t.Errorf("the token is shown: %s", text)
		}
	}
}

// A comma separates servers for nats.go, but not in a password.
func TestAPasswordMayHaveAComma(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.nats = natstest.Start(t, func(o *server.Options) { o.Username, o.Password = "pns", "Top,Secret" })
	a := s.start("web1", 1, func(o *cluster.Options) {
		o.NATS.Servers = []string{strings.Replace(s.nats.URL(), "//", "//pns:Top,Secret@", 1)}
	})
	eventually(t, "the connection", func() bool { return a.Status().Server == s.nats.URL() })
}

func TestAWordThatIsPlayedAgainIsNotHeardTwice(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	told := make(chan string, 10)
	a, b := s.start("web1", 1), s.start("web2", 2, func(o *cluster.Options) {
		o.Told = func(_ cluster.Peer, _ seal.Kind, body []byte) { told <- string(body) }
	})
	meet(t, a, b)
	for _, to := range []seal.Epoch{{}, b.Status().Epoch} {
		a.Tell(to, seal.KindChanged, []byte("first"))
		if got := <-told; got != "first" {
			t.Fatalf("told %q", got)
		}
		for _, m := range stranger.taken() {
			stranger.send(t, m.Subject, m.Data)
		}
		stranger.flush(t)
		a.Tell(to, seal.KindChanged, []byte("second"))
		if got := <-told; got != "second" {
			t.Errorf("told %q again", got)
		}
	}
}

func TestPeersAreToldOfAnotherWaitAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.time.Beat = time.Hour
	a, b := s.start("web1", 1), s.start("web2", 2)
	meet(t, a, b)
	a.SetWait(time.Minute)
	eventually(t, "the other to be told of the wait", func() bool {
		return b.Status().Peers[0].Wait == time.Minute
	})
}
