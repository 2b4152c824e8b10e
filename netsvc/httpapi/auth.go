package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
)

const (
	// userAgent1C begins the User-Agent of the 1C platform's HTTP client.
	userAgent1C = "1C+Enterprise"
	// year1ToUnix is 1970-01-01 in seconds since 0001-01-01, both UTC.
	year1ToUnix = 62135596800
)

// auth gives a token for a server key (protocol.md section 3.1).
func (s *Server) auth(w http.ResponseWriter, r *http.Request) {
	limits := s.limits.Load()
	key := serverKey(r.URL.RawQuery)
	if key == "" {
		s.refuse(w, r, refusal{status: http.StatusUnauthorized, reason: ReasonNoServerKey,
			text: "server_key is missing"})
		return
	}
	token, err := s.apps.Authorize(key, limits.TokenLifetime)
	switch {
	case errors.Is(err, app.ErrUnknownKey):
		s.refuse(w, r, refusal{status: http.StatusUnauthorized, reason: ReasonUnknownServerKey,
			text: "server_key is unknown"})
		return
	case err != nil:
		s.fail(w, r, err)
		return
	}

	answer := make([]byte, 0, 128)
	answer = append(answer, `{"access_token": "`...)
	answer = append(answer, token.Value...) // URL-safe characters only
	answer = append(answer, `", "expires_in": `...)
	answer = strconv.AppendInt(answer, expiresIn(token.Expires, limits.ExpiresIn, r.UserAgent()), 10)
	answer = append(answer, '}')

	header := w.Header()
	header["Content-Type"] = contentTypeJSON
	header["Cache-Control"] = noStore
	w.Write(answer)
	succeeds(r)
	s.counters.answered(http.StatusOK)
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.log.LogAttrs(r.Context(), slog.LevelDebug, "authorized",
			slog.String("app", token.App.ID), slog.String("peer", clientAddr(r, limits.TrustedProxies).String()))
	}
}

// expiresIn is the moment in seconds of the epoch the sender counts in. The 1C
// extension adds it to the date 0001-01-01, whatever the manual says.
func expiresIn(expires time.Time, epoch config.Epoch, userAgent string) int64 {
	if epoch == config.EpochYear1 || epoch == config.EpochAuto && strings.HasPrefix(userAgent, userAgent1C) {
		return expires.Unix() + year1ToUnix
	}
	return expires.Unix()
}
