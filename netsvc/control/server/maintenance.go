package server

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// reload reads the settings again, and says what is wrong with them in the
// language of the request.
func (s *Server) reload(r *http.Request) (reply, error) {
	report, err := s.reloadSettings(languageOf(r))
	if err != nil {
		return nil, err
	}
	s.audit(r, "reload settings", slog.String("applied", strings.Join(report.Applied, " ")),
		slog.String("restart_needed", strings.Join(report.RestartNeeded, " ")))
	return object(report), nil
}

// upgrade has the program on disk take over. The answer comes before that happens;
// whether it did is told by the status of who answers next.
func (s *Server) upgrade(r *http.Request) (reply, error) {
	cannot := func(why string) error { return refuse(http.StatusConflict, control.CodeCannotUpgrade, why) }
	if s.beginUpgrade == nil {
		return nil, cannot("this system cannot hand over connections: restart the service instead, " +
			"which ends all sessions")
	}
	id, err := s.beginUpgrade(r.Context())
	switch {
	case errorOf(err) != nil: // such as a database that is not available
		return nil, err
	case err != nil:
		return nil, cannot(err.Error())
	}
	s.audit(r, "upgrade", slog.String("id", id))
	return object(control.UpgradeBegun{ID: id}), nil
}

// languageOf is the language that a request asks for; English if it does not.
func languageOf(r *http.Request) locale.Lang {
	tag, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	if lang, known := locale.ParseLang(tag); known {
		return lang
	}
	return locale.English
}

// backup answers with the contents of a database file.
func (s *Server) backup(r *http.Request) (reply, error) {
	content, err := s.apps.Backup()
	if err != nil {
		return nil, err
	}
	s.audit(r, "back up database", slog.Int("bytes", len(content)))
	return database(content), nil
}
