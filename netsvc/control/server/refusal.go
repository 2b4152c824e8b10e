package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/describe"
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
	var (
		refusal  *control.Error
		field    *wire.FieldError
		tooLarge *http.MaxBytesError
		differ   *bucket.MergeError
	)
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, control.CodeTooLarge,
			fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case errors.As(err, &field), errors.Is(err, hub.ErrBadQuery):
		return refuse(http.StatusBadRequest, control.CodeBadRequest, err.Error())
	case errors.As(err, &differ):
		refusal = refuse(http.StatusConflict, control.CodeAppsDiffer, err.Error())
		refusal.Apps = differ.Apps
		return refusal
	case errors.Is(err, bucket.ErrNotNeeded):
		return refuse(http.StatusConflict, control.CodeJoined, err.Error())
	case errors.Is(err, bucket.ErrNeverMember):
		return refuse(http.StatusConflict, control.CodeNeverJoined, err.Error())
	}
	if refusal = describe.Refusal(err); refusal == nil && errors.Is(err, bucket.ErrUnavailable) {
		return refuse(http.StatusServiceUnavailable, control.CodeClusterUnavailable, err.Error())
	}
	return refusal
}

// writeError answers with an error, the only shape that errors have here. One
// that is our fault is logged and its details stay in the log.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	refusal := errorOf(err)
	// That a node is away is logged when it is, and not each time that somebody asks for it.
	ours := refusal == nil || refusal.Status >= http.StatusInternalServerError
	if ours && (refusal == nil || refusal.Code != control.CodeNodeUnreachable) {
		s.logger.Error("control request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Any("error", err))
	}
	if refusal == nil {
		refusal = refuse(http.StatusInternalServerError, control.CodeInternal,
			"the daemon could not do it: its log says why")
	}
	writeJSON(w, refusal.Status, control.ErrorBody{Error: refusal})
}
