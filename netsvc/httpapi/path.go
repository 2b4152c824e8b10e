package httpapi

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// asRouted returns the request under the path of the route that is meant: the old
// product takes paths in any letter case, with a slash at the end and with several
// at once, and there are senders that write them so.
func asRouted(r *http.Request, routes map[string]string) *http.Request {
	if _, exact := routes[r.URL.Path]; exact {
		return r
	}
	path := plainPath(r.URL.Path)
	if _, meant := routes[path]; !meant {
		return r
	}
	at := *r.URL
	at.Path, at.RawPath = path, ""
	routed := new(http.Request)
	*routed = *r
	routed.URL = &at
	return routed
}

// plainPath is a path in lower case with one slash between its parts and none at
// the end.
func plainPath(path string) string {
	var plain strings.Builder
	for part := range strings.SplitSeq(strings.ToLower(path), "/") {
		if part != "" {
			plain.WriteString("/" + part)
		}
	}
	return plain.String()
}

// serverKey returns the first parameter server_key of a query, in any letter case.
// What is no parameter is passed over, as url.ParseQuery does.
func serverKey(query string) string {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if strings.Contains(pair, ";") {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil || !strings.EqualFold(name, "server_key") {
			continue
		}
		if value, err = url.QueryUnescape(value); err == nil {
			return value
		}
	}
	return ""
}

// healthCheck answers those who only want to know whether the service is there: a
// balancer, a monitor. They are counted apart, and are no refused senders. At /healthz
// they are told so in JSON as well, and nothing else: anybody may ask. A balancer that has
// other nodes of a cluster asks «/healthz?cluster». While the service ends the port is closed.
func (s *Server) healthCheck(w http.ResponseWriter, r *http.Request) {
	s.counters.checks.Add(1)
	w.Header()["Cache-Control"] = noStore
	if plainPath(r.URL.Path) != "" {
		w.Header()["Content-Type"] = contentTypeJSON
		s.writeHealth(w, r.URL.Query().Has("cluster"))
	}
	succeeds(r)
}

func (s *Server) writeHealth(w http.ResponseWriter, asPart bool) {
	status, good := "ok", true
	if s.health != nil {
		status, good = s.health(asPart)
	}
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	io.WriteString(w, `{"status":"`+status+`"}`) // a word of ours
}

// checksHealth reports whether the request is a health check.
func checksHealth(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.Header.Get("Authorization") != "" {
		return false
	}
	path := plainPath(r.URL.Path)
	return path == "" || path == "/healthz"
}
