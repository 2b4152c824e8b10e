package hub_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// crowd plays a schedule in which many sessions of all kinds share the memory of the queues.
type crowd struct {
	t      *testing.T
	random *rand.Rand
	limits hub.Limits
	keys   []hub.Key
	s      *service
	pipes  *unbuffered
	addins []*addin
	conns  []net.Conn
}

func newCrowd(t *testing.T, seed uint64) *crowd {
	c := &crowd{t: t, random: rand.New(rand.NewPCG(seed, 1)), limits: sizeBound(1 << 40)}
	c.limits.ResumeBytes = 4 << 10
	c.s, _ = open(t, hub.Options{Limits: c.limits})
	c.s.endsWith(t)
	c.keys = []hub.Key{{Generation: 1, Secret: c.s.key}}
	c.pipes = c.s.piped()
	return c
}

// say sends a packet on a connection, or on a new one, and waits a moment for what comes of it.
func (c *crowd) say(conn net.Conn, packet []byte) net.Conn {
	before := c.s.judged()
	if conn == nil {
		ours, theirs := net.Pipe()
		c.t.Cleanup(func() { ours.Close() })
		c.pipes.conns <- theirs
		c.conns = append(c.conns, ours)
		conn = ours
	}
	conn.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write(packet); err != nil {
		return conn // it was dropped before
	}
	for end := time.Now().Add(time.Second); c.s.judged() == before && time.Now().Before(end); {
		time.Sleep(10 * time.Microsecond)
	}
	return conn
}

func (c *crowd) user() string { return strconv.Itoa(c.random.IntN(6)) }

func (c *crowd) conn() net.Conn {
	if len(c.conns) == 0 {
		return nil
	}
	return c.conns[c.random.IntN(len(c.conns))]
}

func (c *crowd) addin() *addin {
	if len(c.addins) == 0 || c.random.IntN(4) == 0 {
		a := c.s.addin(c.user())
		a.key = c.keys[0].Secret
		c.addins = append(c.addins, a)
	}
	a := c.addins[c.random.IntN(len(c.addins))]
	a.s = c.s
	return a
}

func (c *crowd) handOver() {
	c.pipes.end()
	c.s.ln.Close()
	state := c.s.HandOver()
	if c.random.IntN(3) == 0 {
		c.s.TakeBack()
	} else {
		c.s, _ = successorWith(c.t, journey(c.t, state), c.limits, c.keys...)
		c.s.ln = c.pipes
	}
	c.pipes = c.s.piped()
}

func (c *crowd) step() {
	switch n := c.random.IntN(100); {
	case n < 12:
		who := wire.Registration{AppID: appID, IbID: "ib", UserID: c.user()}
		packet, err := wire.AppendRegistration(nil, who, c.keys[0].Secret)
		if err != nil {
			c.t.Fatal(err)
		}
		on := net.Conn(nil)
		if c.random.IntN(3) == 0 {
			on = c.conn() // which leaves who it was
		}
		c.say(on, packet)
	case n < 30:
		a := c.addin()
		if a.conn != nil && c.random.IntN(2) == 0 {
			a.conn.Close()
		}
		a.received += uint64(c.random.IntN(3))
		a.from = a.opened
		packet := a.packet(wire.ModeOpen)
		a.opened = a.turn
		a.conn = nil
		if c.random.IntN(6) == 0 {
			a.conn = c.conn()
		}
		a.conn = c.say(a.conn, packet)
	case n < 34:
		a := c.addin()
		c.say(a.conn, a.packet(wire.ModeAgain))
	case n < 36:
		a := c.addin()
		c.say(a.conn, a.packet(wire.ModeEnd))
	case n < 55:
		c.s.Publish(appID, toAll("ib"), filled(c.random.IntN(2000)))
	case n < 72:
		c.s.Publish(appID, toUser(c.user()), filled(c.random.IntN(4000)))
	case n < 82: // some bytes are read, or a frame, or more
		if conn := c.conn(); conn != nil {
			conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			conn.Read(make([]byte, c.random.IntN(3000)))
		}
	case n < 86:
		if conn := c.conn(); conn != nil {
			conn.Close()
		}
	case n < 92: // the bound is narrow for a moment
		c.limits.QueueMemory = 1 + c.s.Stats().QueueMemory.Bytes*int64(c.random.IntN(4))/3
		c.s.SetLimits(c.limits)
	case n < 94:
		c.limits.QueueMemory = 1 << 40
		c.s.SetLimits(c.limits)
	case n < 97:
		c.handOver()
	default:
		generation := c.keys[0].Generation + 1
		next := hub.Key{Generation: generation, Secret: clientKey(c.t, byte(generation))}
		c.keys = []hub.Key{next, c.keys[0]}
		c.s.SetApp(appID, c.keys)
	}
	if used := c.s.Stats().QueueMemory.Bytes; used < 0 {
		c.t.Fatalf("%d bytes are taken", used)
	}
}

// TestTheMemoryOfQueuesIsGivenBackWhateverHappens plays random schedules. When the sessions have
// ended nothing is taken any more, in none of the hubs that had them.
func TestTheMemoryOfQueuesIsGivenBackWhateverHappens(t *testing.T) {
	t.Parallel()
	for seed := range uint64(*schedules) {
		t.Run(fmt.Sprint(*firstSeed+seed), func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, *firstSeed+seed)
			for range 150 {
				c.step()
			}
			// It is kept within a bound that has become narrow, too.
			c.s.blocked()
			c.limits.QueueMemory = 20_000
			c.s.SetLimits(c.limits)
			eventually(t, "no more is taken than may be", func() bool { return c.s.Stats().QueueMemory.Bytes <= 20_000 })
			for _, conn := range c.conns {
				conn.Close()
			}
			c.limits.ResumeWindow, c.limits.PeerTimeout = time.Millisecond, time.Nanosecond
			c.s.SetLimits(c.limits)
			eventually(t, "nobody is there, and nothing is taken", func() bool {
				st := c.s.Stats()
				return st.Sessions == 0 && st.Detached == 0 && st.QueueMemory.Bytes == 0
			})
		})
	}
}
