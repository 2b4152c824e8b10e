package cluster_test

import (
	"fmt"
	"slices"
	"strings"
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
	for _, subject := range []string{"a", "i"} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.time.Ask = 5 * time.Millisecond
			stranger := s.record()
			a, b, c := s.start("web1", 1), s.start("web2", 5), s.start("web3", 0)
			meet(t, a, b, c)
			goOn := b.stall()
			defer goOn()
			first := make(chan cluster.Delivery, 1)
			go func() { first <- c.Publish(appID, toAll, []byte("the first of web3")) }()
			ofC := "n." + c.Status().Epoch.String() + ".a"
			toA := "pns4ones.main.n." + a.Status().Epoch.String() + ".a"
			if subject == "i" {
				ofC = "i." + c.Status().Epoch.String() + "." + b.Status().Epoch.String()
				toA = "pns4ones.main.i." + a.Status().Epoch.String() + "." + b.Status().Epoch.String()
				stranger.to(t, ofC, 1)
			}
			goOn()
			if d := <-first; d.Sessions != 6 {
				t.Fatalf("the first message: %+v", d)
			}
			if subject == "i" { // asked again, it tells what became of the first
				question := stranger.to(t, "n."+b.Status().Epoch.String()+".q", 1)[0]
				if err := stranger.conn.PublishRequest(question.Subject, question.Reply, question.Data); err != nil {
					t.Fatal(err)
				}
				if err := stranger.conn.FlushTimeout(patience); err != nil {
					t.Fatal(err)
				}
			}
			goOn = b.stall()
			defer goOn()
			second := make(chan cluster.Delivery, 1)
			toUser := toAll
			toUser.Type, toUser.UserID = wire.ToUser, "somebody"
			go func() { second <- a.Publish(appID, toUser, []byte("the first of web1")) }()
			eventually(t, "it to be queued here", func() bool { return len(a.received()) == 2 })
			for _, m := range stranger.to(t, ofC, 1) {
				stranger.send(t, toA, m.Data)
			}
			if err := stranger.conn.FlushTimeout(patience); err != nil {
				t.Fatal(err)
			}
			goOn()
			if d := <-second; d.Sessions != 2 || d.Unconfirmed != nil {
				t.Errorf("with confirmations of other messages %+v, want 2 sessions", d)
			}
		})
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
		if err := stranger.conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
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
