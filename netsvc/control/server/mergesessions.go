package server

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// maxMergedOffset bounds how many places all nodes send to skip them.
const maxMergedOffset = 50_000

// sessionsOfAll is a page of the sessions of all nodes. values are what query was made of.
func (s *Server) sessionsOfAll(ctx context.Context, query hub.Query, values url.Values) (control.SessionPage, error) {
	values = cloned(values)
	values.Set("places", placesWith)
	var unplaced []string // nodes that have not said what to skip
	if query.Offset > 0 {
		if query.Offset >= maxMergedOffset {
			return control.SessionPage{}, badRequest("offset: with %d and more of the sessions of a cluster to skip, "+
				"filter, or use after", maxMergedOffset)
		}
		if query.After != "" {
			_, err := s.hub.Sessions(query) // it says why not
			return control.SessionPage{}, err
		}
		last, total, missing, err := s.placeBefore(ctx, query, values)
		if err != nil {
			return control.SessionPage{}, err
		}
		if last == nil {
			return control.SessionPage{Sessions: []control.Session{}, Total: total, MissingNodes: missing}, nil
		}
		unplaced = missing
		query.Offset, query.After = 0, last.Cursor()
		values.Del("offset")
		values.Set("after", query.After)
	}
	own, err := s.ownSessions(query)
	if err != nil {
		return control.SessionPage{}, err
	}
	pages, missing := gather[nodePage](ctx, s, "/v1/sessions", values)
	page, err := mergePages(append(pages, own), &query)
	page.MissingNodes = union(missing, unplaced)
	return page, err
}

// placeBefore finds the last of the sessions that the query's offset skips; nil: there are
// no more.
func (s *Server) placeBefore(ctx context.Context, query hub.Query, values url.Values) (last *hub.Place, total int,
	missing []string, err error) {
	offset := query.Offset
	query.Offset, query.Limit = 0, offset
	values = cloned(values)
	values.Del("offset")
	values.Set("limit", strconv.Itoa(offset))
	values.Set("places", placesOnly)
	own, err := s.ownPlaces(query)
	if err != nil {
		return nil, 0, nil, err
	}
	all, total := own.Places, own.Total
	answers, missing := gather[nodePlaces](ctx, s, "/v1/sessions", values)
	for _, of := range answers {
		all, total = append(all, of.Places...), total+of.Total
	}
	if len(all) < offset {
		return nil, total, missing, nil
	}
	slices.SortFunc(all, query.Compare)
	return &all[offset-1], total, missing, nil
}

// placed is a session and where it stands among those of all nodes.
type placed struct {
	session control.Session
	at      hub.Place
}

// mergePages makes one page of those of several nodes, each of which has the node's first
// sessions behind the same place.
func mergePages(pages []nodePage, query *hub.Query) (control.SessionPage, error) {
	merged := control.SessionPage{Sessions: []control.Session{}}
	var all []placed
	var horizon *hub.Place // behind it a node may have sessions that it has not sent
	for _, page := range pages {
		merged.Total += page.Total
		for i, session := range page.Sessions[:min(len(page.Sessions), len(page.Places))] {
			all = append(all, placed{session, page.Places[i]})
		}
		end, err := hub.ParseCursor(page.Next)
		if err != nil {
			return control.SessionPage{}, err
		}
		if end != nil && (horizon == nil || query.Compare(*end, *horizon) < 0) {
			horizon = end
		}
	}
	slices.SortFunc(all, func(a, b placed) int { return query.Compare(a.at, b.at) })
	if horizon != nil {
		merged.Next = horizon.Cursor()
		all = slices.DeleteFunc(all, func(p placed) bool { return query.Compare(p.at, *horizon) > 0 })
	}
	if limit := cmp.Or(query.Limit, hub.MaxPage); len(all) > limit {
		all = all[:limit]
		merged.Next = all[limit-1].at.Cursor()
	}
	for _, p := range all {
		merged.Sessions = append(merged.Sessions, p.session)
	}
	return merged, nil
}
