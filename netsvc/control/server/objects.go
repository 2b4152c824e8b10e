package server

import (
	"cmp"
	"log/slog"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
)

// called is what people call a user and an infobase of an app: as an administrator said,
// empty if nobody did. It is what hub.Query.Names wants.
func (s *Server) called(appID, ibID, userID string) (user, ib string) {
	table := s.apps.NamesOf(appID)
	return table.User(userID), table.Infobase(ibID)
}

// titleOf is what an app is called, empty if it is gone.
func (s *Server) titleOf(appID string) string {
	a, _ := s.apps.Get(appID)
	return a.Title
}

// nameOf gives a session of the hub the names that an administrator has given, if any,
// instead of those it says itself.
func (s *Server) nameOf(one *hub.Session) (user, ib string) {
	user, ib = s.called(one.AppID, one.IbID, one.UserID)
	return cmp.Or(user, one.UserName), cmp.Or(ib, one.IbName)
}

func (s *Server) sessionOf(one hub.Session) control.Session {
	object := sessionOf(one)
	object.UserName, object.IbName = s.nameOf(&one)
	if s.nodes != nil {
		object.Node = s.nodes.Self
		object.ID += "@" + object.Node
	}
	return object
}

func sessionOf(s hub.Session) control.Session {
	object := control.Session{
		ID: strconv.FormatUint(s.ID, 10), AppID: s.AppID, IbID: s.IbID, UserID: s.UserID, UserGroup: s.UserGroup,
		Addr: s.Addr, Since: s.Since.UTC(), Delivered: s.Delivered, Bytes: s.Bytes, Queued: s.Queued,
		KeyGeneration: s.KeyGeneration,
		Groups:        s.Groups, Host: s.Host, Agent: s.Agent,
	}
	object.State, object.Resumed, object.Missed = control.SessionConnected, s.Resumed, s.Missed
	if !s.Away.IsZero() {
		at := s.Away.UTC()
		object.State, object.DetachedAt, object.Waiting = control.SessionDetached, &at, s.Waiting
	}
	if !s.LastDeliveryAt.IsZero() {
		at := s.LastDeliveryAt.UTC()
		object.LastDeliveryAt = &at
	}
	return object
}

// logRecordOf is a record with the names of those in it beside their ids: the log itself
// has no more than what a session says of itself.
func (s *Server) logRecordOf(r *logring.Record) control.LogRecord {
	object := control.LogRecord{Time: r.Time.UTC(), Level: config.LevelOf(r.Level).String(), Message: r.Message}
	user, ib := s.namesIn(r)
	for a := range r.Attrs() {
		if a.Key == attrUserName || a.Key == attrIbName {
			continue
		}
		object.Attrs = append(object.Attrs, control.LogAttr{Name: a.Key, Value: plainValue(a.Value)})
		switch {
		case a.Key == attrUser && user != "":
			object.Attrs = append(object.Attrs, control.LogAttr{Name: attrUserName, Value: user})
		case a.Key == attrIb && ib != "":
			object.Attrs = append(object.Attrs, control.LogAttr{Name: attrIbName, Value: ib})
		}
	}
	return object
}

// The attributes by which records tell of somebody.
const (
	attrApp  = "app"
	attrUser = "user_id"
	attrIb   = "ib"
	// What a session says that it is called.
	attrUserName = "user_name"
	attrIbName   = "ib_name"
)

// namesIn is what people call those whom a record tells of; empty if there is no name.
func (s *Server) namesIn(r *logring.Record) (user, ib string) {
	var appID, userID, ibID, saidUser, saidIb string
	for a := range r.Attrs() {
		switch a.Key {
		case attrApp:
			appID = a.Value.String()
		case attrUser:
			userID = a.Value.String()
		case attrIb:
			ibID = a.Value.String()
		case attrUserName:
			saidUser = a.Value.String()
		case attrIbName:
			saidIb = a.Value.String()
		}
	}
	if appID != "" && (userID != "" || ibID != "") {
		user, ib = s.called(appID, ibID, userID)
	}
	return cmp.Or(user, saidUser), cmp.Or(ib, saidIb)
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

func (s *Server) peerOfEvent(e *history.Event) control.Peer {
	who := &e.Session
	user, ib := s.called(who.AppID, who.IbID, who.UserID) // what it says of itself nobody has vouched for
	return control.Peer{
		Addr: who.Addr, AppID: who.AppID, IbID: who.IbID, IbName: ib, UserID: who.UserID, UserName: user,
		UserGroup: who.UserGroup,
	}
}

func (s *Server) refusalOfHistory(r history.Refusal) control.Refusal {
	return control.Refusal{
		Time: r.Time.UTC(), Reason: r.Reason, Count: r.Count, First: r.First.UTC(),
		Peer: s.peerOfEvent(&history.Event{Event: r.Event}),
	}
}
