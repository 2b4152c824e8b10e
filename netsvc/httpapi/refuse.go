package httpapi

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const (
	// drainBytes and drainTime bound how much of a body that nobody wants is
	// read after the answer. Most senders look for one only when they have sent
	// the whole body; the old product took 30 MB.
	drainBytes = 32 << 20
	drainTime  = 10 * time.Second
)

// Values of header fields, made once. They are never modified.
var (
	contentTypeJSON = []string{"application/json"}
	noStore         = []string{"no-store"}
	connectionClose = []string{"close"}
	bearerChallenge = []string{"Bearer"}
)

// refusal is how a request is refused. Its zero value means: it is not.
type refusal struct {
	status int
	reason Reason
	text   string // for the sender
	app    string // id of the app whose sender this is, as far as that is known
	detail string // for the log, if the reason alone does not say it
}

// of returns the refusal of a sender of that app.
func (why refusal) of(app string) refusal {
	why.app = app
	return why
}

// refuse answers with the refusal, counts, logs and announces it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, why refusal) {
	s.note(clientAddr(r, s.limits.Load().TrustedProxies), why, slog.Int("status", why.status),
		slog.String("path", loggedPath(r.URL.Path)))
	s.writeError(w, r, why.status, why.text)
}

// note counts a refusal, logs and announces it.
func (s *Server) note(peer netip.Addr, why refusal, attrs ...slog.Attr) {
	s.counters.refused(why)
	if why.detail != "" {
		attrs = append([]slog.Attr{slog.String("detail", why.detail)}, attrs...)
	}
	s.failures.Report(peer, string(why.reason), why.app, attrs...)
	if s.observe != nil {
		s.observe(Refused{Time: time.Now(), Peer: peer, Reason: why.reason, AppID: why.app, Detail: why.detail})
	}
}

// fail answers a request that failed through no fault of the sender. err must
// not hold a secret.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	s.counters.answered(http.StatusInternalServerError)
	s.log.Error("request failed", slog.String("path", loggedPath(r.URL.Path)), slog.Any("error", err))
	s.writeError(w, r, http.StatusInternalServerError, "internal error")
}

// writeError answers at once, whether the body has arrived or not, and only
// then reads what is left of it. net/http by itself does it the other way
// round, so that a sender which waits for the verdict before it goes on would
// get none. And it must be read: closing a connection with unread bytes resets
// it, and the sender may lose the answer.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, status int, text string) {
	answer, _ := json.Marshal(struct {
		Error string `json:"error"`
	}{text}) // a struct of one string cannot fail
	header := w.Header()
	header["Content-Type"] = contentTypeJSON
	header["Cache-Control"] = noStore
	header["Content-Length"] = []string{strconv.Itoa(len(answer))}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		w.WriteHeader(status)
		w.Write(answer)
		return
	}

	// A sender that asks first must not be told to continue, which reading
	// would do. One with a long way to go had better stop.
	asksFirst := r.Header.Get("Expect") != ""
	if asksFirst || r.ContentLength < 0 || r.ContentLength > drainBytes {
		header["Connection"] = connectionClose
	}
	_, closing := header["Connection"]
	connection := http.NewResponseController(w)
	connection.EnableFullDuplex()
	w.WriteHeader(status)
	w.Write(answer)
	connection.Flush()
	connection.SetReadDeadline(time.Now().Add(s.timeouts.drain))
	if asksFirst {
		return // net/http closes; it reads a little if the sender goes on unasked
	}
	_, err := io.CopyN(io.Discard, r.Body, drainBytes+1)
	if err != io.EOF && !closing {
		// What comes next on this connection would be taken for a request.
		panic(http.ErrAbortHandler)
	}
}

// loggedPath makes a path fit to be logged: people paste keys into URLs at the
// wrong place, such as /auth&server_key=KEY or /auth/KEY.
func loggedPath(path string) string {
	const (
		longestSegment = 32 // keys and tokens have 64 characters
		longestPath    = 128
	)
	shown := 0
	for segment := range strings.SplitSeq(path, "/") {
		plain := strings.IndexFunc(segment, unusualInPath)
		if plain < 0 {
			plain = len(segment)
		}
		if plain > longestSegment || shown+plain > longestPath {
			return path[:shown] + "…"
		}
		if plain < len(segment) {
			return path[:shown+plain] + "…"
		}
		shown = min(shown+plain+1, len(path)) // with the slash
	}
	return path
}

func unusualInPath(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
}
