package cluster_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
)

// echo has a node send back what comes through each stream, until the end of the test. It
// returns how many streams were opened.
func (n *node) echo(t testing.TB) *atomic.Int64 {
	opened := new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, _, _, err := n.Accept(t.Context())
			if err != nil {
				return
			}
			opened.Add(1)
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	t.Cleanup(func() {
		n.Close()
		<-done
	})
	return opened
}

// say sends text to a node and waits until it is back.
func (n *node) say(t testing.TB, to string, text []byte) {
	t.Helper()
	c, err := n.Dial(to, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sayThrough(t, c, text)
}

func sayThrough(t testing.TB, c net.Conn, text []byte) {
	t.Helper()
	go c.Write(text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%d bytes did not come back: %v", len(text), err)
	}
}

func TestAStreamGoesToTheNodeOfThatName(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b, c := s.start("web1", 1), s.start("web2", 1), s.start("web3", 1)
	meet(t, a, b, c)
	c.echo(t)
	dialled, err := a.Dial("web2", []byte("who asks"))
	if err != nil {
		t.Fatal(err)
	}
	defer dialled.Close()
	accepted, node, about, err := b.Accept(t.Context())
	if err != nil || node != "web1" || string(about) != "who asks" {
		t.Fatalf("accepted from %q, who says %q: %v", node, about, err)
	}
	go func() {
		defer accepted.Close()
		io.Copy(accepted, accepted)
	}()
	sayThrough(t, dialled, make([]byte, 3<<20))
	a.say(t, "web3", []byte("another one meanwhile"))
}

func TestANodeThatCannotBeDialledIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b, c := s.start("web1", 1), s.start("web2", 1), s.start("web3", 1)
	meet(t, a, b, c)
	refused := func(to string, want error) {
		t.Helper()
		if _, err := a.Dial(to, nil); !errors.Is(err, want) {
			t.Errorf("dialling %s: %v, want %v", to, err, want)
		}
	}
	refused("web9", cluster.ErrNoNode)
	left, err := a.Dial("web2", nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := left.Read(make([]byte, 1)); err == nil {
		t.Error("a stream outlives its node")
	}
	eventually(t, "the goodbye", func() bool { return len(a.Status().Peers) == 1 })
	refused("web2", cluster.ErrNoNode)
	// A killed one is not waited for until it is silent for long: NATS knows of nobody there.
	killed, err := a.Dial("web3", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Kill()
	for range 2 {
		if again, err := a.Dial("web3", nil); err == nil {
			defer again.Close()
		}
	}
	if _, err := killed.Read(make([]byte, 1)); !errors.Is(err, cluster.ErrNodeLost) {
		t.Errorf("a stream with a killed node: %v", err)
	}
	refused("web3", cluster.ErrNodeLost)
	s.nats.Stop()
	eventually(t, "the disconnection", func() bool { return a.Status().State == cluster.StateCutOff })
	refused("web3", cluster.ErrNodeLost)
}

func TestWithoutNATSNobodyIsDialled(t *testing.T) {
	t.Parallel()
	s := newService(t)
	a, b := s.start("web1", 1), s.start("web2", 1)
	meet(t, a, b)
	b.echo(t)
	c, err := a.Dial("web2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sayThrough(t, c, []byte("before"))
	s.nats.Stop()
	eventually(t, "the disconnection", func() bool { return a.Status().State == cluster.StateCutOff })
	if _, err := a.Dial("web2", nil); !errors.Is(err, cluster.ErrCutOff) {
		t.Errorf("dialled: %v", err)
	}
	if _, err := c.Write([]byte("meanwhile")); err == nil {
		t.Error("something is written without NATS")
	}
	s.nats.Start()
	meet(t, a, b)
	eventually(t, "it to work again", func() bool {
		c, err := a.Dial("web2", nil)
		if err != nil {
			return false
		}
		defer c.Close()
		go c.Write([]byte("x"))
		_, err = c.Read(make([]byte, 1))
		return err == nil
	})
}

// What was recorded opens no second stream and changes none, wherever and however often it
// is played again: nothing that was asked for once is done twice.
func TestFramesThatArePlayedAgainDoNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	a, b, c := s.start("web1", 1), s.start("web2", 1), s.start("web3", 1)
	meet(t, a, b, c)
	atB, atC := b.echo(t), c.echo(t)
	long, err := a.Dial("web2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	sayThrough(t, long, []byte("first"))
	a.say(t, "web2", make([]byte, 300<<10))
	recorded := stranger.to(t, b.Status().Epoch.String()+".s", 8) // two open, six carry data
	recorded = append(recorded, stranger.to(t, a.Status().Epoch.String()+".s", 6)...)

	replay := func() {
		t.Helper()
		for _, m := range recorded {
			for _, n := range []*node{a, b, c} {
				stranger.send(t, "pns4ones.main.n."+n.Status().Epoch.String()+".s", m.Data)
			}
		}
		if err := stranger.conn.FlushTimeout(patience); err != nil {
			t.Fatal(err)
		}
	}
	replay()
	sayThrough(t, long, []byte("second"))
	a.say(t, "web3", []byte("to another one"))
	if atB.Load() != 2 || atC.Load() != 1 {
		t.Errorf("%d and %d streams were opened, want 2 and 1", atB.Load(), atC.Load())
	}
	if dropped := b.Stats().Dropped; dropped["seen"] < 8 {
		t.Errorf("dropped %v, want what was seen", dropped)
	}
	if dropped := c.Stats().Dropped; dropped["forged"] < 8 {
		t.Errorf("dropped %v, want what was for another one", dropped)
	}
	// In its next life the node does not take what was for the one before.
	stranger.conn.Close() // NATS is to know that nobody listens for the old epoch
	stranger = s.stranger()
	b.BeginAnew()
	meet(t, a, b, c)
	before := b.Stats().Dropped["forged"]
	replay()
	a.say(t, "web2", []byte("in its next life"))
	if got := b.Stats().Dropped["forged"] - before; got < 8 {
		t.Errorf("%d frames of the life before were dropped", got)
	}
	if got := atB.Load(); got != 3 {
		t.Errorf("%d streams were opened", got)
	}
}

func TestFramesThatAreForgedDoNothing(t *testing.T) {
	t.Parallel()
	s := newService(t)
	stranger := s.record()
	a, b := s.start("web1", 1), s.start("web2", 1)
	meet(t, a, b)
	opened := b.echo(t)
	c, err := a.Dial("web2", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sayThrough(t, c, []byte("first"))
	subject := "pns4ones.main.n." + b.Status().Epoch.String() + ".s"
	for _, m := range stranger.to(t, b.Status().Epoch.String()+".s", 2) {
		for i := range m.Data {
			changed := bytes.Clone(m.Data)
			changed[i] ^= 1
			stranger.send(t, subject, changed)
			stranger.send(t, subject, m.Data[:i])
		}
	}
	// A flood of what claims to be of a peer, and of what is nothing.
	head := stranger.to(t, b.Status().Epoch.String()+".s", 1)[0].Data[:24]
	for range 20_000 {
		stranger.send(t, subject, append(bytes.Clone(head), make([]byte, 300)...))
		stranger.send(t, subject, []byte("pns4ones"))
	}
	if err := stranger.conn.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the flood to be dropped", func() bool {
		return b.Stats().Dropped["forged"]+b.Missed() > 40_000 // else what is said next may be missed, too
	})
	a.say(t, "web2", []byte("another stream"))
	if got := opened.Load(); got != 2 {
		t.Errorf("%d streams were opened, want 2", got)
	}
}

// Not parallel: it counts the goroutines of the process.
func TestNoGoroutineIsLeftOfStreams(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("nodes", func(t *testing.T) {
		s := newService(t)
		a, b := s.start("web1", 1), s.start("web2", 2)
		meet(t, a, b)
		b.echo(t)
		a.say(t, "web2", make([]byte, 1<<20))
		left, err := a.Dial("web2", nil)
		if err != nil {
			t.Fatal(err)
		}
		sayThrough(t, left, []byte("it is not closed"))
	})
	eventually(t, "their goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
