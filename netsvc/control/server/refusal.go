package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// refuse is a refusal with its status and code.
func refuse(status int, code, message string) *control.Error {
	return &control.Error{Status: status, Code: code, Message: message}
}

func badRequest(format string, args ...any) *control.Error {
	return refuse(http.StatusBadRequest, control.CodeBadRequest, fmt.Sprintf(format, args...))
}

// errorOf gives every error its status and code; nil for one that is our fault.
func errorOf(err error) *control.Error {
	as := func(status int, code string) *control.Error { return refuse(status, code, err.Error()) }
	var (
		refusal  *control.Error
		field    *wire.FieldError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, control.CodeTooLarge, fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, app.ErrImportTooLarge):
		return as(http.StatusRequestEntityTooLarge, control.CodeTooLarge)
	case errors.Is(err, app.ErrNotFound):
		return as(http.StatusNotFound, control.CodeAppNotFound)
	case errors.Is(err, app.ErrBadTitle):
		return as(http.StatusBadRequest, control.CodeBadTitle)
	case errors.Is(err, app.ErrBadGrace):
		return as(http.StatusBadRequest, control.CodeBadGrace)
	case errors.Is(err, app.ErrTooManyKeys):
		return as(http.StatusConflict, control.CodeTooManyKeys)
	case errors.Is(err, app.ErrHandingOver):
		return as(http.StatusServiceUnavailable, control.CodeHandingOver)
	case errors.Is(err, app.ErrUnavailable):
		return as(http.StatusServiceUnavailable, control.CodeDatabaseUnavailable)
	case errors.Is(err, app.ErrOutcomeUnknown):
		// Not 503, which a program may take for leave to do it once more.
		return refuse(http.StatusInternalServerError, control.CodeOutcomeUnknown, err.Error()+": look whether the change is there, with list or show")
	case errors.Is(err, app.ErrNotStored):
		return as(http.StatusInsufficientStorage, control.CodeNotStored)
	case errors.As(err, &field), errors.Is(err, hub.ErrBadQuery):
		return as(http.StatusBadRequest, control.CodeBadRequest)
	}
	return nil
}

// writeError answers with an error, the only shape that errors have here. One
// that is our fault is logged and its details stay in the log.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	refusal := errorOf(err)
	if refusal == nil || refusal.Status >= http.StatusInternalServerError {
		s.logger.Error("control request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	if refusal == nil {
		refusal = refuse(http.StatusInternalServerError, control.CodeInternal, "the daemon could not do it: its log says why")
	}
	writeJSON(w, refusal.Status, control.ErrorBody{Error: refusal})
}

func writeJSON(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(object) // an error here means that the client has gone
}
