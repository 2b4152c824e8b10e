package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
)

// Conn is one side of a stream. Its methods may be called concurrently. It ends with Close,
// or by what the other side does; then what has come can still be read.
type Conn struct {
	streams *Streams
	key     key
	about   []byte

	writing sync.Mutex // held by Write

	mu      sync.Mutex
	changed sync.Cond    // of any of what follows
	in      bytes.Buffer // came and was not read
	got     uint64       // bytes that came
	read    uint64       // bytes that were read
	allowed uint64       // bytes that the other side may send, as it was told
	sent    uint64       // bytes that have left, or are about to
	left    uint64       // bytes that have left
	may     uint64       // bytes that this side may send
	heard   time.Time    // when anything came
	renewAt time.Time    // when the other side is to be told that this one is there
	closed  bool         // by this side
	failure error        // why nothing comes any more; nil: it may; io.EOF: it is over in order

	readBy, writeBy deadline
}

// deadline is until when calls wait; zero: as long as it takes.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func newConn(s *Streams, k key, about []byte) *Conn {
	now := time.Now()
	c := &Conn{streams: s, key: k, about: about, allowed: window, may: window, heard: now,
		renewAt: now.Add(renewFirst)}
	c.changed.L = &c.mu
	return c
}

// Peer is the node on the other side.
func (c *Conn) Peer() seal.Epoch { return c.key.peer }

// About is what was said when the stream was opened. It must not be changed.
func (c *Conn) About() []byte { return c.about }

// say sends a frame of this stream, and reports whether it leaves. The caller holds no lock
// but writing.
func (c *Conn) say(f frame) bool {
	f.id = id{c.key.opened, c.key.number}
	return c.streams.send(c.key.peer, f.encode())
}

// Read reads what has come. Its error is io.EOF when the other side has ended the stream in
// order, net.ErrClosed after Close, os.ErrDeadlineExceeded, or why the stream failed.
func (c *Conn) Read(p []byte) (int, error) {
	n, state, err := c.readSome(p)
	if state != nil {
		c.say(*state) // if it does not leave, the other side notices that nothing goes on
	}
	return n, err
}

// readSome is Read, and returns what the other side is to be told now; nil: nothing.
func (c *Conn) readSome(p []byte) (n int, state *frame, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, nil, net.ErrClosed
		case c.readBy.passed():
			return 0, nil, os.ErrDeadlineExceeded
		case c.in.Len() > 0:
			n, _ = c.in.Read(p)
			c.read += uint64(n)
			if c.failure == nil && c.allowed-c.read <= window/2 {
				state = c.stateFrame(frameState)
			}
			return n, state, nil
		case c.failure != nil:
			return 0, nil, c.failure
		}
		c.changed.Wait()
	}
}

// stateFrame is how far both sides are, and lets the other one write on. The caller holds mu.
func (c *Conn) stateFrame(kind kind) *frame {
	c.allowed = c.read + window
	return &frame{kind: kind, offset: c.left, may: c.allowed}
}

// Write has the bytes brought to the other side; it returns when the last of them are on
// their way. Errors are as of Read, io.ErrClosedPipe if the other side has ended the stream.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for len(p) > 0 || n == 0 {
		size, offset, err := c.reserve(len(p))
		if err != nil || size == 0 {
			return n, err
		}
		if !c.say(frame{kind: frameData, offset: offset, rest: p[:size]}) {
			c.fail(ErrNotSent)
			return n, ErrNotSent
		}
		c.mu.Lock()
		c.left = offset + uint64(size)
		c.mu.Unlock()
		n, p = n+size, p[size:]
	}
	return n, nil
}

// reserve waits until bytes may be written, and returns how many of those that there are,
// and which byte of the stream is their first.
func (c *Conn) reserve(bytes int) (size int, offset uint64, err error) {
	most := min(frameBytes, c.streams.most()-dataOverhead)
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, 0, net.ErrClosed
		case errors.Is(c.failure, io.EOF):
			return 0, 0, io.ErrClosedPipe
		case c.failure != nil:
			return 0, 0, c.failure
		case c.writeBy.passed():
			return 0, 0, os.ErrDeadlineExceeded
		case bytes == 0:
			return 0, 0, nil
		case c.may > c.sent:
			size = min(bytes, most, int(c.may-c.sent))
			offset = c.sent
			c.sent += uint64(size)
			return size, offset, nil
		}
		c.changed.Wait()
	}
}

// Close ends the stream. What was written before goes its way.
func (c *Conn) Close() error {
	c.mu.Lock()
	over, again := c.failure != nil, c.closed
	c.closed = true
	c.in = bytes.Buffer{}
	c.readBy.stop()
	c.writeBy.stop()
	end := frame{kind: frameEnd, offset: c.left}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.streams.remove(c)
	if !over && !again {
		c.say(end)
	}
	return nil
}

// fail ends the stream for this side alone.
func (c *Conn) fail(why error) {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = why
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	c.streams.remove(c)
}

// breakOff fails the stream on both sides.
func (c *Conn) breakOff(why error, told string) {
	c.mu.Lock()
	over := c.failure != nil || c.closed
	end := frame{kind: frameEnd, offset: c.left, rest: []byte(told)}
	c.mu.Unlock()
	c.fail(why)
	if !over {
		c.say(end)
	}
}

// take takes a frame of this stream.
func (c *Conn) take(f frame) {
	answer, told, why := c.takeFrame(f)
	switch {
	case why != nil && told != "":
		c.breakOff(why, told)
	case why != nil:
		c.fail(why)
	case answer != nil:
		c.say(*answer)
	}
}

// takeFrame notes what a frame says. It returns what is to be answered, nil being nothing, or
// why the stream is over, and what the other side is to be told of that if it does not know.
func (c *Conn) takeFrame(f frame) (answer *frame, told string, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil || c.closed {
		return nil, "", nil
	}
	c.heard = time.Now()
	defer c.changed.Broadcast()
	switch f.kind {
	case frameData:
		end := f.offset + uint64(len(f.rest))
		if f.offset != c.got {
			return nil, endLost, ErrLost
		}
		if end < f.offset || end > c.allowed {
			return nil, endOverflow, errors.New(endOverflow)
		}
		c.in.Write(f.rest)
		c.got = end
	case frameState, frameRenew:
		if f.offset > c.got {
			return nil, endLost, ErrLost
		}
		c.may = max(c.may, f.may)
		if f.kind == frameRenew {
			answer = c.stateFrame(frameState)
		}
	case frameEnd:
		if why := string(f.rest[:min(len(f.rest), maxReasonBytes)]); why != "" {
			return nil, "", errors.New(why)
		}
		if f.offset != c.got {
			return nil, "", ErrLost
		}
		return nil, "", io.EOF
	}
	return answer, "", nil
}

// look is what is done for the stream once a second.
func (c *Conn) look(now time.Time) {
	c.mu.Lock()
	silent := now.Sub(c.heard) >= silence
	var renewal *frame
	if c.key.opened && !silent && !now.Before(c.renewAt) && c.failure == nil {
		c.renewAt = now.Add(renewEvery)
		renewal = c.stateFrame(frameRenew)
	}
	c.mu.Unlock()
	if silent {
		c.breakOff(ErrSilent, endSilent)
	}
	if renewal != nil {
		c.say(*renewal)
	}
}

// LocalAddr and RemoteAddr are there for net.Conn and say nothing.
func (c *Conn) LocalAddr() net.Addr { return address{} }

// RemoteAddr says nothing: see Peer.
func (c *Conn) RemoteAddr() net.Addr { return address{} }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets until when Read waits, also one that waits already; zero: for ever.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, t) }

// SetWriteDeadline sets until when Write waits, also one that waits already; zero: for ever.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

func (c *Conn) setDeadline(d *deadline, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	d.stop()
	d.at, d.timer = t, nil
	if !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), c.wake)
	}
	c.changed.Broadcast()
	return nil
}

func (c *Conn) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed.Broadcast()
}
