package describe

import (
	"errors"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// refusals are the errors of package app with their status and code.
var refusals = []struct {
	err    error
	status int
	code   string
}{
	// Those that say more than what they may wrap as their cause come before it.
	// Not 503, which a program may take for leave to do it once more.
	{app.ErrOutcomeUnknown, http.StatusInternalServerError, control.CodeOutcomeUnknown},
	{app.ErrNotAgreed, http.StatusServiceUnavailable, control.CodeClusterUnavailable},
	{app.ErrConflict, http.StatusConflict, control.CodeClusterConflict},
	{app.ErrUnavailable, http.StatusServiceUnavailable, control.CodeDatabaseUnavailable},
	{app.ErrNotFound, http.StatusNotFound, control.CodeAppNotFound},
	{app.ErrBadTitle, http.StatusBadRequest, control.CodeBadTitle},
	{app.ErrBadGrace, http.StatusBadRequest, control.CodeBadGrace},
	{app.ErrTooManyKeys, http.StatusConflict, control.CodeTooManyKeys},
	{app.ErrImportTooLarge, http.StatusRequestEntityTooLarge, control.CodeTooLarge},
	{names.ErrFileTooLarge, http.StatusRequestEntityTooLarge, control.CodeNamesTooLarge},
	{names.ErrTooMany, http.StatusConflict, control.CodeTooManyNames},
	{names.ErrBadName, http.StatusBadRequest, control.CodeBadName},
	{app.ErrHandingOver, http.StatusServiceUnavailable, control.CodeHandingOver},
	{app.ErrNotStored, http.StatusInsufficientStorage, control.CodeNotStored},
}

// nameProblems are the codes of what is wrong with a file of names.
var nameProblems = map[names.Problem]string{
	names.ProblemEncoding: control.CodeNamesEncoding,
	names.ProblemForm:     control.CodeNamesForm,
	names.ProblemKind:     control.CodeNamesKind,
	names.ProblemName:     control.CodeBadName,
	names.ProblemTwice:    control.CodeNamesTwice,
}

// Refusal is an error of package app as the channel puts it; nil if it is none that
// a person can do anything about.
func Refusal(err error) *control.Error {
	if file, ok := errors.AsType[*names.FileError](err); ok {
		return &control.Error{
			Status: http.StatusBadRequest, Code: nameProblems[file.Problem], Message: file.Error(), Line: file.Line,
			OtherLine: file.Other,
		}
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			refused := &control.Error{Status: r.status, Code: r.code, Message: err.Error()}
			if r.code == control.CodeOutcomeUnknown {
				refused.Message += ": look whether the change is there, with list or show"
			}
			return refused
		}
	}
	return nil
}
