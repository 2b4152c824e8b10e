package server

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
)

func sessionOf(s hub.Session) control.Session {
	object := control.Session{
		ID: strconv.FormatUint(s.ID, 10), AppID: s.AppID, IbID: s.IbID, UserID: s.UserID, UserGroup: s.UserGroup,
		Addr: s.Addr, Since: s.Since.UTC(), Delivered: s.Delivered, Bytes: s.Bytes, Queued: s.Queued, KeyGeneration: s.KeyGeneration,
		Groups: s.Groups, Host: s.Host, Agent: s.Agent,
	}
	if !s.LastDeliveryAt.IsZero() {
		at := s.LastDeliveryAt.UTC()
		object.LastDeliveryAt = &at
	}
	return object
}

func logRecordOf(r *logring.Record) control.LogRecord {
	object := control.LogRecord{Time: r.Time.UTC(), Level: config.LevelOf(r.Level).String(), Message: r.Message}
	for _, a := range r.Attrs {
		object.Attrs = append(object.Attrs, control.LogAttr{Name: a.Key, Value: plainValue(a.Value)})
	}
	return object
}

func plainValue(v slog.Value) any {
	switch v.Kind() {
	case slog.KindInt64, slog.KindUint64, slog.KindFloat64, slog.KindBool:
		return v.Any()
	case slog.KindDuration:
		return v.Duration().Seconds()
	case slog.KindTime:
		return v.Time().UTC().Format(time.RFC3339)
	}
	return v.String()
}

func peerOfEvent(e *history.Event) control.Peer {
	s := &e.Session
	return control.Peer{Addr: s.Addr, AppID: s.AppID, IbID: s.IbID, UserID: s.UserID, UserGroup: s.UserGroup}
}

func refusalOfHistory(r history.Refusal) control.Refusal {
	return control.Refusal{
		Time: r.Time.UTC(), Reason: r.Reason, Count: r.Count, First: r.First.UTC(),
		Peer: peerOfEvent(&history.Event{Event: r.Event}),
	}
}
