package describe

import (
	"errors"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// refusals are the errors of package app with their status and code.
var refusals = []struct {
	err    error
	status int
	code   string
}{
	{app.ErrNotFound, http.StatusNotFound, control.CodeAppNotFound},
	{app.ErrBadTitle, http.StatusBadRequest, control.CodeBadTitle},
	{app.ErrBadGrace, http.StatusBadRequest, control.CodeBadGrace},
	{app.ErrTooManyKeys, http.StatusConflict, control.CodeTooManyKeys},
	{app.ErrImportTooLarge, http.StatusRequestEntityTooLarge, control.CodeTooLarge},
	{app.ErrNotStored, http.StatusInsufficientStorage, control.CodeNotStored},
}

// Refusal is an error of package app as the channel puts it; nil if it is none that
// a person can do anything about.
func Refusal(err error) *control.Error {
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return &control.Error{Status: r.status, Code: r.code, Message: err.Error()}
		}
	}
	return nil
}
