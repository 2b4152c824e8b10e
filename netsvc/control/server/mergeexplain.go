package server

import (
	"cmp"
	"slices"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// mergeExplanation adds what another node knows of the same question.
func mergeExplanation(to *control.Explanation, of control.Explanation) {
	to.IbName, to.UserName = cmp.Or(to.IbName, of.IbName), cmp.Or(to.UserName, of.UserName)
	to.Connected = firstOf(to.Connected, of.Connected, maxConnected)
	to.ConnectedTotal += of.ConnectedTotal
	to.Detached = firstOf(to.Detached, of.Detached, maxConnected)
	to.OtherSpelling = firstOf(to.OtherSpelling, of.OtherSpelling, maxNearSessions)
	to.OtherPlaces = firstOf(to.OtherPlaces, of.OtherPlaces, maxNearSessions)

	to.InfobaseSessions += of.InfobaseSessions
	to.OtherGroups = sumOf(to.OtherGroups, of.OtherGroups)
	to.Infobases = sumOf(to.Infobases, of.Infobases)
	for id, name := range of.InfobaseNames {
		if to.InfobaseNames[id] == "" {
			setName(&to.InfobaseNames, id, name)
		}
	}
	if to.InfobaseSessions > 0 { // on one node at least
		to.Infobases, to.InfobaseNames = nil, nil
	}
	for _, one := range of.SameName {
		same := func(known control.Infobase) bool { return known.ID == one.ID }
		if i := slices.IndexFunc(to.SameName, same); i >= 0 {
			to.SameName[i].Sessions += one.Sessions
		} else {
			to.SameName = append(to.SameName, one)
		}
	}
	slices.SortFunc(to.SameName, func(a, b control.Infobase) int { return cmp.Compare(a.ID, b.ID) })

	if e := of.LastClosed; e != nil && (to.LastClosed == nil || e.Time.After(to.LastClosed.Time)) {
		to.LastClosed = e
	}
	if r := of.LastRefused; r != nil && (to.LastRefused == nil || r.Time.After(to.LastRefused.Time)) {
		to.LastRefused = r
	}
	latest := func(a, b control.Refusal) int { return b.Time.Compare(a.Time) }
	to.RefusedElsewhere = latestOf(to.RefusedElsewhere, of.RefusedElsewhere, maxRefusals, latest)
	to.Nameless = latestOf(to.Nameless, of.Nameless, maxRefusals, latest)
	to.RefusedRequests = latestOf(to.RefusedRequests, of.RefusedRequests, maxRefusals,
		func(a, b control.RefusedRequest) int { return b.Time.Compare(a.Time) })

	to.Unmet = mergeUnmet(to.Unmet, of.Unmet, len(to.Unmet)+len(of.Unmet))
	to.UnmetOtherSpelling = mergeUnmet(to.UnmetOtherSpelling, of.UnmetOtherSpelling, maxNearSessions)
}

// firstOf is as much of both as there may be; nil if there is nothing and was not before.
func firstOf[T any](a, b []T, most int) []T {
	a = append(a, b...)
	return a[:min(len(a), most)]
}

// latestOf is firstOf in an order.
func latestOf[T any](a, b []T, most int, order func(a, b T) int) []T {
	a = append(a, b...)
	slices.SortStableFunc(a, order)
	return a[:min(len(a), most)]
}

// sumOf adds the counts of words; nil if there are none on both sides.
func sumOf(to, of map[string]int) map[string]int {
	for word, n := range of {
		if to == nil {
			to = make(map[string]int)
		}
		if _, known := to[word]; known || len(to) < maxNearGroups {
			to[word] += n
		}
	}
	return to
}

// mergeUnmet adds up the messages to the same recipient that reached nobody: each was counted
// by the node that it was sent to.
func mergeUnmet(to, of []control.Unmet, most int) []control.Unmet {
	for _, one := range of {
		same := func(known control.Unmet) bool {
			a, b := known.Recipient, one.Recipient
			return a.Type == b.Type && a.IbID == b.IbID && a.UserID == b.UserID && a.UserGroup == b.UserGroup
		}
		i := slices.IndexFunc(to, same)
		if i < 0 {
			to = append(to, one)
			continue
		}
		known := &to[i]
		known.Count += one.Count
		if one.First.Before(known.First) {
			known.First = one.First
		}
		if one.Last.After(known.Last) {
			known.Last = one.Last
		}
		known.Spans = append(known.Spans, one.Spans...)
		slices.SortStableFunc(known.Spans, func(a, b control.UnmetSpan) int { return a.First.Compare(b.First) })
	}
	slices.SortStableFunc(to, func(a, b control.Unmet) int { return b.Last.Compare(a.Last) })
	return to[:min(len(to), most)]
}
