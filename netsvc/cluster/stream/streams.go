package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

const (
	// window is how many bytes a side keeps that were not read.
	window = 128 << 10
	// MaxOpened and MaxAccepted bound the streams of a node: with them and the window the
	// memory that other nodes can have it keep is bounded to 32 MiB.
	MaxOpened, MaxAccepted = 128, 128
	// MaxAboutBytes bounds what is said about who asks.
	MaxAboutBytes = 1 << 10

	renewFirst = time.Second // what was lost at the beginning is noticed soon
	renewEvery = 5 * time.Second
	silence    = 15 * time.Second
	lookEvery  = time.Second
)

// Why a stream fails, besides what the other side says.
var (
	ErrTooMany = errors.New("too many requests to other nodes are under way")
	ErrNotSent = errors.New("the connection between the nodes takes nothing")
	ErrLost    = errors.New("something was lost on the way between the nodes")
	ErrSilent  = fmt.Errorf("nothing was heard of the other node for %v", silence)
)

// The reasons that one side tells the other.
const (
	endUnknown  = "the node knows of no such request, or no more"
	endTooMany  = "too many requests of other nodes are under way there"
	endLost     = "something was lost on the way between the nodes"
	endSilent   = "the node has heard nothing for too long"
	endOverflow = "more was sent than was allowed"
)

// Streams are those of one node, with all others. Its methods may be called concurrently.
// End it with Close.
type Streams struct {
	send func(to seal.Epoch, frame []byte) bool
	most func() int

	mu      sync.Mutex
	conns   map[key]*Conn
	last    uint64 // the number of the last that was opened here
	opened  int    // of conns
	closed  bool
	accepts chan *Conn // never full: it has room for all that may be there

	ending chan struct{}
	keeper sync.WaitGroup
}

// key names a stream here.
type key struct {
	peer   seal.Epoch
	opened bool // by this node
	number uint64
}

// New returns a node without streams. send has a frame brought to another node, in the order
// of the calls, and reports false if it will not be; it is called without any lock, and must
// return soon. most is the size in bytes of the largest frame that it takes.
func New(send func(to seal.Epoch, frame []byte) bool, most func() int) *Streams {
	s := &Streams{send: send, most: most, conns: make(map[key]*Conn), accepts: make(chan *Conn, MaxAccepted),
		ending: make(chan struct{})}
	s.keeper.Go(s.keep)
	return s
}

// Open opens a stream to another node, to which about is said, of MaxAboutBytes at most.
// Errors are ErrTooMany, ErrNotSent and net.ErrClosed.
func (s *Streams) Open(to seal.Epoch, about []byte) (*Conn, error) {
	s.mu.Lock()
	if s.closed || s.opened >= MaxOpened {
		defer s.mu.Unlock()
		if s.closed {
			return nil, net.ErrClosed
		}
		return nil, ErrTooMany
	}
	s.last++
	c := newConn(s, key{to, true, s.last}, about)
	s.conns[c.key] = c
	s.opened++
	s.mu.Unlock()
	if !c.say(frame{kind: frameOpen, rest: about}) {
		c.fail(ErrNotSent)
		return nil, ErrNotSent
	}
	return c, nil
}

// Accept returns the next stream that another node has opened. Its error is net.ErrClosed
// after Close and when ctx ends.
func (s *Streams) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-s.accepts:
		return c, nil
	case <-s.ending:
	case <-ctx.Done():
	}
	return nil, net.ErrClosed
}

// Close ends all streams and returns when nothing runs here any more.
func (s *Streams) Close() {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return
	}
	close(s.ending)
	s.keeper.Wait()
	for _, c := range s.all() {
		c.Close()
	}
}

// Lose fails all streams with a node, of which it is known why it cannot be reached.
func (s *Streams) Lose(peer seal.Epoch, why error) {
	for _, c := range s.all() {
		if c.key.peer == peer {
			c.fail(why)
		}
	}
}

// LoseAll fails all streams.
func (s *Streams) LoseAll(why error) {
	for _, c := range s.all() {
		c.fail(why)
	}
}

func (s *Streams) all() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	return all
}

// remove forgets a stream that is over.
func (s *Streams) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns[c.key] != c {
		return
	}
	delete(s.conns, c.key)
	if c.key.opened {
		s.opened--
	}
}

// keep renews streams and gives up those of which nothing is heard.
func (s *Streams) keep() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ending:
			return
		case now := <-tick.C:
			for _, c := range s.all() {
				c.look(now)
			}
		}
	}
}

// Receive takes a frame that another node has sent, and does not keep it. It returns soon.
func (s *Streams) Receive(from seal.Epoch, b []byte) {
	f, ok := parse(b)
	if !ok {
		return // of a later release, perhaps: what it belongs to fails, for something is lost
	}
	k := key{from, !f.id.opened, f.id.number}
	if f.kind == frameOpen {
		s.accept(k, f.rest)
		return
	}
	s.mu.Lock()
	c := s.conns[k]
	s.mu.Unlock()
	if c != nil {
		c.take(f)
	} else if f.kind != frameEnd {
		s.refuse(k, endUnknown)
	}
}

// accept enters a stream that another node opens.
func (s *Streams) accept(k key, about []byte) {
	if k.opened || len(about) > MaxAboutBytes {
		return
	}
	s.mu.Lock()
	known := s.conns[k] != nil
	room := !s.closed && len(s.conns)-s.opened < MaxAccepted && len(s.accepts) < cap(s.accepts)
	if !known && room {
		c := newConn(s, k, append([]byte(nil), about...))
		s.conns[k] = c
		s.accepts <- c
	}
	s.mu.Unlock()
	if !known && !room {
		s.refuse(k, endTooMany)
	}
}

// refuse tells the other side that there is no such stream here.
func (s *Streams) refuse(k key, why string) {
	f := frame{kind: frameEnd, id: id{k.opened, k.number}, rest: []byte(why)}
	s.send(k.peer, f.encode())
}

// address is that of either side: they have none that would mean anything here.
type address struct{}

func (address) Network() string { return "cluster" }
func (address) String() string  { return "cluster" }
