package server

import (
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func (s *Server) health(r *http.Request) (reply, error) {
	return func(w http.ResponseWriter, _ *http.Request) error {
		info, cluster := s.info(), ""
		if info.Cluster != nil {
			cluster = info.Cluster.State
		}
		status, good := control.HealthOf(info.Stopping, cluster, AsPart(r))
		WriteHealth(w, status, good)
		return nil
	}, nil
}

// AsPart reports whether a request wants to know how the daemon is as a part of its cluster:
// «/healthz?cluster».
func AsPart(r *http.Request) bool { return r.URL.Query().Has("cluster") }

// WriteHealth answers a monitor with what control.HealthOf says: 200 while it is good, else
// 503. The listener for metrics answers the same as the control channel.
func WriteHealth(w http.ResponseWriter, status string, good bool) {
	health, code := control.Health{Status: status}, http.StatusOK
	if !good {
		code = http.StatusServiceUnavailable
	}
	if status == control.HealthStopping {
		health.Reason = "the service is ending: it accepts nobody any more, and delivers what is queued"
	}
	writeJSON(w, code, health)
}
