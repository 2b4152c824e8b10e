package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// deliveredHeader says to the sender for how many sessions its message was
// queued.
const deliveredHeader = "X-Delivered-Sessions"

// waitingHeader tells how many of these are away and may come back; absent: none (section 4.4).
const waitingHeader = "X-Waiting-Sessions"

// unconfirmedHeader tells how many nodes of the cluster may or may not have got the message;
// absent: none, as always on a single node.
const unconfirmedHeader = "X-Unconfirmed-Nodes"

// warningHeader warns the sender of what may become of a message that was accepted.
const (
	warningHeader       = "X-Warning"
	unusableKeysWarning = "Message.Data has keys that are no names in 1C (a letter or _, then letters, digits and _): the released 1C extension loses the whole message"
)

// sendMessage checks the token, then reads the message and has it delivered
// (protocol.md section 3.2).
func (s *Server) sendMessage(w http.ResponseWriter, r *http.Request) {
	limits := s.limits.Load()
	sender, problem := s.sender(r)
	if problem.status != 0 {
		if problem.status == http.StatusUnauthorized {
			w.Header()["Www-Authenticate"] = bearerChallenge
		}
		s.refuse(w, r, problem)
		return
	}
	if encoding := contentEncoding(r); encoding != "" {
		s.refuse(w, r, refusal{status: http.StatusUnsupportedMediaType, reason: ReasonContentEncoding, app: sender.ID,
			detail: "Content-Encoding: " + encoding,
			text:   "Content-Encoding " + encoding + " is not supported: send the body as it is, without compressing it"})
		return
	}
	if r.ContentLength > limits.MaxMessageBytes {
		s.refuse(w, r, tooLarge(limits).of(sender.ID))
		return
	}

	buffer := s.bodies.get()
	defer s.bodies.put(buffer)
	if problem := readBody(r.Body, buffer, limits); problem.status != 0 {
		w.Header()["Connection"] = connectionClose // what follows is not a request
		s.refuse(w, r, problem.of(sender.ID))
		return
	}
	recipient, message, err := wire.ParseRequest(*buffer)
	if err != nil { // it names the field and never shows what is in it
		s.refuse(w, r, refusal{status: http.StatusBadRequest, reason: ReasonBadRequest, text: err.Error(),
			app: sender.ID, detail: err.Error()})
		return
	}

	if keys := message.UnusableKeys(); len(keys) > 0 {
		w.Header()[warningHeader] = []string{unusableKeysWarning}
		s.unusable.once(sender.ID, func() {
			s.log.Warn("keys in Data that are no names in 1C: the released extension loses such messages",
				slog.String("app", sender.ID), slog.Int("keys", len(keys)),
				slog.String("peer", clientAddr(r, limits.TrustedProxies).String()))
		})
	}
	delivery := s.publish(r.Context(), sender.ID, recipient, message)
	w.Header()[deliveredHeader] = []string{strconv.Itoa(delivery.Sessions)}
	if delivery.Waiting > 0 {
		w.Header()[waitingHeader] = []string{strconv.Itoa(delivery.Waiting)}
	}
	if n := len(delivery.Unconfirmed); n > 0 {
		w.Header()[unconfirmedHeader] = []string{strconv.Itoa(n)}
	}
	w.WriteHeader(http.StatusOK)
	succeeds(r)
	s.counters.answered(http.StatusOK)
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "message accepted",
			slog.String("app", sender.ID), slog.String("to", string(recipient.Type)),
			slog.Int("sessions", delivery.Sessions),
			slog.Int("bytes", len(*buffer)), slog.String("peer", clientAddr(r, limits.TrustedProxies).String()))
	}
}

// contentEncoding names how a body is encoded (RFC 9110, 8.4); empty: it is as
// it is.
func contentEncoding(r *http.Request) string {
	var encodings []string
	for _, value := range r.Header["Content-Encoding"] {
		for encoding := range strings.SplitSeq(value, ",") {
			if encoding = strings.TrimSpace(encoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
				encodings = append(encodings, encoding)
			}
		}
	}
	const longest = 64 // it is repeated to the sender, and logged
	all := strings.ToValidUTF8(strings.Join(encodings, ", "), "?")
	if len(all) > longest {
		all = strings.ToValidUTF8(all[:longest], "") + "…"
	}
	return all
}

// sender returns the app whose token the request carries, or why there is none.
func (s *Server) sender(r *http.Request) (*app.App, refusal) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		return nil, refusal{status: http.StatusUnauthorized, reason: ReasonNoToken,
			text: "header Authorization: Bearer TOKEN is missing"}
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, refusal{status: http.StatusUnauthorized, reason: ReasonNotBearer,
			text: "header Authorization is not of the form Bearer TOKEN"}
	}
	token = strings.TrimSpace(token)
	sender, err := s.apps.CheckToken(token)
	switch {
	case errors.Is(err, app.ErrTokenExpired):
		return nil, refusal{status: http.StatusForbidden, reason: ReasonTokenExpired,
			text: "the token has expired"}.of(s.claimedApp(token))
	case err != nil:
		return nil, refusal{status: http.StatusUnauthorized, reason: ReasonBadToken,
			text: "the token is not valid"}.of(s.claimedApp(token))
	}
	return sender, refusal{}
}

// claimedApp is the id of the app that a token names which is not good, if there is
// such an app.
func (s *Server) claimedApp(token string) string {
	if a, known := s.apps.Claimed(token); known {
		return a.ID
	}
	return ""
}
