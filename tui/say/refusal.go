package say

import (
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// Place is where a refusal is read, with the ids of its texts there.
type Place struct {
	refused string // before the code
	failed  string // of a refusal without a text of its own
}

// A command names the flag or the command that helps; the panel has a line for it.
var (
	OnCommandLine = Place{refused: "admin.error_", failed: "admin.failed"}
	InPanel       = Place{refused: "tui.error_", failed: "tui.failed"}
)

// Refusal says what the daemon refused, by the code. A code without a text, of a
// newer daemon, is said in the daemon's own words.
func Refusal(text *locale.Localizer, place Place, e *control.Error) string {
	message := locale.Clean(e.Message)
	id := place.refused + e.Code
	if said := text.T(id, "message", message, "line", e.Line, "other", e.OtherLine); said != id {
		return said
	}
	return text.T(place.failed, "error", message)
}
