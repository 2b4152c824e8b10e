package httpapi

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// Reason says why a request was refused: a stable slug for logs and metrics.
type Reason string

// Why requests are refused, with the status they are answered with.
const (
	ReasonNoServerKey      Reason = "no_server_key"      // 401
	ReasonUnknownServerKey Reason = "unknown_server_key" // 401
	ReasonNoToken          Reason = "no_token"           // 401
	ReasonNotBearer        Reason = "not_bearer"         // 401
	ReasonBadToken         Reason = "bad_token"          // 401: malformed, forged, reset, or of a removed app
	ReasonTokenExpired     Reason = "token_expired"      // 403
	ReasonBadRequest       Reason = "bad_request"        // 400
	ReasonBrokenBody       Reason = "broken_body"        // 400: ended early, or malformed chunks
	ReasonSlowBody         Reason = "slow_body"          // 408
	ReasonTooLarge         Reason = "too_large"          // 413
	ReasonContentEncoding  Reason = "content_encoding"   // 415
	ReasonUnknownPath      Reason = "unknown_path"       // 404
	ReasonWrongMethod      Reason = "wrong_method"       // 405

	// Of requests that do not get as far as a path.
	ReasonNoHost           Reason = "no_host"           // 400
	ReasonBadHost          Reason = "bad_host"          // 400
	ReasonMalformed        Reason = "malformed_request" // 400
	ReasonTLSOnHTTP        Reason = "https_on_http"     // 400
	ReasonHTTPOnHTTPS      Reason = "http_on_https"     // 400
	ReasonSlowHeader       Reason = "slow_header"       // 408
	ReasonTooManySenders   Reason = "too_many_senders"  // closed without an answer
	ReasonExpectation      Reason = "expectation"       // 417
	ReasonHeaderTooLarge   Reason = "header_too_large"  // 431
	ReasonTransferEncoding Reason = "transfer_encoding" // 501
	ReasonHTTPVersion      Reason = "http_version"      // 505
)

// reasons are all of them.
var reasons = []Reason{
	ReasonNoServerKey, ReasonUnknownServerKey, ReasonNoToken, ReasonNotBearer, ReasonBadToken, ReasonTokenExpired,
	ReasonBadRequest, ReasonBrokenBody, ReasonSlowBody, ReasonTooLarge, ReasonContentEncoding, ReasonUnknownPath,
	ReasonWrongMethod,
	ReasonNoHost, ReasonBadHost, ReasonMalformed, ReasonTLSOnHTTP, ReasonHTTPOnHTTPS, ReasonSlowHeader,
	ReasonTooManySenders, ReasonExpectation,
	ReasonHeaderTooLarge, ReasonTransferEncoding, ReasonHTTPVersion,
}

// Reasons returns all reasons there are.
func Reasons() []Reason { return slices.Clone(reasons) }

// Stats counts what was answered since the server was made.
type Stats struct {
	Status        map[int]uint64    // by HTTP status; only those that occurred
	Refused       map[Reason]uint64 // by reason; only those that occurred
	RefusedByApp  map[string]uint64 // by id, of the apps there are; only those that occurred
	TLSHandshakes uint64            // failed handshakes
	HealthChecks  uint64            // see healthCheck; they are in none of the others
}

// Stats returns a snapshot. The counters are read one after another while
// requests go on.
func (s *Server) Stats() Stats {
	result := Stats{Status: make(map[int]uint64), Refused: make(map[Reason]uint64), RefusedByApp: s.refusedByApp()}
	for status, n := range s.counters.status {
		if v := n.Load(); v > 0 {
			result.Status[status] = v
		}
	}
	for reason, n := range s.counters.reasons {
		if v := n.Load(); v > 0 {
			result.Refused[reason] = v
		}
	}
	result.TLSHandshakes, result.HealthChecks = s.counters.handshakes.Load(), s.counters.checks.Load()
	return result
}

// refusedByApp returns the counts by app, and forgets apps that are gone.
func (s *Server) refusedByApp() map[string]uint64 {
	counts := make(map[string]uint64)
	s.counters.apps.Range(func(id, n any) bool {
		if _, there := s.apps.Get(id.(string)); there {
			counts[id.(string)] = n.(*atomic.Uint64).Load()
		} else {
			s.counters.apps.Delete(id)
		}
		return true
	})
	return counts
}

// counters has maps that are complete from the start and only read, so that
// counting takes no lock; only that of the apps grows.
type counters struct {
	status     map[int]*atomic.Uint64
	reasons    map[Reason]*atomic.Uint64
	handshakes atomic.Uint64
	checks     atomic.Uint64
	apps       sync.Map // refused, by id: *atomic.Uint64
}

func newCounters() *counters {
	c := &counters{status: make(map[int]*atomic.Uint64), reasons: make(map[Reason]*atomic.Uint64)}
	for _, status := range []int{
		http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType,
		http.StatusExpectationFailed, http.StatusRequestHeaderFieldsTooLarge, http.StatusInternalServerError,
		http.StatusNotImplemented, http.StatusHTTPVersionNotSupported,
	} {
		c.status[status] = new(atomic.Uint64)
	}
	for _, reason := range reasons {
		c.reasons[reason] = new(atomic.Uint64)
	}
	return c
}

func (c *counters) answered(status int) { c.status[status].Add(1) }

func (c *counters) refused(r refusal) {
	if r.status != 0 {
		c.answered(r.status)
	}
	c.reasons[r.reason].Add(1)
	if r.app == "" {
		return
	}
	n, known := c.apps.Load(r.app)
	if !known {
		n, _ = c.apps.LoadOrStore(r.app, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}
