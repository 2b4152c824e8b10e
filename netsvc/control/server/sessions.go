package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// sessionParameters are what /sessions takes.
var sessionParameters = []string{"app", "ib", "user", "group", "q", "sort", "limit", "after", "offset"}

func hubQuery(values url.Values) (hub.Query, error) {
	query := hub.Query{
		AppID: values.Get("app"), IbID: values.Get("ib"), UserID: values.Get("user"), UserGroup: values.Get("group"),
		Text: values.Get("q"), Sort: values.Get("sort"), After: values.Get("after"),
	}
	if limit := values.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			return hub.Query{}, badRequest("limit: expected a number from 1 to %d", hub.MaxPage)
		}
		query.Limit = n
	}
	if offset := values.Get("offset"); offset != "" {
		n, err := strconv.Atoi(offset)
		if err != nil || n < 0 {
			return hub.Query{}, badRequest("offset: expected a number, 0 or more")
		}
		query.Offset = n
	}
	return query, nil
}

func (s *Server) listSessions(r *http.Request) (reply, error) {
	query, err := hubQuery(r.URL.Query())
	if err != nil {
		return nil, err
	}
	query.Names, query.Title = s.called, s.titleOf
	page, err := s.hub.Sessions(query)
	if err != nil {
		return nil, err
	}
	found := control.SessionPage{Sessions: []control.Session{}, Total: page.Total, Next: page.Next}
	for _, session := range page.Sessions {
		found.Sessions = append(found.Sessions, s.sessionOf(session))
	}
	return object(found), nil
}

func (s *Server) closeSession(r *http.Request) (reply, error) {
	notFound := refuse(http.StatusNotFound, control.CodeSessionNotFound, "there is no such session")
	id, err := strconv.ParseUint(pathID(r), 10, 64)
	if err != nil {
		return nil, notFound
	}
	var since time.Time
	if text := r.URL.Query().Get("since"); text != "" {
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, badRequest("since: expected the time that the list of sessions gives")
		}
	}
	last, ok := s.hub.CloseSession(id, since)
	if !ok {
		return nil, notFound
	}
	s.audit(r, "close session", slog.Uint64("session", id), slog.String("app", last.AppID),
		slog.String("ib", last.IbID), slog.String("user_id", last.UserID))
	return done(), nil
}
