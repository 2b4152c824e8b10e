package server

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/fold"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// maxPeople is how many people are listed at most.
const maxPeople = 200

// people gathers those who match.
type people struct {
	server      *Server
	appID, text string // empty: any; the text is in lower case
	found       map[history.User]*control.Person
	named       map[[2]string]bool // app and user of those found
}

// listPeople finds users by a part of the id or the name.
func (s *Server) listPeople(r *http.Request) (reply, error) {
	values := r.URL.Query()
	if err := s.ownOnly(values); err != nil {
		return nil, err
	}
	limit, err := peopleLimit(values)
	if err != nil {
		return nil, err
	}
	appID, err := s.appIn(values)
	if err != nil {
		return nil, err
	}
	all := people{server: s, appID: appID, text: strings.ToLower(values.Get("q")),
		found: make(map[history.User]*control.Person), named: make(map[[2]string]bool)}
	s.hub.Walk(func(one *hub.Session) bool {
		user, ib := s.nameOf(one)
		if p := all.add(history.User{AppID: one.AppID, IbID: one.IbID, UserID: one.UserID}, user, ib); p != nil {
			p.Sessions++
		}
		return true
	})
	s.history.Users(func(u history.User) {
		user, ib := s.called(u.AppID, u.IbID, u.UserID)
		all.add(u, user, ib)
	})
	all.addNamed()
	var unlisted int
	var missing []string
	if s.merges(values) {
		var others []control.People
		others, missing = gather[control.People](r.Context(), s, "/v1/people", values)
		for _, of := range others {
			all.merge(of.People)
			unlisted += of.Total - len(of.People) // some of them are in the list, from another node
		}
	}
	sorted := all.sorted()
	answer := control.People{People: sorted[:min(len(sorted), limit)], Total: len(sorted) + unlisted,
		MissingNodes: missing}
	return object(answer), nil
}

func peopleLimit(values url.Values) (int, error) {
	text := values.Get("limit")
	if text == "" {
		return maxPeople, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxPeople {
		return 0, badRequest("limit: expected a number from 1 to %d", maxPeople)
	}
	return limit, nil
}

// appIn is the id of the app that a query names, empty if it names none.
func (s *Server) appIn(values url.Values) (string, error) {
	if values.Get("app") == "" {
		return "", nil
	}
	a, ok := s.apps.Get(values.Get("app"))
	if !ok {
		return "", app.ErrNotFound
	}
	return a.ID, nil
}

// add adds somebody who matches, or returns nil.
func (all *people) add(u history.User, name, ib string) *control.Person {
	if u.UserID == "" || all.appID != "" && u.AppID != all.appID || !fold.Contains(u.UserID, all.text) &&
		!fold.Contains(name, all.text) {
		return nil
	}
	p := all.found[u]
	if p == nil {
		exact := strings.EqualFold(u.UserID, all.text) || strings.EqualFold(name, all.text)
		p = &control.Person{AppID: u.AppID, IbID: u.IbID, UserID: u.UserID, Exact: exact}
		all.found[u] = p
		all.named[[2]string{u.AppID, strings.ToLower(u.UserID)}] = true
	}
	p.UserName, p.IbName = cmp.Or(p.UserName, name), cmp.Or(p.IbName, ib)
	return p
}

// merge adds those that another node has found.
func (all *people) merge(others []control.Person) {
	for _, of := range others {
		// Whom only a table of names knows there a session may have told of here, and reversed.
		nameOnly := of.IbID == "" && all.named[[2]string{of.AppID, strings.ToLower(of.UserID)}]
		key := history.User{AppID: of.AppID, IbID: of.IbID, UserID: of.UserID}
		p := all.found[key]
		switch {
		case p != nil:
			p.Sessions += of.Sessions
			p.UserName, p.IbName = cmp.Or(p.UserName, of.UserName), cmp.Or(p.IbName, of.IbName)
			p.Exact = p.Exact || of.Exact
		case !nameOnly:
			all.found[key] = &of
			if of.IbID != "" {
				delete(all.found, history.User{AppID: of.AppID, UserID: of.UserID})
			}
			all.named[[2]string{of.AppID, strings.ToLower(of.UserID)}] = true
		}
	}
}

// addNamed adds those whom only the tables of names know.
func (all *people) addNamed() {
	for _, a := range all.server.apps.List() {
		for n := range a.Names().All() {
			if n.Kind == names.User && !all.named[[2]string{a.ID, strings.ToLower(n.ID)}] {
				all.add(history.User{AppID: a.ID, UserID: n.ID}, n.Name, "")
			}
		}
	}
}

// sorted has those who match exactly first, then those with a name, by name.
func (all *people) sorted() []control.Person {
	sorted := make([]control.Person, 0, len(all.found))
	for _, p := range all.found {
		sorted = append(sorted, *p)
	}
	rank := func(p *control.Person) int {
		switch {
		case p.Exact:
			return 0
		case p.IbID != "":
			return 1
		}
		return 2
	}
	slices.SortFunc(sorted, func(a, b control.Person) int {
		return cmp.Or(cmp.Compare(rank(&a), rank(&b)), strings.Compare(a.UserName, b.UserName),
			strings.Compare(a.UserID, b.UserID),
			strings.Compare(a.AppID, b.AppID), strings.Compare(a.IbID, b.IbID))
	})
	return sorted
}

// listInfobases lists the infobases of an app, or of all.
func (s *Server) listInfobases(r *http.Request) (reply, error) {
	values := r.URL.Query()
	if err := s.ownOnly(values); err != nil {
		return nil, err
	}
	appID, err := s.appIn(values)
	if err != nil {
		return nil, err
	}
	objects := s.ownInfobases(appID)
	if s.merges(values) {
		others, _ := gather[[]control.Infobase](r.Context(), s, "/v1/infobases", values)
		for _, of := range others {
			objects = mergeInfobases(objects, of)
		}
	}
	slices.SortFunc(objects, func(a, b control.Infobase) int {
		return cmp.Or(strings.Compare(strings.ToLower(cmp.Or(a.Name, a.ID)), strings.ToLower(cmp.Or(b.Name, b.ID))),
			strings.Compare(a.ID, b.ID), strings.Compare(a.AppID, b.AppID))
	})
	return object(objects), nil
}

// mergeInfobases adds up what two nodes know of infobases.
func mergeInfobases(to, of []control.Infobase) []control.Infobase {
	at := make(map[[2]string]int, len(to))
	for i, one := range to {
		at[[2]string{one.AppID, one.ID}] = i
	}
	for _, one := range of {
		i, known := at[[2]string{one.AppID, one.ID}]
		if !known {
			to = append(to, one)
			continue
		}
		sum := &to[i]
		sum.Name = cmp.Or(sum.Name, one.Name)
		sum.Sessions, sum.Users, sum.Groups = sum.Sessions+one.Sessions, sum.Users+one.Users, sum.Groups+one.Groups
		sum.Messages, sum.Unmatched = sum.Messages+one.Messages, sum.Unmatched+one.Unmatched
		sum.LastMessageAt = later(sum.LastMessageAt, one.LastMessageAt)
	}
	return to
}

// ownInfobases are those that this node knows, of an app or of all.
func (s *Server) ownInfobases(appID string) []control.Infobase {
	said := s.saidNames(appID)
	objects := []control.Infobase{}
	there := make(map[[2]string]bool)
	for _, ib := range s.hub.Infobases(appID) {
		key := [2]string{ib.AppID, ib.IbID}
		there[key] = true
		_, name := s.called(ib.AppID, ib.IbID, "")
		one := control.Infobase{
			AppID: ib.AppID, ID: ib.IbID, Name: cmp.Or(name, said[key]), Sessions: ib.Sessions, Users: ib.Users,
			Groups:   ib.Groups,
			Messages: ib.Messages, Unmatched: ib.Unmatched,
		}
		if !ib.LastMessageAt.IsZero() {
			at := ib.LastMessageAt.UTC()
			one.LastMessageAt = &at
		}
		objects = append(objects, one)
	}
	for _, a := range s.apps.List() {
		for n := range a.Names().All() {
			if n.Kind == names.Infobase && (appID == "" || a.ID == appID) && !there[[2]string{a.ID, n.ID}] {
				objects = append(objects, control.Infobase{AppID: a.ID, ID: n.ID, Name: n.Name})
			}
		}
	}
	return objects
}

// saidNames are what sessions say that their infobases are called, by app and infobase.
func (s *Server) saidNames(appID string) map[[2]string]string {
	said := make(map[[2]string]string)
	s.hub.Walk(func(one *hub.Session) bool {
		if one.IbName != "" && (appID == "" || one.AppID == appID) {
			said[[2]string{one.AppID, one.IbID}] = one.IbName
		}
		return true
	})
	return said
}
