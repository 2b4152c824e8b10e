package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// How much an explanation says of what is near.
const (
	maxConnected    = 100
	maxNearSessions = 20
	maxNearGroups   = 50
	maxRefusals     = 10
)

// explanation is the answer while it is put together.
type explanation struct{ control.Explanation }

// explain says why a message did or did not reach a user or a group.
func (s *Server) explain(r *http.Request) (reply, error) {
	values := r.URL.Query()
	about := explanation{control.Explanation{
		IbID: values.Get("ib"), UserID: values.Get("user"), UserGroup: values.Get("group"),
		Connected: []control.Session{}, OtherSpelling: []control.Session{}, OtherPlaces: []control.Session{},
		RefusedElsewhere: []control.Refusal{}, Nameless: []control.Refusal{},
	}}
	switch {
	case values.Get("app") == "":
		return nil, badRequest("app: is required")
	case about.IbID == "":
		return nil, badRequest("ib: is required")
	case about.UserID == "" && about.UserGroup == "":
		return nil, badRequest("user or group: one of the two is required")
	}
	a, ok := s.apps.Get(values.Get("app"))
	if !ok {
		return nil, app.ErrNotFound
	}
	about.AppID = a.ID
	about.lookAtSessions(s.hub)
	about.lookAtHistory(s.history)
	return object(about.Explanation), nil
}

// lookAtSessions finds the sessions that a message would reach, and what is near.
func (about *explanation) lookAtSessions(h *hub.Hub) {
	groups, infobases := make(map[string]int), make(map[string]int)
	h.Walk(func(s *hub.Session) bool {
		here := s.AppID == about.AppID && s.IbID == about.IbID
		switch {
		case here && about.means(s):
			about.ConnectedTotal++
			if len(about.Connected) < maxConnected {
				about.Connected = append(about.Connected, sessionOf(*s))
			}
		case about.nearlyMeans(s):
			if len(about.OtherSpelling) < maxNearSessions {
				about.OtherSpelling = append(about.OtherSpelling, sessionOf(*s))
			}
		case about.UserID != "" && len(about.OtherPlaces) < maxNearSessions && sameButForCase(s.UserID, about.UserID):
			about.OtherPlaces = append(about.OtherPlaces, sessionOf(*s))
		}
		if here {
			about.InfobaseSessions++
			count(groups, s.UserGroup)
			for _, group := range s.Groups {
				count(groups, group)
			}
		}
		if s.AppID == about.AppID {
			count(infobases, s.IbID)
		}
		return true
	})
	if about.UserGroup != "" {
		delete(groups, about.UserGroup)
		about.OtherGroups = groups
	}
	if about.InfobaseSessions == 0 {
		about.Infobases = infobases
	}
}

// means reports whether a session of the infobase is one of those asked about.
func (about *explanation) means(s *hub.Session) bool {
	return (about.UserID == "" || s.UserID == about.UserID) && (about.UserGroup == "" || s.InGroup(about.UserGroup))
}

// nearlyMeans reports whether a session of the app would be one of those asked about if
// ids were compared as people read them.
func (about *explanation) nearlyMeans(s *hub.Session) bool {
	return s.AppID == about.AppID && sameButForCase(s.IbID, about.IbID) &&
		(about.UserID == "" || sameButForCase(s.UserID, about.UserID)) && (about.UserGroup == "" || inGroupButForCase(s, about.UserGroup))
}

func inGroupButForCase(s *hub.Session, group string) bool {
	same := func(of string) bool { return sameButForCase(of, group) }
	return same(s.UserGroup) || slices.ContainsFunc(s.Groups, same)
}

// sameButForCase compares what people type into 1C, and copy with braces or a blank.
func sameButForCase(a, b string) bool {
	return strings.EqualFold(plainID(a), plainID(b))
}

// plainID is an id without the braces and blanks around it.
func plainID(id string) string { return strings.Trim(id, "{} \t\r\n\u00a0") }

// count counts a word, unless there are very many already.
func count(words map[string]int, word string) {
	if _, known := words[word]; known || len(words) < maxNearGroups {
		words[word]++
	}
}

// lookAtHistory finds out what happened to the user's sessions before.
func (about *explanation) lookAtHistory(h *history.History) {
	about.Nameless = refusalsOf(h.Nameless())
	about.RefusedRequests = refusedRequestsOf(h.Requests(about.AppID))
	if about.UserID == "" {
		return
	}
	if e, known := h.LastClosed(about.AppID, about.IbID, about.UserID); known {
		closed := eventOf(&history.Event{Event: e})
		about.LastClosed = &closed
	}
	if r, known := h.LastRefused(about.AppID, about.IbID, about.UserID); known {
		refused := refusalOfHistory(r)
		about.LastRefused = &refused
	}
	about.RefusedElsewhere = refusalsOf(h.RefusedElsewhere(about.AppID, about.IbID, about.UserID))
}

func refusedRequestsOf(all []history.Request) []control.RefusedRequest {
	objects := []control.RefusedRequest{}
	for _, r := range all[:min(len(all), maxRefusals)] {
		objects = append(objects, control.RefusedRequest{
			Time: r.Time.UTC(), Reason: string(r.Reason), Detail: r.Detail, Addr: r.Peer.String(), Count: r.Count, First: r.First.UTC(),
		})
	}
	return objects
}

func refusalsOf(all []history.Refusal) []control.Refusal {
	objects := []control.Refusal{}
	for _, r := range all[:min(len(all), maxRefusals)] {
		objects = append(objects, refusalOfHistory(r))
	}
	return objects
}
