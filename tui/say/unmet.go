package say

import (
	"fmt"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// recipient is whom a message was for, within an infobase.
func (w Words) recipient(r control.Recipient) string {
	switch {
	case r.UserID != "":
		return Called(r.UserID, r.UserName)
	case r.UserGroup != "":
		return w.group(r.UserGroup)
	}
	return w.Text.T("live.everybody")
}

// unmet says which messages reached nobody.
func (w Words) unmet(e control.Explanation, say func(string, ...any), detail func(string)) {
	for _, u := range e.Unmet {
		id := "unmet"
		if u.Type == "all" {
			id = "unmet_all"
		}
		args := []any{"N", u.Count, "first", Time(u.First), "last", Time(u.Last)}
		if since, came := cameAfter(e.Connected, u.Last); came {
			say(id+"_before", append(args, "since", Time(since))...)
		} else {
			say(id, args...)
		}
		if len(u.Spans) > 1 {
			for _, s := range u.Spans {
				detail(span(s))
			}
		}
	}
	if len(e.UnmetOtherSpelling) > 0 {
		say("unmet_other_spelling")
		for _, u := range e.UnmetOtherSpelling {
			detail(w.Text.T("live.unmet_spelt", "N", u.Count, "to", locale.Clean(u.UserID+u.UserGroup), "ib",
				locale.Clean(u.IbID), "last", Time(u.Last)))
		}
	}
}

// cameAfter is when the first of the sessions began, if that was after a moment.
func cameAfter(sessions []control.Session, after time.Time) (first time.Time, came bool) {
	for _, s := range sessions {
		if first.IsZero() || s.Since.Before(first) {
			first = s.Since
		}
	}
	return first, !first.IsZero() && !first.Before(after)
}

func span(s control.UnmetSpan) string {
	text := Time(s.First)
	if last := Time(s.Last); last != text {
		text += " – " + s.Last.Local().Format(time.TimeOnly)
	}
	if s.Count > 1 {
		text += "  ×" + fmt.Sprint(s.Count)
	}
	return text
}
