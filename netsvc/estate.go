package netsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
)

// A server can leave its sockets and sessions to a server in another process. The
// 1C add-in never connects again by itself (protocol.md section 4.3): a restart that
// closed its connection would end the notifications of everybody until they restart
// 1C.
const (
	// Before it hands over, a server lets requests that have begun finish, and
	// queues drain, for no longer than this: 1C sessions wait meanwhile.
	handOverRequests = 500 * time.Millisecond
	handOverQueues   = 500 * time.Millisecond
)

// documentFormat is that of document; another one cannot be read.
const documentFormat = 1

// document is what goes with the descriptors of a hand-over: first those of the
// sockets, then those of the sessions.
type document struct {
	Format  int           `json:"format"`
	Version string        `json:"version"` // of the program that hands over
	Sockets []savedSocket `json:"sockets"`
	Hub     *hub.State    `json:"hub"`
}

// savedSocket is a socket that listens.
type savedSocket struct {
	Setting string `json:"setting"`
	Address string `json:"address"` // as the setting gave it
}

// Estate is what a server leaves: its listening sockets, and its sessions with all
// that waits to be written to them. It can be sent, or opened by Open in this process
// or another one, or closed. It is not for concurrent use.
type Estate struct {
	document document
	sockets  []syscall.Conn // one for each of document.Sockets; nil: used, or closed
	sessions []syscall.Conn
}

// Sessions is the number of connections of sessions, registered or not.
func (e *Estate) Sessions() int { return len(e.sessions) }

// Version is the version of the program that left it.
func (e *Estate) Version() string { return e.document.Version }

// Send hands all of it to whoever reads the other end. It stays open here, and can
// be sent again.
func (e *Estate) Send(to *net.UnixConn) error {
	left := e.document
	left.Sockets = nil
	var connections []syscall.Conn
	for i, socket := range e.sockets {
		if socket != nil {
			left.Sockets = append(left.Sockets, e.document.Sockets[i])
			connections = append(connections, socket)
		}
	}
	text, err := json.Marshal(left)
	if err != nil {
		return fmt.Errorf("handing over: %w", err)
	}
	return handover.Send(to, text, append(connections, e.sessions...))
}

// ReceiveEstate reads what a server has sent.
func ReceiveEstate(from *net.UnixConn) (*Estate, error) {
	text, files, err := handover.Receive(from)
	if err != nil {
		return nil, err
	}
	e := &Estate{}
	connections := make([]syscall.Conn, len(files))
	for i, f := range files {
		connections[i] = f
	}
	err = json.Unmarshal(text, &e.document)
	switch {
	case err != nil:
		err = fmt.Errorf("taking over: reading what is taken over: %w", err)
	case e.document.Format != documentFormat:
		err = fmt.Errorf("taking over: version %s hands over in format %d, this one reads %d", e.document.Version, e.document.Format, documentFormat)
	case e.document.Hub == nil || !e.document.Hub.Whole() || len(files) != len(e.document.Sockets)+len(e.document.Hub.Sessions):
		err = fmt.Errorf("taking over: %d descriptors do not fit what is said of them", len(files))
	}
	if err != nil {
		closeAll(connections)
		return nil, err
	}
	e.sockets, e.sessions = connections[:len(e.document.Sockets)], connections[len(e.document.Sockets):]
	return e, nil
}

// Close closes all that is left of it.
func (e *Estate) Close() {
	closeAll(e.sockets)
	closeAll(e.sessions)
	clear(e.sockets)
	e.sessions = nil
}

func closeAll(connections []syscall.Conn) {
	for _, c := range connections {
		if closer, ok := c.(interface{ Close() error }); ok {
			closer.Close()
		}
	}
}

// takeSockets returns the sockets that listened for the setting, if they can listen
// for the address. If they cannot they are closed, for the port may be wanted.
func (e *Estate) takeSockets(setting string, address config.Address) (sockets []net.Listener, err error) {
	for i, saved := range e.document.Sockets {
		if saved.Setting != setting || e.sockets[i] == nil {
			continue
		}
		if before, err := config.ParseAddress(saved.Address, address.Port); err != nil || !before.SameSocket(address) {
			closeAll(e.sockets[i : i+1])
			e.sockets[i] = nil
			continue
		}
		switch socket := e.sockets[i].(type) {
		case *os.File: // of another process; it stays open, in case that the estate has to be sent on
			ln, err := net.FileListener(socket)
			if err != nil {
				return nil, fmt.Errorf("taking over the socket of %s: %w", setting, err)
			}
			sockets = append(sockets, ln)
		case *net.TCPListener: // of this one
			socket.SetDeadline(time.Time{})
			sockets = append(sockets, socket)
			e.sockets[i] = nil
		}
	}
	return sockets, nil
}

// takeSessions returns the connections of the sessions. Those that the system does
// not give are nil.
func (e *Estate) takeSessions() []net.Conn {
	conns := make([]net.Conn, len(e.sessions))
	for i, c := range e.sessions {
		switch c := c.(type) {
		case *os.File: // of another process
			// An error means that the connection is gone.
			conns[i], _ = net.FileConn(c)
			c.Close()
		case net.Conn: // of this one
			conns[i] = c
		}
	}
	e.sessions = nil
	return conns
}

// KeepSessions has Run, when its context ends, keep sockets and sessions open
// instead of closing them: Left returns them.
func (s *Server) KeepSessions() { s.keepSessions.Store(true) }

// upgrade is Options.Upgrade, after which an earlier failure is of the past.
func (s *Server) upgrade() func(context.Context) (id string, err error) {
	if s.options.Upgrade == nil {
		return nil
	}
	return func(context.Context) (id string, err error) {
		if err = s.options.Upgrade(); err == nil {
			s.notUpgraded.Store(nil)
		}
		return "", err
	}
}

// Settings are those in force.
func (s *Server) Settings() config.Config { return *s.settings.Load() }

// Left is what Run has left, nil if that is nothing.
func (s *Server) Left() *Estate { return s.left }

// leave ends the services in the order in which a message passes them, without
// closing sockets and sessions.
func (s *Server) leave() {
	left := &Estate{document: document{Format: documentFormat, Version: s.options.Version}}
	detach := func(setting string, service *listen.Service, address config.Address) {
		for _, socket := range service.Detach() {
			left.document.Sockets = append(left.document.Sockets, savedSocket{setting, address.String()})
			left.sockets = append(left.sockets, socket)
		}
	}
	detach("listen", s.senders, s.options.Config.Listen)
	detach("service", s.sessions, s.options.Config.Service)
	if s.metrics != nil {
		detach("metrics_listen", s.metrics, *s.options.Config.MetricsListen)
	}
	s.accepting.Wait()

	requests, cancel := context.WithTimeout(context.Background(), handOverRequests)
	defer cancel()
	var ending sync.WaitGroup
	ending.Go(func() {
		if err := s.http.Finish(requests); err != nil {
			s.logger.Warn("requests were cut off at the hand-over", slog.Any("error", err))
		}
	})
	ending.Go(func() { s.control.Shutdown(requests) })
	ending.Wait()

	queues, cancel := context.WithTimeout(context.Background(), handOverQueues)
	defer cancel()
	s.hub.Drain(queues) // what is left is handed over
	state, conns := s.hub.HandOver()
	left.document.Hub = state
	for _, conn := range conns {
		left.sessions = append(left.sessions, conn.(syscall.Conn)) // they are all of TCP
	}
	s.left = left
}

// adopt goes on with what another server has left.
func (s *Server) adopt() {
	e := s.options.Inherited
	if e == nil {
		return
	}
	started := time.Now()
	kept, unregistered, closed := s.hub.Adopt(e.document.Hub, e.takeSessions())
	e.Close()
	s.logger.Info("sessions taken over", slog.Int("sessions", kept), slog.Int("unregistered", unregistered), slog.Int("closed", closed),
		slog.String("from_version", e.Version()), slog.Duration("took", time.Since(started).Round(time.Microsecond)))
	if closed > 0 {
		s.logger.Warn("sessions were closed at the hand-over: their key is no longer valid, or their connection is gone", slog.Int("sessions", closed))
	}
}
