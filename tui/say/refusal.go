package say

import (
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Place is where an error of the control channel is read, with the ids of its texts there.
type Place struct {
	refused     string // before the code
	unreachable string // before one of unreachableWords
	failed      string // of what has no text of its own
}

// A command names the flag or the command that helps; the panel has a line for it.
var (
	OnCommandLine = Place{refused: "admin.error_", unreachable: "admin.daemon_", failed: "admin.failed"}
	InPanel       = Place{refused: "tui.error_", unreachable: "tui.daemon_", failed: "tui.failed"}
)

// Refusal says what the daemon refused, by the code. A code without a text, of a
// newer daemon, is said in the daemon's own words.
func Refusal(text *locale.Localizer, place Place, e *control.Error) string {
	message := locale.Clean(e.Message)
	id := place.refused + e.Code
	said := text.T(id, "message", message, "line", e.Line, "other", e.OtherLine, "node", locale.Clean(e.Node),
		"apps", locale.Clean(strings.Join(e.Apps, ", ")))
	if said != id {
		if len(e.Holders) > 0 {
			said += " " + text.T("live.held_by", "holders", holders(text, e.Holders))
		}
		return said
	}
	return text.T(place.failed, "error", message)
}

// holders names the processes that follow.
func holders(text *locale.Localizer, all []control.Holder) string {
	names := make([]string, len(all))
	for i, h := range all {
		if user := locale.Clean(h.User); h.PID != 0 {
			names[i] = text.T("live.holder", "user", user, "pid", h.PID, "n", h.Streams)
		} else {
			names[i] = text.T("live.holder_unknown", "user", user, "n", h.Streams)
		}
	}
	return strings.Join(names, "; ")
}

// Unreachable says why the daemon cannot be reached, and what to do.
func Unreachable(text *locale.Localizer, place Place, e *control.ConnectError) string {
	for _, word := range unreachableWords(e) {
		id := place.unreachable + word
		if said := text.T(id, "path", e.Path, "group", e.Group, "bytes", len(e.Path), "error", e.Err); said != id {
			return said
		}
	}
	return text.T(place.failed, "error", e.Err)
}

// unreachableWords are those for the kind of e, the best one first: a place need not have
// a text for each.
func unreachableWords(e *control.ConnectError) []string {
	switch e.Kind {
	case control.ConnectMissing:
		return []string{"missing"}
	case control.ConnectRefused:
		return []string{"refused"}
	case control.ConnectTooLong:
		return []string{"path_too_long"}
	case control.ConnectNotSocket:
		return []string{"not_socket"}
	case control.ConnectForeign:
		return []string{"foreign"}
	case control.ConnectOther:
		return []string{"other", "failed"}
	case control.ConnectDenied:
		if e.Group != "" {
			return []string{"denied_group", "denied"}
		}
		return []string{"denied"}
	}
	return []string{"failed"}
}
