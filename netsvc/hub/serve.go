package hub

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Reasons for a refusal that a packet alone does not show; those that it does
// are wire's.
const (
	ReasonUnknownApp wire.Reason = "unknown_app"
	ReasonWrongHMAC  wire.Reason = "wrong_hmac"
	ReasonTimeout    wire.Reason = "registration_timeout"
	ReasonEvicted    wire.Reason = "evicted"

	ReasonTooManySessions wire.Reason = "too_many_sessions" // of that user
)

const (
	// A refused connection is read on for a while before it is closed: closing
	// with bytes unread would reset it (protocol.md section 4.3).
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// Serve accepts 1C sessions until the listener is closed, by Shutdown or by its
// owner, and then returns nil. Several listeners may be served at once.
func (h *Hub) Serve(ln net.Listener) error {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		ln.Close()
		return nil
	}
	h.listeners[ln] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.listeners, ln)
		h.mu.Unlock()
	}()
	in, buf := newTryReader(), make([]byte, 2+wire.MaxRegistrationBytes)
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		h.admit(conn, in, buf)
	}
}

// admit starts the session of a new connection. buf is room for what it has said
// already.
func (h *Hub) admit(conn net.Conn, in *tryReader, buf []byte) {
	s := &session{id: h.lastID.Add(1), conn: conn, since: time.Now().UnixNano()}
	s.raw = rawOf(conn)
	h.setKeepAlive(s)
	early := bytes.Clone(buf[:in.tryRead(s.raw, buf)])

	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		conn.Close()
		return
	}
	h.sessions[s.id] = s
	pending := h.pending.add(s)
	h.goroutines.Go(func() { h.greet(s, early) })
	h.mu.Unlock()

	if pending > h.limits.Load().MaxUnregistered {
		h.EvictUnregistered()
	}
}

// rawOf returns the descriptor of a connection, for what never waits; nil: it has none.
func rawOf(conn net.Conn) syscall.RawConn {
	if has, ok := conn.(syscall.Conn); ok {
		// An error here means that the peer is gone, which reading will tell.
		raw, _ := has.SyscallConn()
		return raw
	}
	return nil
}

// setKeepAlive has the system notice a dead peer.
func (h *Hub) setKeepAlive(s *session) {
	if tcp, ok := s.conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		every := h.limits.Load().KeepAlive
		// It fails if the connection is gone, which reading will tell.
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: every, Interval: max(every/3, time.Second), Count: 3})
	}
}

// EvictUnregistered closes the unregistered connection that has been silent
// longest. It reports false if there is none.
func (h *Hub) EvictUnregistered() bool {
	h.changing.RLock()
	if h.frozen.Load() {
		h.changing.RUnlock()
		return false
	}
	s := h.pending.takeSilent()
	first := s != nil && h.detach(s, closedEvicted)
	h.changing.RUnlock()
	if s == nil {
		return false
	}
	// Told before the peer can notice, as every refusal is.
	if first {
		h.countRefusal(s, ReasonEvicted, wire.Packet{}, nil)
	}
	hangUp(s.conn, s.raw)
	return true
}

// input reads a connection of which something was read before.
type input struct {
	conn  net.Conn
	early []byte
}

func (in *input) Read(b []byte) (int, error) {
	if len(in.early) == 0 {
		in.early = nil
		return in.conn.Read(b)
	}
	n := copy(b, in.early)
	in.early = in.early[n:]
	return n, nil
}

// greet reads the registration of a new connection, of which something was read
// already.
func (h *Hub) greet(s *session, early []byte) {
	// Nearly always the registration is there, whole: then nobody has to wait.
	waits := !holdsRegistration(early)
	if waits {
		h.setReadDeadline(s, time.Now().Add(h.limits.Load().RegistrationTimeout))
	}
	in := &input{s.conn, early}
	if err := h.readRegistration(s, in, 0); err != nil {
		h.refuse(s, err)
		return
	}
	if waits {
		h.setReadDeadline(s, time.Time{})
	}
	h.rest(s, in.early)
}

// holdsRegistration reports whether a registration that has come is whole.
func holdsRegistration(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	n, err := wire.PacketLen([2]byte(b))
	return err == nil && len(b) >= 2+n
}

// rest leaves a registered session alone until it sends something or ends. What
// was read of it already is in early.
func (h *Hub) rest(s *session, early []byte) {
	if len(early) > 0 || !h.watch.await(s) {
		// A new goroutine, since this one's stack has grown by verifying and the
		// session may now wait for years.
		h.goroutines.Go(func() { h.attend(s, early) })
	}
}

// attend handles what a registered session sends, and its end.
func (h *Hub) attend(s *session, early []byte) {
	in := &input{s.conn, early}
	for h.hear(s, in) && (len(in.early) > 0 || !h.watch.await(s)) {
	}
}

// hear waits for another registration, or for the end. It reports whether the
// session goes on.
func (h *Hub) hear(s *session, in *input) bool {
	if h.frozen.Load() {
		// It has just been resting, perhaps, and HandOver saw that: nobody wakes it.
		s.conn.SetReadDeadline(past)
	}
	if _, err := io.ReadFull(in, s.header[:1]); err != nil {
		h.closeSession(s, closedByPeer)
		h.forget(s)
		return false
	}
	h.setReadDeadline(s, time.Now().Add(h.limits.Load().RegistrationTimeout))
	if err := h.readRegistration(s, in, 1); err != nil {
		h.refuse(s, err)
		return false
	}
	h.setReadDeadline(s, time.Time{})
	return true
}

// setReadDeadline bounds reading, unless the hub froze: then that has ended.
func (h *Hub) setReadDeadline(s *session, at time.Time) {
	s.conn.SetReadDeadline(at)
	if h.frozen.Load() {
		s.conn.SetReadDeadline(past)
	}
}

// forget takes a session off the books, unless it was not closed since the hub is
// frozen.
func (h *Hub) forget(s *session) {
	if s.closeReason() == "" {
		return
	}
	h.pending.remove(s)
	h.mu.Lock()
	delete(h.sessions, s.id)
	h.mu.Unlock()

	last, why, registered := s.describe()
	if registered {
		h.logSession("session closed", &last, slog.String("reason", string(why)), slog.Uint64("delivered", last.Delivered),
			slog.Duration("age", max(time.Since(last.Since).Round(time.Second), 0)))
		h.observe(SessionClosed, last, string(why))
	}
}

// forgetResting takes a closed session that has no goroutine off the books,
// without having the caller wait for the log.
func (h *Hub) forgetResting(s *session) {
	h.mu.Lock()
	stopped := h.stopped
	if !stopped {
		h.goroutines.Go(func() { h.forget(s) })
	}
	h.mu.Unlock()
	if stopped {
		h.forget(s)
	}
}

// packets are the buffers for registrations being read.
var packets = sync.Pool{New: func() any { return new([wire.MaxRegistrationBytes]byte) }}

// readRegistration reads a registration, of whose header got bytes were read
// already, and puts it into force.
func (h *Hub) readRegistration(s *session, in *input, got int) error {
	if read, err := h.readFull(s, in, s.header[got:]); err != nil {
		h.keepEarly(s, s.header[:got+read])
		return err
	}
	n, err := wire.PacketLen(s.header)
	if err != nil {
		n = 0 // there is no more to read
	}
	buf := packets.Get().(*[wire.MaxRegistrationBytes]byte)
	defer packets.Put(buf)
	if read, err := h.readFull(s, in, buf[:n]); err != nil {
		h.keepEarly(s, s.header[:], buf[:read])
		return err
	}
	opened, err := h.judge(s, in, err, buf[:n])
	if err != nil {
		return err
	}
	return h.tell(s, opened)
}

// errFrozen: the hub froze before the packet was judged. The packet is kept.
var errFrozen = errors.New("the sessions are being handed over")

// judge puts a packet that was read into force, or marks the session closed if that
// cannot be: at once, so that a session is never handed over between the two. bad is
// what is wrong with the packet's header already. It reports whether the session is new.
func (h *Hub) judge(s *session, in *input, bad error, packet []byte) (opened bool, err error) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		h.keepEarly(s, s.header[:], packet, in.early)
		return false, errFrozen
	}
	var registration wire.Packet
	if err = bad; err == nil {
		registration, err = wire.ParseRegistration(packet)
	}
	if err == nil {
		opened, err = h.enter(s, registration)
	}
	if err == nil || errors.Is(err, net.ErrClosed) {
		return opened, err
	}
	refused := refusalOf(err)
	refused.ended = h.detach(s, closedRefused)
	return false, refused
}

// readFull fills b, which may arrive in any number of pieces, and notes that an
// unregistered connection was heard. It returns how much of b it filled.
func (h *Hub) readFull(s *session, in *input, b []byte) (read int, err error) {
	for read < len(b) {
		n, err := in.Read(b[read:])
		if n > 0 {
			h.pending.touch(s)
			read += n
		}
		if err != nil && read < len(b) {
			return read, err
		}
	}
	return read, nil
}

// refusal is a registration that is not accepted.
type refusal struct {
	reason  wire.Reason
	claimed wire.Packet // who it said it is; the rest of the packet is gone
	app     *tenant     // nil: there is no such app
	ended   bool        // the session was closed for it
}

func (r *refusal) Error() string { return "registration refused: " + string(r.reason) }

// refusalOf says why a registration is refused; nil: it is not, the connection ended.
func refusalOf(err error) *refusal {
	var (
		packetError *wire.PacketError
		refused     *refusal
	)
	switch {
	case errors.As(err, &packetError):
		return &refusal{reason: packetError.Reason}
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{reason: ReasonTimeout}
	}
	return nil
}

// enter verifies the packet and registers the session with it. It reports whether
// that is the session's first registration.
func (h *Hub) enter(s *session, packet wire.Packet) (first bool, err error) {
	t := h.app(packet.AppID)
	k := h.verify(t, packet)
	switch {
	case k != nil:
	case t == nil:
		return false, &refusal{reason: ReasonUnknownApp, claimed: packet}
	default:
		return false, &refusal{reason: ReasonWrongHMAC, claimed: packet, app: t}
	}
	first = s.registered() == nil
	if first && !h.pending.remove(s) {
		return false, &refusal{reason: ReasonEvicted, claimed: packet} // meanwhile; a registered session never is
	}
	r := &registration{session: s, key: k, user: packet.UserID, group: packet.UserGroup}
	switch h.registerWithin(r, infobaseKey{t.id, packet.IbID}, h.limits.Load().MaxSessionsPerUser) {
	case sessionClosed:
		return false, net.ErrClosed
	case tooMany:
		return false, &refusal{reason: ReasonTooManySessions, claimed: packet, app: t}
	}
	h.counters.registrations.Add(1)
	t.counters.registrations.Add(1)
	if first {
		h.counters.opened.Add(1)
	}
	return first, nil
}

// tell tells of a registration that was put into force.
func (h *Hub) tell(s *session, opened bool) error {
	event, kind := "session registered again", SessionChanged
	if opened {
		event, kind = "session opened", SessionOpened
	}
	// Closed already, perhaps: then this tells what it was before that.
	now, _, _ := s.describe()
	h.logSession(event, &now)
	h.observe(kind, now, "")
	if r := s.registered(); r.key.revoked.Load() { // while we were at it; see revoke
		h.closeSession(s, closedKeyRevoked)
		return net.ErrClosed
	}
	return nil
}

// verify returns the app's key that the packet was made with, or nil. A failure
// takes the same time whether the app exists or not and however many keys it has.
func (h *Hub) verify(t *tenant, packet wire.Packet) *key {
	tried := int64(0)
	if t != nil {
		for _, k := range t.inForce() {
			if packet.Verify(k.Secret) {
				return k
			}
			tried++
		}
	}
	for ; tried < h.mostKeys.Load(); tried++ {
		packet.Verify(nil)
	}
	return nil
}

// refuse ends a connection whose registration failed, unless the hub is frozen: then
// whoever goes on with it reads it again.
func (h *Hub) refuse(s *session, err error) {
	defer h.forget(s)
	refused := refusalOf(err)
	if refused == nil {
		// The connection ended: by the peer, or by us for another reason. A port
		// scanner or a health check does that too.
		h.closeSession(s, closedByPeer)
		return
	}
	if !refused.ended && !h.endRefused(s, refused) {
		return
	}
	if refused.ended { // nobody has closed it for another reason
		h.countRefusal(s, refused.reason, refused.claimed, refused.app)
		if refused.app != nil {
			refused.app.refused.Add(1)
		}
	}
	h.linger(s)
	hangUp(s.conn, s.raw)
}

// endRefused marks a refused session closed, where judge has not done so. It reports
// false if the hub is frozen.
func (h *Hub) endRefused(s *session, refused *refusal) bool {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		return false
	}
	refused.ended = h.detach(s, closedRefused)
	return true
}

// maxClaimBytes bounds what a stranger may have us remember of each word.
const maxClaimBytes = 128

// countRefusal counts and tells of a refused registration. Of who it claimed to
// be for, only the beginning is kept, without taking a character apart. t is the app
// that it claimed to be of, nil if there is none.
func (h *Hub) countRefusal(s *session, reason wire.Reason, claimed wire.Packet, t *tenant) {
	short := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxClaimBytes)], "") }
	who := Session{
		AppID: short(claimed.AppID), IbID: short(claimed.IbID), UserID: short(claimed.UserID), UserGroup: short(claimed.UserGroup),
		Addr: s.peer().String(), Since: time.Unix(0, s.since),
	}
	h.counters.refused[reason].Add(1)
	app, attrs := "", []slog.Attr{}
	if t != nil {
		app = t.id
	} else if who.AppID != "" {
		attrs = append(attrs, slog.String("app", who.AppID))
	}
	if who.AppID != "" {
		attrs = append(attrs, slog.String("ib", who.IbID), slog.String("user_id", who.UserID))
	}
	h.refusals.Report(s.peer().Addr(), string(reason), app, attrs...)
	h.observe(RegistrationRefused, who, string(reason))
}

// linger lets the peer read the end of the stream: it takes what is still
// arriving, so that the close that follows is not a reset.
func (h *Hub) linger(s *session) {
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	h.setReadDeadline(s, time.Now().Add(lingerTime))
	io.CopyN(io.Discard, s.conn, lingerBytes)
}

func (h *Hub) logSession(event string, s *Session, more ...slog.Attr) {
	if !h.logger.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	h.logger.LogAttrs(context.Background(), slog.LevelInfo, event, append([]slog.Attr{
		slog.Uint64("session", s.ID), slog.String("app", s.AppID), slog.String("ib", s.IbID),
		slog.String("user_id", s.UserID), slog.String("group", s.UserGroup), slog.String("peer", s.Addr)}, more...)...)
}
