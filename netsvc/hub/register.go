package hub

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// A registration goes through this file from top to bottom: greet (or hear, of a session
// that registers again) has it read, judge puts it into force, announce says so. What is
// refused goes to refuse.go. Below them is what a session does between two registrations.

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

// readRegistration reads a registration, of whose header got bytes were read
// already, and puts it into force.
func (h *Hub) readRegistration(s *session, in *input, got int) error {
	if read, err := h.readFull(s, in, s.header[got:]); err != nil {
		h.keepEarly(s, s.header[:got+read])
		return err
	}
	buf := packets.Get().(*[wire.MaxRegistrationBytes]byte)
	defer packets.Put(buf)
	n, err := wire.PacketLen(s.header)
	if err != nil {
		n = 0 // judge says what is wrong; there is no more to read
	}
	if read, err := h.readFull(s, in, buf[:n]); err != nil {
		h.keepEarly(s, s.header[:], buf[:read])
		return err
	}
	what, err := h.judge(s, buf[:n], in.early)
	from := ""
	for {
		w, waits := errors.AsType[*waiting](err)
		if !waits {
			break
		}
		s.waited = true
		h.wait(s, w)
		what, err = h.judge(s, buf[:n], in.early)
		if w.mine && w.on.taken {
			from = w.on.from
			(*h.elsewhere.Load()).Confirm(w.key.named(), w.said.Turn)
		}
	}
	if err != nil {
		return err
	}
	return h.announce(s, what, from)
}

// errFrozen: the hub froze before the packet was judged. The packet is kept.
var errFrozen = errors.New("the sessions are being handed over")

// judge puts a packet that was read into force, or marks the session closed if that
// cannot be: at once, so that a session is never handed over between the two. The packet's
// header is the session's, what was read behind it is in early. It returns what
// that was.
func (h *Hub) judge(s *session, packet, early []byte) (what EventKind, err error) {
	h.changing.RLock()
	defer h.changing.RUnlock()
	if h.frozen.Load() {
		h.keepEarly(s, s.header[:], packet, early)
		return "", errFrozen
	}
	var registration wire.Packet
	if _, err = wire.PacketLen(s.header); err == nil {
		registration, err = wire.ParseRegistration(packet)
	}
	if err == nil {
		what, err = h.enter(s, registration)
	}
	if err == nil || errors.Is(err, net.ErrClosed) {
		return what, err
	}
	if _, waits := errors.AsType[*waiting](err); waits {
		return "", err
	}
	refused := refusalOf(err)
	refused.ended = h.detachRefused(s)
	return "", refused
}

// enter verifies the packet and registers the session with it. It returns what that was.
func (h *Hub) enter(s *session, packet wire.Packet) (what EventKind, err error) {
	t := h.app(packet.AppID)
	k := h.verify(t, packet)
	switch {
	case k != nil:
	case t == nil:
		return "", &refusal{reason: ReasonUnknownApp, claimed: packet}
	default:
		return "", &refusal{reason: ReasonWrongHMAC, claimed: packet, app: t}
	}
	first := s.registered() == nil
	if first && !s.waited && !h.pending.remove(s) {
		return "", &refusal{reason: ReasonEvicted, claimed: packet} // meanwhile; a registered session never is
	}
	said, ib := packet.Attributes(), infobaseKey{t.id, packet.IbID}
	r := newRegistration(s, k, packet.UserID, packet.UserGroup, said)
	if said != nil && said.Session != "" && h.limits.Load().ResumeWindow > 0 {
		what, err = h.enterRemembered(s, r, ib, said)
	} else {
		what, err = h.enterOnce(s, r, ib)
	}
	var refused *refusal
	if errors.As(err, &refused) {
		refused.claimed = packet
	}
	if err != nil {
		return "", err
	}
	h.counters.registrations.Add(1)
	t.counters.registrations.Add(1)
	switch {
	case what == SessionOpened && !first:
		return SessionChanged, nil
	case what == SessionOpened:
		h.counters.opened.Add(1)
	}
	return what, nil
}

// enterOnce registers a session that does not ask to be remembered.
func (h *Hub) enterOnce(s *session, r *registration, ib infobaseKey) (EventKind, error) {
	if s.remembered() != nil {
		h.leave(s)
	}
	switch h.registerWithin(r, ib, h.limits.Load().MaxSessionsPerUser) {
	case sessionClosed:
		return "", net.ErrClosed
	case tooMany:
		return "", &refusal{reason: ReasonTooManySessions, app: r.key.tenant}
	}
	return SessionOpened, nil
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

// registrationRecords are what the log says of a registration.
var registrationRecords = map[EventKind]string{
	SessionOpened: "session opened", SessionChanged: "session registered again", SessionResumed: "session resumed",
}

// announce has the log and the observer know of a registration that was put into force. The
// session ends here if its key went out of force meanwhile. from is the node that it came from, if
// that was another one.
func (h *Hub) announce(s *session, what EventKind, from string) error {
	// Closed already, perhaps: then this is what it was before that.
	now, _, _ := s.describe()
	if what == SessionResumed {
		h.tellLossBefore(s)
	}
	h.logSession(registrationRecords[what], &now, nodeAttr(from)...)
	h.observeMove(what, now, "", from)
	if r := s.registered(); r.key.revoked.Load() { // while we were at it; see revoke
		h.closeSession(s, closedKeyRevoked)
		return net.ErrClosed
	}
	return nil
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
		h.closeSession(s, h.whyEnded(s.raw, err, closedByPeer))
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

// holdsRegistration reports whether a registration that has come is whole.
func holdsRegistration(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	n, err := wire.PacketLen([2]byte(b))
	return err == nil && len(b) >= 2+n
}

// packets are the buffers for registrations being read.
var packets = sync.Pool{New: func() any { return new([wire.MaxRegistrationBytes]byte) }}

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

// setReadDeadline bounds reading, unless the hub froze: then that has ended.
func (h *Hub) setReadDeadline(s *session, at time.Time) {
	s.conn.SetReadDeadline(at)
	if h.frozen.Load() {
		s.conn.SetReadDeadline(past)
	}
}
