package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Codes of Error.
const (
	CodeAppNotFound      = "app_not_found"
	CodeSessionNotFound  = "session_not_found"
	CodeBadRequest       = "bad_request"
	CodeBadTitle         = "bad_title"
	CodeBadGrace         = "bad_grace"
	CodeTooManyKeys      = "too_many_keys"
	CodeTooLarge         = "too_large"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeBadSettings      = "bad_settings"
	CodeTooManyFollowers = "too_many_followers"
	CodeCannotUpgrade    = "cannot_upgrade"
	CodeNotStored        = "not_stored"
	CodeInternal         = "internal"

	// The next two say that nothing was changed, and that it may be tried again: in
	// a moment, and when the database is there again.
	CodeHandingOver         = "handing_over"
	CodeDatabaseUnavailable = "database_unavailable"
	// CodeOutcomeUnknown says that nobody knows whether it was changed.
	CodeOutcomeUnknown = "outcome_unknown"
)

// Error is a refusal: its HTTP status, a stable code, and what is wrong, in
// English.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

// errorBody is how an Error travels.
type errorBody struct {
	Error *Error `json:"error"`
}

func badRequest(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, CodeBadRequest, fmt.Sprintf(format, args...)}
}

// errorOf gives every error its status and code; nil for one that is our fault.
func errorOf(err error) *Error {
	as := func(status int, code string) *Error { return &Error{status, code, err.Error()} }
	var (
		refusal  *Error
		field    *wire.FieldError
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &tooLarge):
		return &Error{http.StatusRequestEntityTooLarge, CodeTooLarge, fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit)}
	case errors.Is(err, app.ErrImportTooLarge):
		return as(http.StatusRequestEntityTooLarge, CodeTooLarge)
	case errors.Is(err, app.ErrNotFound):
		return as(http.StatusNotFound, CodeAppNotFound)
	case errors.Is(err, app.ErrBadTitle):
		return as(http.StatusBadRequest, CodeBadTitle)
	case errors.Is(err, app.ErrBadGrace):
		return as(http.StatusBadRequest, CodeBadGrace)
	case errors.Is(err, app.ErrTooManyKeys):
		return as(http.StatusConflict, CodeTooManyKeys)
	case errors.Is(err, app.ErrHandingOver):
		return as(http.StatusServiceUnavailable, CodeHandingOver)
	case errors.Is(err, app.ErrUnavailable):
		return as(http.StatusServiceUnavailable, CodeDatabaseUnavailable)
	case errors.Is(err, app.ErrOutcomeUnknown):
		// Not 503, which a program may take for leave to do it once more.
		return &Error{http.StatusInternalServerError, CodeOutcomeUnknown, err.Error() + ": look whether the change is there, with list or show"}
	case errors.Is(err, app.ErrNotStored):
		return as(http.StatusInsufficientStorage, CodeNotStored)
	case errors.As(err, &field), errors.Is(err, hub.ErrBadQuery):
		return as(http.StatusBadRequest, CodeBadRequest)
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
		refusal = &Error{http.StatusInternalServerError, CodeInternal, "the daemon could not do it: its log says why"}
	}
	writeJSON(w, refusal.Status, errorBody{refusal})
}

func writeJSON(w http.ResponseWriter, status int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(object) // an error here means that the client has gone
}
