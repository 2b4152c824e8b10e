package hub_test

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// endingConn is closed by an administrator after all of a frame was written, before the hub
// knows of that.
type endingConn struct {
	*memoryConn
	end func()
}

func (c *endingConn) Write(b []byte) (int, error) {
	n, err := c.memoryConn.Write(b)
	c.end()
	return n, err
}

// oneConn is a listener that hands out one connection.
type oneConn struct {
	*memoryListener
	conn net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if conn := l.conn; conn != nil {
		l.conn = nil
		return conn, nil
	}
	return l.memoryListener.Accept()
}

// serveOne has a hub serve a single connection, until end is called.
func serveOne(s *service, conn net.Conn) (end func()) {
	ln := &oneConn{&memoryListener{closed: make(chan struct{})}, conn}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	return func() {
		ln.Close()
		<-served
	}
}

// TestAFrameThatWasWrittenAsItsSessionEndedIsDelivered: what is neither delivered nor lost
// would be missing from the books, and what is said of the session is what they say.
func TestAFrameThatWasWrittenAsItsSessionEndedIsDelivered(t *testing.T) {
	t.Parallel()
	var finished atomic.Int64
	said := make(chan hub.Session, 1)
	s := start(t, hub.Options{Latency: func(time.Duration) { finished.Add(1) }, Observe: func(e hub.Event) {
		if e.Kind == hub.SessionClosed {
			said <- e.Session
		}
	}})
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib"}, s.key)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	conn := &endingConn{memoryConn: &memoryConn{packet: packet, closed: closed, written: new(atomic.Int64)}}
	conn.end = func() {
		s.Walk(func(session *hub.Session) bool {
			s.CloseSession(session.ID, time.Time{})
			return true
		})
		eventually(t, "whoever reads knows of the end, too", func() bool {
			connections := 0
			s.Connections(func(uint64, net.Conn) { connections++ })
			return connections == 0
		})
	}
	defer serveOne(s, conn)()
	eventually(t, "the session is registered", func() bool { return s.Stats().Sessions == 1 })

	s.Publish(appID, toAll("ib"), topic("the last one"))
	eventually(t, "the message is finished", func() bool { return finished.Load() == 1 })
	if got := s.AppStats()[appID].Traffic; got != s.Stats().Traffic || got.Delivered != 1 ||
		got.DeliveredBytes != uint64(conn.written.Load()) {
		t.Errorf("%d bytes were written in a frame; counted: %+v, of the app %+v", conn.written.Load(), s.Stats().Traffic,
			got)
	}
	if s.Stats().Sessions != 0 {
		t.Error("the session has not ended")
	}
	if last := <-said; last.Delivered != 1 || last.Bytes != uint64(conn.written.Load()) {
		t.Errorf("of its end %d messages, %d bytes are said", last.Delivered, last.Bytes)
	}
}
