// Package listen opens the daemon's TCP listeners: it turns an address of the
// settings into sockets, closes peers from outside an allowed network, and gets
// past a shortage of file descriptors without spinning.
//
// netsvc opens both services with it; the services themselves see plain
// net.Listeners whose Accept fails only when they are closed.
package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/internal/failurelog"
)

// Options are what the listeners of one address share.
type Options struct {
	// Service names the listener in log records: the name of its setting.
	Service string
	// Exhausted is called when the process is out of file descriptors. It frees
	// one if it can, and reports whether it did.
	Exhausted func() bool
	// Patience is how long to wait for a port that is that of an outgoing connection:
	// the default ports lie in the range from which Linux takes those, so any program
	// may hold one for a while. A port that somebody listens on is not waited for.
	Patience time.Duration
	Logger   *slog.Logger
}

// Service is an address that is being listened on, by one socket or several
// (localhost is two). Create it with Open; its methods may be called
// concurrently.
type Service struct {
	options    Options
	address    config.Address
	network    atomic.Pointer[netip.Prefix]
	rejected   *failurelog.Log
	rejects    atomic.Uint64
	complained seldom
	sockets    []net.Listener

	mu   sync.Mutex
	turn *turn // of accepting; the last one, if it is over
}

// turn is a time of accepting, from Open, Adopt or Resume to Detach or Close.
type turn struct{ over chan struct{} }

func newTurn() *turn { return &turn{over: make(chan struct{})} }

func (t *turn) isOver() bool {
	select {
	case <-t.over:
		return true
	default:
		return false
	}
}

// Open listens on the address. If one of its sockets cannot be opened, none is.
// An error wraps that of the system (syscall.EADDRINUSE and the like).
func Open(ctx context.Context, address config.Address, o Options) (*Service, error) {
	s := newService(address, o)
	targets, err := resolve(ctx, address)
	if err != nil {
		return nil, err
	}
	var missing error
	for _, target := range targets {
		ln, err := s.listenPatiently(ctx, target)
		if len(targets) > 1 && isNotOurs(err) {
			missing = err // e.g. ::1 where IPv6 is off
			continue
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		s.sockets = append(s.sockets, ln)
	}
	if len(s.sockets) == 0 {
		s.Close()
		return nil, missing
	}
	return s, nil
}

// Adopt goes on with sockets that another process opened for the address.
func Adopt(sockets []net.Listener, address config.Address, o Options) *Service {
	s := newService(address, o)
	s.sockets = sockets
	return s
}

func newService(address config.Address, o Options) *Service {
	s := &Service{
		options:  o,
		address:  address,
		rejected: failurelog.New(o.Logger, "connection from outside the allowed network"),
		turn:     newTurn(),
	}
	s.network.Store(&address.Network)
	return s
}

// target is one socket to open; an invalid addr stands for all interfaces.
type target struct {
	network string // tcp, tcp4 or tcp6
	addr    netip.Addr
}

// resolve returns which sockets an address stands for.
func resolve(ctx context.Context, a config.Address) ([]target, error) {
	if a.Network.IsValid() {
		if a.Network.Addr().Is4() {
			return []target{{network: "tcp4"}}, nil
		}
		return []target{{network: "tcp6"}}, nil
	}
	if a.Host == "" || a.Host == "*" {
		return []target{{network: "tcp"}}, nil
	}
	if addr, err := netip.ParseAddr(a.Host); err == nil {
		return []target{{network: "tcp", addr: addr}}, nil
	}
	if a.Host == "localhost" {
		// Both, whatever the hosts file says: 1C clients try either first.
		return []target{{"tcp4", netip.AddrFrom4([4]byte{127, 0, 0, 1})}, {"tcp6", netip.IPv6Loopback()}}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", a.Host)
	if err != nil {
		return nil, err
	}
	var targets []target
	for _, addr := range addrs {
		targets = append(targets, target{network: "tcp", addr: addr.Unmap()})
	}
	return targets, nil
}

func (s *Service) listen(ctx context.Context, t target) (net.Listener, error) {
	port := s.address.Port
	if port == 0 && len(s.sockets) > 0 {
		port = s.Port() // the one that the first socket was given
	}
	host := ""
	if t.addr.IsValid() {
		host = t.addr.String()
	}
	// Keep-alive is the business of those who use the connections.
	lc := net.ListenConfig{KeepAlive: -1}
	return lc.Listen(ctx, t.network, net.JoinHostPort(host, strconv.Itoa(port)))
}

// retryEvery is how often a port is tried that a connection holds.
const retryEvery = 100 * time.Millisecond

// listenPatiently waits for a port that an outgoing connection holds.
func (s *Service) listenPatiently(ctx context.Context, t target) (net.Listener, error) {
	deadline := time.Now().Add(s.options.Patience)
	for told := false; ; {
		ln, err := s.listen(ctx, t)
		if !isInUse(err) {
			return ln, err
		}
		listened, connections := holdersOf(t.addr, s.address.Port)
		if listened || len(connections) == 0 {
			return nil, err
		}
		err = &heldError{err, connections}
		if time.Now().After(deadline) {
			return nil, err
		}
		if !told {
			told = true
			s.options.Logger.Warn("the port is that of an outgoing connection, waiting for it",
				slog.String("service", s.options.Service), slog.Int("port", s.address.Port),
				slog.String("connection", connections[0]))
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// heldError is EADDRINUSE with the connections whose port it is.
type heldError struct {
	err         error
	connections []string
}

func (e *heldError) Error() string {
	return e.err.Error() + ": it is the port of an outgoing connection: " + strings.Join(e.connections, ", ")
}

func (e *heldError) Unwrap() error { return e.err }

// Listeners returns the sockets, to be served each until Detach or Close.
func (s *Service) Listeners() (listeners []net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.sockets {
		listeners = append(listeners, &guarded{Listener: ln, service: s, turn: s.turn})
	}
	return listeners
}

// Sockets returns the sockets themselves, to be passed on.
func (s *Service) Sockets() (sockets []*net.TCPListener) {
	for _, ln := range s.sockets {
		if socket, ok := ln.(*net.TCPListener); ok {
			sockets = append(sockets, socket)
		}
	}
	return sockets
}

// Address is what it listens for, as the setting gave it.
func (s *Service) Address() config.Address { return s.address }

// Port is the TCP port, also when the settings left it to the system (0).
func (s *Service) Port() int {
	return s.sockets[0].Addr().(*net.TCPAddr).Port
}

// String gives the address as a person writes it, with the actual port.
func (s *Service) String() string {
	a := s.address
	a.Port, a.Network = s.Port(), *s.network.Load()
	return a.String()
}

// SetNetwork closes peers from outside network from now on; the zero Prefix lets
// in all. Connections that are open stay.
func (s *Service) SetNetwork(network netip.Prefix) { s.network.Store(&network) }

// Rejected counts the peers closed because they are outside the network.
func (s *Service) Rejected() uint64 { return s.rejects.Load() }

// Detach ends accepting without closing the sockets, which it returns: whoever
// connects waits until somebody accepts again. Accept fails as if they were closed.
// After Close it returns none.
func (s *Service) Detach() (sockets []*net.TCPListener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn.isOver() {
		return nil
	}
	close(s.turn.over)
	for _, ln := range s.sockets {
		socket := ln.(*net.TCPListener)
		socket.SetDeadline(time.Unix(1, 0)) // Accept wakes up
		sockets = append(sockets, socket)
	}
	return sockets
}

// Resume accepts again after Detach: Listeners returns the sockets anew.
func (s *Service) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.sockets {
		ln.(*net.TCPListener).SetDeadline(time.Time{})
	}
	s.turn = newTurn()
}

// Close closes the sockets; connections accepted from them go on. After Detach it
// leaves them open.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.rejected.Close()
	return s.end()
}

// end closes the sockets, if they are being served. The caller holds mu.
func (s *Service) end() error {
	if s.turn.isOver() {
		return nil
	}
	close(s.turn.over)
	var errs []error
	for _, ln := range s.sockets {
		errs = append(errs, ln.Close())
	}
	return errors.Join(errs...)
}

// guarded is a listener whose Accept returns only admitted connections, and
// fails only when its turn is over.
type guarded struct {
	net.Listener
	service *Service
	turn    *turn
	crowded atomic.Bool // a connection took one of the last descriptors
}

// errCrowded is what is said while only the reserved descriptors are left.
func errCrowded() error {
	return fmt.Errorf("too many open files: the last %d are kept for the control channel and a hand-over", Reserved())
}

const (
	// scantRoom is for how many connections there has to be room before the next one is
	// accepted: other listeners accept at the same moment.
	scantRoom = 4
	// plentyOfRoom is where nobody looks before each of them any more.
	plentyOfRoom = 32
)

// makeRoom waits until more than the reserved descriptors are free: who connects
// meanwhile waits, too. It reports false if the turn is over.
func (g *guarded) makeRoom() bool {
	for pause := 5 * time.Millisecond; !hasRoom(g.Listener, scantRoom); pause = min(2*pause, maxPause) {
		g.service.complain(errCrowded())
		if g.service.options.Exhausted() {
			continue
		}
		select {
		case <-time.After(pause):
		case <-g.turn.over:
			return false
		}
	}
	if hasRoom(g.Listener, plentyOfRoom) {
		g.crowded.Store(false)
	}
	return true
}

// Close closes all sockets of the service, for one alone is of no use; none if they have
// been detached.
func (g *guarded) Close() error {
	g.service.mu.Lock()
	defer g.service.mu.Unlock()
	if g.turn.isOver() {
		return nil
	}
	return g.service.end()
}

const maxPause = time.Second

// Accept waits for the next connection from inside the allowed network.
func (g *guarded) Accept() (net.Conn, error) {
	pause := 5 * time.Millisecond
	for {
		if g.crowded.Load() && !g.makeRoom() {
			return nil, net.ErrClosed
		}
		conn, err := g.Listener.Accept()
		switch {
		case err == nil && g.service.admits(conn):
			if tcp, ok := conn.(*net.TCPConn); ok && crowded(tcp) {
				g.crowded.Store(true)
			}
			return conn, nil
		case err == nil:
			conn.Close()
			continue
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case g.turn.isOver():
			return nil, net.ErrClosed
		case isAborted(err):
			continue
		}
		g.service.complain(err)
		if isExhausted(err) && g.service.options.Exhausted() {
			continue
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		case <-g.turn.over:
			return nil, net.ErrClosed
		}
	}
}

// complainEvery is how often a lasting failure of accept is logged.
const complainEvery = time.Minute

// complain logs that accepting fails, once in a while.
func (s *Service) complain(err error) {
	if !s.complained.due(complainEvery) {
		return
	}
	s.options.Logger.Error("cannot accept connections: making room and trying again",
		slog.String("service", s.options.Service), slog.Any("error", err))
}

// seldom lets something be done once in a while, whatever the clock on the wall is set
// to meanwhile. Its zero value is ready.
type seldom struct {
	mu   sync.Mutex
	last time.Time // with its monotonic reading
}

// due reports whether it is to be done now: never, or not for that long.
func (s *seldom) due(every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.last.IsZero() && now.Sub(s.last) < every {
		return false
	}
	s.last = now
	return true
}

// admits reports whether the peer is inside the allowed network.
func (s *Service) admits(conn net.Conn) bool {
	network := *s.network.Load()
	if !network.IsValid() {
		return true
	}
	addr, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return false
	}
	peer := addr.AddrPort().Addr().Unmap().WithZone("")
	if network.Contains(peer) {
		return true
	}
	s.rejects.Add(1)
	s.rejected.Report(peer, "outside_network", "", slog.String("service", s.options.Service),
		slog.String("allowed", network.String()))
	return false
}

// OpenError says which setting's address could not be listened on.
type OpenError struct {
	Setting string
	Address config.Address
	Err     error
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("%s: listening on %s: %v", e.Setting, e.Address, e.Err)
}

func (e *OpenError) Unwrap() error { return e.Err }

// InUse reports whether another process has the port.
func (e *OpenError) InUse() bool { return isInUse(e.Err) }

// HeldBy returns the outgoing connections whose port it is, each as «local -> remote
// STATE»; nil: that is not the reason.
func (e *OpenError) HeldBy() []string {
	if held, ok := errors.AsType[*heldError](e.Err); ok {
		return held.connections
	}
	return nil
}

// Unresolved reports whether no address is known for the name.
func (e *OpenError) Unresolved() bool {
	_, ok := errors.AsType[*net.DNSError](e.Err)
	return ok
}

// NotOurs reports whether this machine does not have the address.
func (e *OpenError) NotOurs() bool { return isNotOurs(e.Err) }

// Denied reports whether the process may not have the port: below 1024, mostly.
func (e *OpenError) Denied() bool { return isDenied(e.Err) }
