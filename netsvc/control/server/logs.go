package server

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
)

// logFilter is a LogQuery ready for use.
type logFilter struct {
	level         slog.Level
	message, text string // what the message begins with; a part of the record
	since         time.Time
	names         func(*logring.Record) (user, ib string)
}

func (f *logFilter) keeps(r *logring.Record) bool {
	if r.Level < f.level || r.Time.Before(f.since) || !strings.HasPrefix(r.Message, f.message) {
		return false
	}
	if f.text == "" || fold.Contains(r.Message, f.text) {
		return true
	}
	for a := range r.Attrs() {
		if fold.Contains(a.Key+"="+a.Value.String(), f.text) {
			return true
		}
	}
	user, ib := f.names(r)
	return fold.Contains(user, f.text) || fold.Contains(ib, f.text)
}

// parseLevel reads the name of a level in any letter case.
func parseLevel(name string) (config.Level, error) {
	level, err := config.ParseLevel(name)
	if err != nil {
		return 0, badRequest("level %q: expected %s", name, oneOf(config.LevelNames()))
	}
	return level, nil
}

// listLogs answers with the last records, or goes on with those that come.
func (s *Server) listLogs(r *http.Request) (reply, error) {
	values := r.URL.Query()
	filter := logFilter{level: config.LevelTrace.Slog(), text: strings.ToLower(values.Get("q")),
		message: values.Get("message"), names: s.namesIn}
	if name := values.Get("level"); name != "" {
		level, err := parseLevel(name)
		if err != nil {
			return nil, err
		}
		filter.level = level.Slog()
	}
	if text := values.Get("since"); text != "" {
		since, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return nil, badRequest("since: expected a time like 2026-11-26T21:00:00Z")
		}
		filter.since = since
	}
	tail, follow, err := tailAndFollow(values)
	if err != nil {
		return nil, err
	}
	// Before the client is told that it follows: from then on it misses nothing.
	last, cursor := s.log.Records(filter.level).Last(tail, filter.keeps)
	return s.stream(follow, func(ctx context.Context, out *records) error {
		for i := range last {
			if err := out.write(s.logRecordOf(&last[i])); err != nil {
				return err
			}
		}
		if !follow {
			return nil
		}
		return followRing(ctx, cursor, out, filter.keeps,
			func(r *logring.Record) any { return s.logRecordOf(r) },
			func(lost uint64) any {
				return control.LogRecord{
					Time: time.Now().UTC(), Level: config.LevelWarning.String(), Lost: lost,
					Message: "records were lost because this follower is too slow",
				}
			})
	}), nil
}

func (s *Server) changeLogLevel(r *http.Request) (reply, error) {
	var body control.LevelBody
	if err := readJSON(r, &body, "level"); err != nil {
		return nil, err
	}
	level, err := parseLevel(body.Level)
	if err != nil {
		return nil, err
	}
	s.setLogLevel(level)
	s.audit(r, "change log level", slog.String("log_level", level.String()))
	return object(control.LevelBody{Level: level.String()}), nil
}
