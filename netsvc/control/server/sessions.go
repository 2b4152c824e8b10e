package server

import (
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// sessionParameters are what /sessions takes; places and node are for other nodes.
var sessionParameters = []string{"app", "ib", "user", "group", "q", "sort", "limit", "after", "offset", "node",
	"places"}

// query is what the parameters of a request ask for.
func (s *Server) query(values url.Values) (hub.Query, error) {
	query := hub.Query{
		AppID: values.Get("app"), IbID: values.Get("ib"), UserID: values.Get("user"), UserGroup: values.Get("group"),
		Text: values.Get("q"), Sort: values.Get("sort"), After: values.Get("after"),
		Names: s.called, Title: s.titleOf,
	}
	if s.nodes != nil {
		query.Node = s.nodes.Self
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
	values := r.URL.Query()
	if err := s.ownOnly(values); err != nil {
		return nil, err
	}
	query, err := s.query(values)
	if err != nil {
		return nil, err
	}
	if s.merges(values) {
		page, err := s.sessionsOfAll(r.Context(), query, values)
		if err != nil {
			return nil, err
		}
		return object(page), nil
	}
	switch values.Get("places") {
	case "":
		page, err := s.ownSessions(query)
		return object(page.SessionPage), err
	case placesWith:
		page, err := s.ownSessions(query)
		return object(page), err
	case placesOnly:
		places, err := s.ownPlaces(query)
		return object(places), err
	}
	return nil, badRequest("places: expected %s or %s", placesWith, placesOnly)
}

// The words of the parameter places.
const (
	placesWith = "with" // the page is a nodePage
	placesOnly = "only" // the answer is a nodePlaces
)

// nodePage is a page of one node, for the node that merges it with others.
type nodePage struct {
	control.SessionPage
	Places []hub.Place `json:"places"` // of each session
}

// nodePlaces are the first places of one node.
type nodePlaces struct {
	Places []hub.Place `json:"places"`
	Total  int         `json:"total"`
}

func (s *Server) ownSessions(query hub.Query) (nodePage, error) {
	page, err := s.hub.Sessions(query)
	if err != nil {
		return nodePage{}, err
	}
	found := nodePage{control.SessionPage{Sessions: []control.Session{}, Total: page.Total, Next: page.Next}, page.Places}
	for _, session := range page.Sessions {
		found.Sessions = append(found.Sessions, s.sessionOf(session))
	}
	return found, nil
}

func (s *Server) ownPlaces(query hub.Query) (nodePlaces, error) {
	if query.Limit > maxMergedOffset || query.Offset != 0 || query.After != "" {
		return nodePlaces{}, badRequest("limit: expected up to %d, and no offset or after", maxMergedOffset)
	}
	places, total, err := s.hub.Places(query)
	return nodePlaces{places, total}, err
}

// closeSession ends a session, of this node or of the one after the @ in its id.
func (s *Server) closeSession(r *http.Request) (reply, error) {
	notFound := refuse(http.StatusNotFound, control.CodeSessionNotFound, "there is no such session")
	number, node, _ := strings.Cut(pathID(r), "@")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, notFound
	}
	switch {
	case node == "" || s.nodes != nil && node == s.nodes.Self:
	case s.nodes == nil:
		return nil, notFound
	default:
		return func(w http.ResponseWriter, r *http.Request) error {
			s.forward(w, r, node, route{access: change}, s.silence())
			return nil
		}, nil
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
