package hub

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
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
	ReasonStale           wire.Reason = "stale"             // not newer than the last packet of the session: played again, or late
)

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

const (
	// A refused connection is read on for a while before it is closed: closing
	// with bytes unread would reset it (protocol.md section 4.3).
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// refuse ends a connection whose registration failed, unless the hub is frozen: then
// whoever goes on with it reads it again.
func (h *Hub) refuse(s *session, err error) {
	defer h.forget(s)
	defer s.setRefused(false)
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
	refused.ended = h.detachRefused(s)
	return true
}

// detachRefused is detach for a session whose packet was refused, which refuse goes on with: it
// stays on the books until that one has read on, for HandOver has to wake it.
func (h *Hub) detachRefused(s *session) bool {
	s.setRefused(true)
	return h.detach(s, closedRefused)
}

func (s *session) setRefused(refused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = refused
}

func (s *session) isRefused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// maxClaimBytes bounds what a stranger may have us remember of each word.
const maxClaimBytes = 128

// countRefusal counts, logs and announces a refused registration. Of who it claimed to
// be for, only the beginning is kept, without taking a character apart. t is the app
// that it claimed to be of, nil if there is none.
func (h *Hub) countRefusal(s *session, reason wire.Reason, claimed wire.Packet, t *tenant) {
	short := func(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxClaimBytes)], "") }
	who := Session{
		AppID: short(claimed.AppID), IbID: short(claimed.IbID), UserID: short(claimed.UserID),
		UserGroup: short(claimed.UserGroup),
		Addr:      s.peer().String(), Since: time.Unix(0, s.since),
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
