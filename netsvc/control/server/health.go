package server

import (
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func (s *Server) health(*http.Request) (reply, error) {
	return func(w http.ResponseWriter, _ *http.Request) error {
		WriteHealth(w, s.info().Stopping)
		return nil
	}, nil
}

// WriteHealth answers a monitor: 200 while the daemon serves, else 503 with the reason.
// The listener for metrics answers the same as the control channel.
func WriteHealth(w http.ResponseWriter, stopping bool) {
	if stopping {
		writeJSON(w, http.StatusServiceUnavailable, control.Health{Status: "stopping",
			Reason: "the service is ending: it accepts nobody any more, and delivers what is queued"})
		return
	}
	writeJSON(w, http.StatusOK, control.Health{Status: "ok"})
}
