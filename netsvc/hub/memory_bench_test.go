package hub_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// memoryListener hands out connections that have no kernel behind them: for what
// costs the hub itself, and for more sessions than there can be descriptors.
type memoryListener struct {
	packets func(number int) []byte
	count   int
	next    int
	closed  chan struct{}
	once    sync.Once
	written *atomic.Int64
}

func (l *memoryListener) Accept() (net.Conn, error) {
	if l.next == l.count {
		<-l.closed
		return nil, net.ErrClosed
	}
	l.next++
	return &memoryConn{packet: l.packets(l.next - 1), closed: make(chan struct{}), written: l.written}, nil
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "memory" }

// memoryConn says its packet and then nothing; what is written to it is counted.
type memoryConn struct {
	packet  []byte
	once    sync.Once
	closed  chan struct{}
	written *atomic.Int64
}

func (c *memoryConn) Read(b []byte) (int, error) {
	if len(c.packet) > 0 {
		n := copy(b, c.packet)
		if c.packet = c.packet[n:]; len(c.packet) == 0 {
			c.packet = nil
		}
		return n, nil
	}
	<-c.closed
	return 0, io.EOF
}

func (c *memoryConn) Write(b []byte) (int, error) {
	c.written.Add(int64(len(b)))
	return len(b), nil
}

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return memoryAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

// inMemory is a service with so many sessions, spread over infobases, and what each of them
// took: of the heap, and of the heap and stacks. What a session says of itself is attributes'
// to say; nil: nothing.
func inMemory(b *testing.B, sessions, infobases int, attributes func(number int) []wire.Attribute) (
	s *service, heapEach, bytesEach float64) {
	b.Helper()
	s = start(b, hub.Options{Limits: hub.Limits{MaxUnregistered: 1 << 30, RegistrationTimeout: time.Hour,
		PeerTimeout: time.Hour, ResumeWindow: time.Hour, ResumeBytes: 1 << 16, QueueMemory: 1 << 40, QueueBytes: 1 << 20,
		MaxSessionsPerUser: 1000}})
	heapBefore, before := memoryInUse()
	ln := &memoryListener{count: sessions, closed: make(chan struct{}), written: new(atomic.Int64),
		packets: func(number int) []byte {
			var said []wire.Attribute
			if attributes != nil {
				said = attributes(number)
			}
			packet, err := wire.AppendRegistration(nil, wire.Registration{
				AppID: appID, IbID: "ib" + strconv.Itoa(number%infobases), UserID: strconv.Itoa(number)}, s.key, said...)
			if err != nil {
				panic(err)
			}
			return packet
		}}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	b.Cleanup(func() {
		ln.Close()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	for s.Stats().Sessions < sessions {
		time.Sleep(time.Millisecond)
	}
	heap, inUse := memoryInUse()
	return s, float64(heap-heapBefore) / float64(sessions), float64(inUse-before) / float64(sessions)
}

// memoryInUse is what objects take, and what the system has given for them and for stacks.
func memoryInUse() (objects, inUse uint64) {
	runtime.GC()
	runtime.GC() // what the first one finalised
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapInuse + m.StackInuse
}

// BenchmarkLookup measures finding the recipients of a message: the way to one
// user, and to one who is not there, among sessions of some infobases. It must not
// depend on their numbers.
func BenchmarkLookup(b *testing.B) {
	for _, c := range []struct{ sessions, infobases int }{{1, 1}, {10_000, 1}, {10_000, 1000}} {
		s, _, _ := inMemory(b, c.sessions, c.infobases, nil)
		m := message()
		for _, user := range []string{"0", "nobody"} {
			b.Run(fmt.Sprintf("sessions=%d/infobases=%d/user=%s", c.sessions, c.infobases, user), func(b *testing.B) {
				to := wire.Recipient{Type: wire.ToUser, IbID: "ib0", UserID: user}
				b.ReportAllocs()
				for b.Loop() {
					s.Publish(appID, to, m)
				}
			})
		}
	}
}

// BenchmarkMillion simulates what cannot be had here with sockets. B/session is
// heap and stacks, without buffers of the kernel, and with a goroutine for each
// session, which one with a descriptor does not have while it is silent. -short
// leaves it out: a million sessions take several gigabytes.
func BenchmarkMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("takes gigabytes")
	}
	for _, sessions := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			began := time.Now()
			s, _, bytesEach := inMemory(b, sessions, 1, nil)
			registrations := float64(sessions) / time.Since(began).Seconds()
			m := message()
			done := s.Delivered()
			for b.Loop() {
				s.Publish(appID, toAll("ib0"), m)
				done += uint64(sessions)
				s.waitDelivered(done)
			}
			b.ReportMetric(registrations, "registrations/s")
			b.ReportMetric(bytesEach, "B/session")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sessions), "ns/delivery")
		})
	}
}

// BenchmarkIdle measures what a session that is silent takes of the heap, one that says nothing of
// itself, as the released add-ins do, and one that says all and is remembered. It is without the
// connection, which here is none, and then says how long a message to all takes.
func BenchmarkIdle(b *testing.B) {
	const sessions = 10_000
	// Each has a goroutine here, whose descriptor is on the heap, and used again.
	var all, some sync.WaitGroup
	some.Add(sessions)
	for range sessions {
		all.Go(func() {
			some.Done()
			some.Wait()
		})
	}
	all.Wait()
	for _, c := range []struct {
		name       string
		attributes func(number int) []wire.Attribute
	}{{"plain", nil}, {"remembered", likeANewAddin}} {
		b.Run(c.name, func(b *testing.B) {
			s, heapEach, _ := inMemory(b, sessions, 1, c.attributes)
			m := message()
			done := s.Delivered()
			b.ReportAllocs()
			for b.Loop() {
				s.Publish(appID, toAll("ib0"), m)
				done += sessions
				s.waitDelivered(done)
			}
			b.ReportMetric(heapEach, "heap-B/session")
		})
	}
}

// likeANewAddin is what a newer add-in says of itself.
func likeANewAddin(number int) []wire.Attribute {
	text := strconv.Itoa(number)
	said := wire.Attributes{
		Session: wire.NewSessionID(), Turn: 1, Groups: []string{"group-" + strconv.Itoa(number%20)},
		User: "Иванов Иван Иванович " + text, Ib: "Управление торговлей", Host: "ws-" + text,
		Agent: "pns4ones-addin/2.0.0 windows-x86_64",
	}
	return said.List()
}
