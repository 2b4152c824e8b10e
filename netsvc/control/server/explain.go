package server

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// How much an explanation says of what is near.
const (
	maxConnected    = 100
	maxNearSessions = 20
	maxNearGroups   = 50
	maxRefusals     = 10
)

// explanation is the answer while it is put together.
type explanation struct {
	control.Explanation
	server *Server
}

// explain says why a message did or did not reach a user or a group.
func (s *Server) explain(r *http.Request) (reply, error) {
	values := r.URL.Query()
	if err := s.ownOnly(values); err != nil {
		return nil, err
	}
	about := explanation{server: s, Explanation: control.Explanation{
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
	about.UserName, about.IbName = s.called(a.ID, about.IbID, about.UserID)
	about.lookAtSessions(s.hub)
	about.lookAtHistory(s.history)
	about.lookAtUnmet(s.history)
	if s.merges(values) {
		others, missing := gather[control.Explanation](r.Context(), s, "/v1/explain", values)
		for _, of := range others {
			mergeExplanation(&about.Explanation, of)
		}
		about.MissingNodes = missing
	}
	return object(about.Explanation), nil
}

// lookAtSessions finds the sessions that a message would reach, and what is near.
func (about *explanation) lookAtSessions(h *hub.Hub) {
	groups, infobases, names := make(map[string]int), make(map[string]int), make(map[string]string)
	h.Walk(func(s *hub.Session) bool {
		here := s.AppID == about.AppID && s.IbID == about.IbID
		switch {
		case here && about.means(s) && !s.Away.IsZero():
			if len(about.Detached) < maxConnected {
				about.Detached = append(about.Detached, about.server.sessionOf(*s))
			}
		case here && about.means(s):
			about.ConnectedTotal++
			if len(about.Connected) < maxConnected {
				about.Connected = append(about.Connected, about.server.sessionOf(*s))
			}
		case about.nearlyMeans(s):
			if len(about.OtherSpelling) < maxNearSessions {
				about.OtherSpelling = append(about.OtherSpelling, about.server.sessionOf(*s))
			}
		case about.UserID != "" && len(about.OtherPlaces) < maxNearSessions && sameButForCase(s.UserID, about.UserID):
			about.OtherPlaces = append(about.OtherPlaces, about.server.sessionOf(*s))
		}
		if here && s.Away.IsZero() {
			about.InfobaseSessions++
			about.takeNames(s)
			count(groups, s.UserGroup)
			for _, group := range s.Groups {
				count(groups, group)
			}
		}
		if s.AppID == about.AppID {
			if s.Away.IsZero() {
				count(infobases, s.IbID)
			}
			if _, name := about.server.nameOf(s); name != "" {
				names[s.IbID] = name
			}
		}
		return true
	})
	if about.UserGroup != "" {
		delete(groups, about.UserGroup)
		about.OtherGroups = groups
	}
	if about.InfobaseSessions == 0 {
		about.Infobases = infobases
		for id := range infobases {
			if name := names[id]; name != "" {
				setName(&about.InfobaseNames, id, name)
			}
		}
	}
	for id, name := range names {
		if about.IbName != "" && id != about.IbID && !sameButForCase(id, about.IbID) &&
			strings.EqualFold(name, about.IbName) {
			about.SameName = append(about.SameName, control.Infobase{AppID: about.AppID, ID: id, Name: name,
				Sessions: infobases[id]})
		}
	}
	slices.SortFunc(about.SameName, func(a, b control.Infobase) int { return strings.Compare(a.ID, b.ID) })
}

func setName(names *map[string]string, id, name string) {
	if *names == nil {
		*names = make(map[string]string)
	}
	(*names)[id] = name
}

// takeNames takes the names that a session of the infobase says, where no administrator
// has given others.
func (about *explanation) takeNames(s *hub.Session) {
	user, ib := about.server.nameOf(s)
	about.IbName = cmp.Or(about.IbName, ib)
	if about.UserID != "" && s.UserID == about.UserID {
		about.UserName = cmp.Or(about.UserName, user)
	}
}

// lookAtUnmet finds the messages that were for whom is asked about and reached nobody.
func (about *explanation) lookAtUnmet(h *history.History) {
	about.Unmet, about.UnmetOtherSpelling = []control.Unmet{}, []control.Unmet{}
	wanted := map[wire.RecipientType]string{wire.ToUser: about.UserID, wire.ToGroup: about.UserGroup}
	for _, u := range h.UnmetOf(about.AppID, func(r history.Recipient) bool {
		name, all := wanted[r.Type], r.Type == wire.ToAll
		return sameButForCase(r.IbID, about.IbID) && (all || name != "" && sameButForCase(r.Name, name))
	}) {
		if u.IbID == about.IbID && u.Name == wanted[u.Type] {
			about.Unmet = append(about.Unmet, about.server.unmetOf(u))
		} else if len(about.UnmetOtherSpelling) < maxNearSessions {
			about.UnmetOtherSpelling = append(about.UnmetOtherSpelling, about.server.unmetOf(u))
		}
	}
}

func (s *Server) recipientOf(r history.Recipient) control.Recipient {
	object := control.Recipient{Type: string(r.Type), IbID: r.IbID}
	switch r.Type {
	case wire.ToUser:
		object.UserID = r.Name
	case wire.ToGroup:
		object.UserGroup = r.Name
	}
	object.UserName, object.IbName = s.called(r.AppID, r.IbID, object.UserID)
	return object
}

func (s *Server) unmetOf(u history.Unmet) control.Unmet {
	object := control.Unmet{Recipient: s.recipientOf(u.Recipient), Count: u.Count, First: u.First().UTC(),
		Last: u.Last().UTC()}
	for _, span := range u.Spans {
		object.Spans = append(object.Spans, control.UnmetSpan{First: span.First.UTC(), Last: span.Last.UTC(),
			Count: span.Count})
	}
	return object
}

// means reports whether a session of the infobase is one of those asked about.
func (about *explanation) means(s *hub.Session) bool {
	return (about.UserID == "" || s.UserID == about.UserID) && (about.UserGroup == "" || s.InGroup(about.UserGroup))
}

// nearlyMeans reports whether a session of the app would be one of those asked about if
// ids were compared as people read them.
func (about *explanation) nearlyMeans(s *hub.Session) bool {
	return s.AppID == about.AppID && sameButForCase(s.IbID, about.IbID) &&
		(about.UserID == "" || sameButForCase(s.UserID, about.UserID)) &&
		(about.UserGroup == "" || inGroupButForCase(s, about.UserGroup))
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
	about.Nameless = about.server.refusalsOf(h.Nameless())
	about.RefusedRequests = refusedRequestsOf(h.Requests(about.AppID))
	if about.UserID == "" {
		return
	}
	if e, known := h.LastClosed(about.AppID, about.IbID, about.UserID); known {
		closed := about.server.eventOf(&history.Event{Event: e})
		about.LastClosed = &closed
	}
	if r, known := h.LastRefused(about.AppID, about.IbID, about.UserID); known {
		refused := about.server.refusalOfHistory(r)
		about.LastRefused = &refused
	}
	about.RefusedElsewhere = about.server.refusalsOf(h.RefusedElsewhere(about.AppID, about.IbID, about.UserID))
}

func refusedRequestsOf(all []history.Request) []control.RefusedRequest {
	objects := []control.RefusedRequest{}
	for _, r := range all[:min(len(all), maxRefusals)] {
		objects = append(objects, control.RefusedRequest{
			Time: r.Time.UTC(), Reason: string(r.Reason), Detail: r.Detail, Addr: r.Peer.String(), Count: r.Count,
			First: r.First.UTC(),
		})
	}
	return objects
}

func (s *Server) refusalsOf(all []history.Refusal) []control.Refusal {
	objects := []control.Refusal{}
	for _, r := range all[:min(len(all), maxRefusals)] {
		objects = append(objects, s.refusalOfHistory(r))
	}
	return objects
}
