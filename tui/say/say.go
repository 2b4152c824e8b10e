// Package say puts the objects of the control channel into words, in the language
// of a person. The command line and the panel both use it, so that they say the
// same. What comes from outside is made harmless for a terminal here.
package say

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Words say things in one language.
type Words struct {
	Text *locale.Localizer
	// Titles are those of the apps, by id. An app without one is called by its id.
	Titles map[string]string
}

// TitlesOf returns the titles of apps for Words.
func TitlesOf(apps []control.App) map[string]string {
	titles := make(map[string]string, len(apps))
	for _, a := range apps {
		titles[a.ID] = a.Title
	}
	return titles
}

// App is what an app is called: its title, or its id if it has none here.
func (w Words) App(id string) string {
	if title := w.Titles[strings.ToLower(id)]; title != "" {
		return locale.Clean(title)
	}
	return locale.Clean(id)
}

// Reason explains a word for which something was refused or closed, and names the
// word, for that is what logs and metrics have.
func (w Words) Reason(word string) string {
	id := "live.reason_" + word
	if text := w.Text.T(id); text != id {
		return text + " (" + word + ")"
	}
	return locale.Clean(word)
}

// Time writes a moment in the time zone of the person.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Age writes a duration in its two largest units.
func (w Words) Age(d time.Duration) string {
	d = max(d.Round(time.Second), 0) // the clock on the wall may have been set back
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return w.Text.T("live.age_days", "days", days, "hours", hours)
	case hours > 0:
		return w.Text.T("live.age_hours", "hours", hours, "minutes", minutes)
	case minutes > 0:
		return w.Text.T("live.age_minutes", "minutes", minutes, "seconds", seconds)
	}
	return w.Text.T("live.age_seconds", "seconds", seconds)
}

// Seconds writes a short time with the unit that fits.
func (w Words) Seconds(s float64) string {
	switch {
	case s < 0.001:
		return w.Text.T("live.microseconds", "n", w.Text.Number(fmt.Sprintf("%.0f", s*1e6)))
	case s < 0.9995: // else it is 1e+03 of them
		return w.Text.T("live.milliseconds", "n", w.Text.Number(fmt.Sprintf("%.3g", s*1e3)))
	}
	return w.Text.T("live.seconds", "n", w.Text.Number(fmt.Sprintf("%.3g", s)))
}

// Bytes writes a size in binary units.
func (w Words) Bytes(n uint64) string {
	const step = 1024
	if n < step {
		return w.Text.T("live.size_b", "n", n)
	}
	value, unit := float64(n), -1
	for value >= step && unit < 4 {
		value /= step
		unit++
	}
	return w.Text.T("live.size_"+string("kmgtp"[unit]), "n", w.Text.Number(fmt.Sprintf("%.1f", value)))
}

// Rate writes how often something happens in a second.
func (w Words) Rate(perSecond float64) string {
	switch {
	case perSecond == 0:
		return "0"
	case perSecond < 9.95:
		return w.Text.Number(fmt.Sprintf("%.1f", perSecond))
	}
	return w.Text.Number(fmt.Sprintf("%.0f", perSecond))
}

// count writes a whole number.
func count[T int | uint32 | uint64](w Words, n T) string { return w.Text.Number(fmt.Sprint(n)) }

// user is how a session's user is called.
func (w Words) user(id, name string) string {
	if id == "" && name == "" {
		return w.Text.T("live.no_user")
	}
	return Called(id, name)
}

func (w Words) group(name string) string {
	if name == "" {
		return w.Text.T("live.no_group")
	}
	return w.Text.T("live.group", "group", locale.Clean(name))
}

// Event says an event in one line, without its time.
func (w Words) Event(e control.Event) string {
	switch {
	case e.Lost > 0:
		return w.Text.T("live.lost", "N", e.Lost)
	case e.Session != nil:
		return w.sessionEvent(e)
	case e.Peer != nil:
		if e.Peer.AppID == "" {
			return w.Text.T("live.registration_refused_nameless", "addr", e.Peer.Addr, "reason", w.Reason(e.Reason))
		}
		return w.Text.T("live.registration_refused",
			"addr", e.Peer.Addr,
			"reason", w.Reason(e.Reason),
			"user", w.user(e.Peer.UserID, e.Peer.UserName),
			"ib", Called(e.Peer.IbID, e.Peer.IbName),
			"app", w.App(e.Peer.AppID))
	case e.Recipient != nil:
		return w.Text.T("live.message_without_recipient", "N", e.Count, "to", w.recipient(*e.Recipient),
			"ib", Called(e.Recipient.IbID, e.Recipient.IbName), "app", w.App(e.AppID))
	case e.Statistics != nil:
		s := e.Statistics
		return w.Text.T("live.statistics",
			"sessions", count(w, s.Sessions),
			"messages", w.Rate(s.Rates.Messages),
			"delivered", w.Rate(s.Rates.Delivered),
			"opened", w.Rate(s.Rates.Opened),
			"closed", w.Rate(s.Rates.Closed),
			"memory", w.Bytes(s.MemoryBytes))
	case e.Event == control.EventNode:
		id := "live.event_node_" + e.Change
		if text := w.Text.T(id, "node", locale.Clean(e.PeerNode)); text != id {
			return text
		}
	case e.Change != "":
		return w.Text.T("live.app_changed", "app", locale.Clean(e.Title), "change", w.Text.T("live.change_"+e.Change))
	}
	return locale.Clean(e.Event)
}

func (w Words) sessionEvent(e control.Event) string {
	s := e.Session
	args := []any{
		"session", s.ID,
		"user", w.user(s.UserID, s.UserName),
		"group", w.group(strings.Join(s.InGroups(), ", ")),
		"ib", Called(s.IbID, s.IbName),
		"app", w.App(s.AppID),
		"addr", s.Addr,
		"reason", w.Reason(e.Reason),
		"delivered", count(w, s.Delivered),
		"node", locale.Clean(e.PeerNode),
	}
	if e.AgeSeconds != nil {
		args = append(args, "age", w.Age(time.Duration(*e.AgeSeconds)*time.Second))
	}
	// The word of the event is one that the catalogue has, or one of a newer daemon.
	id := "live.session_" + strings.TrimPrefix(e.Event, "session_")
	if text := w.Text.T(id, args...); text != id {
		return text
	}
	return locale.Clean(e.Event)
}

// Explanation says why a message did or did not arrive, in lines. now is when it
// was asked.
func (w Words) Explanation(e control.Explanation, now time.Time) []string {
	var lines []string
	say := func(id string, args ...any) { lines = append(lines, w.Text.T("live.explain_"+id, args...)) }
	detail := func(text string) { lines = append(lines, "  "+text) }

	if len(e.MissingNodes) > 0 {
		say("missing_nodes", "nodes", locale.Clean(strings.Join(e.MissingNodes, ", ")))
	}
	if e.ConnectedTotal > 0 {
		say("connected", "N", e.ConnectedTotal)
		for _, s := range e.Connected {
			detail(w.session(s, now))
		}
		if hidden := e.ConnectedTotal - len(e.Connected); hidden > 0 {
			detail(w.Text.T("live.and_more", "N", hidden))
		}
	} else if len(e.Detached) == 0 {
		say("not_connected")
	}
	for _, s := range e.Detached {
		say("away", "time", Time(*s.DetachedAt), "N", s.Waiting)
		detail(w.session(s, now))
	}

	w.unmet(e, say, detail)
	if c := e.LastClosed; c != nil {
		say("last_closed",
			"time", Time(c.Time),
			"reason", w.Reason(c.Reason),
			"delivered", count(w, c.Session.Delivered),
			"last", w.lastDelivery(*c.Session))
	}
	if r := e.LastRefused; r != nil {
		say("last_refused", "time", Time(r.Time), "reason", w.Reason(r.Reason), "addr", r.Peer.Addr, "N", r.Count)
	}
	if e.ConnectedTotal == 0 && len(e.Detached) == 0 && e.UserID != "" && e.LastClosed == nil && e.LastRefused == nil &&
		len(e.Unmet) == 0 {
		say("never_seen")
	}

	if len(e.OtherSpelling) > 0 {
		say("other_spelling")
		for _, s := range e.OtherSpelling {
			detail(w.Text.T("live.spelt", "user", locale.Clean(s.UserID), "ib", locale.Clean(s.IbID), "group",
				locale.Clean(strings.Join(s.InGroups(), ", "))) + "; " + w.session(s, now))
		}
	}
	if len(e.OtherPlaces) > 0 {
		say("other_places")
		for _, s := range e.OtherPlaces {
			place := w.Text.T("live.place",
				"user", w.user(s.UserID, s.UserName),
				"ib", Called(s.IbID, s.IbName),
				"app", w.App(s.AppID),
				"group", w.group(strings.Join(s.InGroups(), ", ")))
			detail(place + "; " + w.session(s, now))
		}
	}
	if e.InfobaseSessions > 0 && e.ConnectedTotal == 0 {
		say("infobase", "N", e.InfobaseSessions, "ib", Called(e.IbID, e.IbName))
	}
	if e.UserGroup != "" && len(e.OtherGroups) > 0 {
		say("other_groups")
		for _, name := range byCount(e.OtherGroups) {
			detail(w.counted(w.group(name), e.OtherGroups[name]))
		}
		if e.OtherGroups[""] > 0 {
			say("empty_group")
		}
	}
	if e.InfobaseSessions == 0 && len(e.Detached) == 0 {
		if len(e.Infobases) == 0 {
			say("no_infobases")
		} else {
			say("infobases", "ib", Called(e.IbID, e.IbName))
			for _, id := range byCount(e.Infobases) {
				detail(w.counted(InFull(id, e.InfobaseNames[id]), e.Infobases[id]))
			}
		}
	}
	if len(e.SameName) > 0 {
		say("same_name", "ib", Name(e.IbID, e.IbName))
		for _, ib := range e.SameName {
			detail(w.counted(InFull(ib.ID, ib.Name), ib.Sessions))
		}
	}

	if len(e.RefusedRequests) > 0 {
		say("refused_requests")
		for _, r := range e.RefusedRequests {
			detail(w.refusedRequest(r))
		}
	}
	w.refusals(e.RefusedElsewhere, "refused_elsewhere", say, detail)
	if e.ConnectedTotal == 0 {
		w.refusals(e.Nameless, "nameless", say, detail)
	}
	return lines
}

// byCount returns the names, the most frequent first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
}

func (w Words) counted(name string, n int) string {
	return w.Text.T("live.counted", "name", name, "sessions", w.Text.T("live.n_sessions", "N", n))
}

func (w Words) refusals(all []control.Refusal, heading string, say func(string, ...any), detail func(string)) {
	if len(all) == 0 {
		return
	}
	say(heading)
	for _, r := range all {
		text := Time(r.Time) + "  " + r.Peer.Addr + "  " + w.Reason(r.Reason)
		if r.Peer.AppID != "" {
			text += "  " + w.Text.T("live.claimed", "ib", Called(r.Peer.IbID, r.Peer.IbName), "app",
				w.App(r.Peer.AppID))
		}
		if r.Count > 1 {
			text += "  ×" + count(w, r.Count)
		}
		detail(text)
	}
}

func (w Words) refusedRequest(r control.RefusedRequest) string {
	text := Time(r.Time) + "  " + r.Addr + "  " + w.Reason(r.Reason)
	if r.Detail != "" {
		text += ": " + locale.Clean(r.Detail)
	}
	if r.Count > 1 {
		text += "  ×" + count(w, r.Count)
	}
	return text
}

// session describes an open session in a line.
func (w Words) session(s control.Session, now time.Time) string {
	id := "live.session"
	if s.DetachedAt != nil {
		id = "live.session_before"
	}
	return w.Text.T(id,
		"session", s.ID,
		"addr", s.Addr,
		"age", w.Age(now.Sub(s.Since)),
		"generation", s.KeyGeneration,
		"delivered", count(w, s.Delivered),
		"last", w.lastDelivery(s))
}

func (w Words) lastDelivery(s control.Session) string {
	if s.LastDeliveryAt == nil {
		return w.Text.T("live.never")
	}
	return Time(*s.LastDeliveryAt)
}
