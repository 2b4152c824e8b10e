package say

import (
	"fmt"

	"github.com/pns4ones/pns4ones/config/locale"
)

// How a user or an infobase is called, if it has a name: with the beginning of its id,
// which tells others of the same name apart (Called), with the whole id (InFull), or by
// the name alone (Name). Without a name all three are the id.

// shortID is how much of an id Called shows; one that is not much longer is shown whole.
const (
	shortID = 8
	wholeID = 12
)

// Called is a name with the beginning of the id.
func Called(id, name string) string {
	if name == "" || name == id {
		return locale.Clean(id)
	}
	if runes := []rune(id); len(runes) > wholeID {
		return fmt.Sprintf("%s (%s…)", locale.Clean(name), locale.Clean(string(runes[:shortID])))
	}
	return InFull(id, name)
}

// InFull is a name with the id.
func InFull(id, name string) string {
	if name == "" || name == id {
		return locale.Clean(id)
	}
	return fmt.Sprintf("%s (%s)", locale.Clean(name), locale.Clean(id))
}

// Name is a name.
func Name(id, name string) string {
	if name == "" {
		return locale.Clean(id)
	}
	return locale.Clean(name)
}
