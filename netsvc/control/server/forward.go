package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// A request with the parameter node is for the node of that name. Another one answers it by
// the same route, and here it only passes through. Daemons that know no cluster refuse the
// parameter, so that nothing is done on another node than the one that was meant.

// How long it is waited until an answer begins. How long one then takes is the matter of the
// client, and the connection between the nodes finds out by itself when nobody is there any more.
const (
	// answerTime is the Patience of Nodes that have none of their own.
	answerTime = 12 * time.Second
	// slowTime is that of slow routes, and as long as the clients of this node wait for them.
	slowTime = 10 * time.Minute
)

var errNoAnswer = errors.New("no answer came in time")

// elsewhere returns the other node that a request is for; empty: it is for this one. For a
// route that does not know the parameter it is taken away.
func (s *Server) elsewhere(r *http.Request, row route) (node string, err error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(values["node"]) != 1 {
		return "", nil // the route says what is wrong, if anything is
	}
	node = values.Get("node")
	switch {
	case s.nodes == nil:
		return "", errAlone
	case node != s.nodes.Self && peerOf(r.Context()).Node != "":
		refusal := refuse(http.StatusNotFound, control.CodeNodeNotFound, "the request came to a node of another name")
		refusal.Node = node
		return "", refusal
	case node != s.nodes.Self:
		return node, nil
	}
	if !slices.Contains(row.query, "node") {
		values.Del("node")
		r.URL.RawQuery = values.Encode()
	}
	return "", nil
}

// patience is how long another node may take to begin the answer of a route.
func (s *Server) patience(row route) time.Duration {
	if row.slow {
		return slowTime
	}
	return cmp.Or(s.nodes.Patience, answerTime)
}

// forward has another node answer a request, and streams the answer. The node that does not
// begin to within that time is named.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, node string, row route, within time.Duration) {
	body, err := readBody(w, r, row.bodyLimit())
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	late := time.AfterFunc(within, func() { cancel(errNoAnswer) })
	defer late.Stop()
	if row.access == read { // nothing is lost with it, and streams have no end of their own
		defer context.AfterFunc(s.ending, func() {
			cancel(context.Cause(s.ending))
			http.NewResponseController(w).SetWriteDeadline(time.Now())
		})()
	}
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "pns"
			p.Out.Header = http.Header{}
			for _, name := range []string{"Accept-Language", "Content-Type"} {
				if given := r.Header.Get(name); given != "" {
					p.Out.Header.Set(name, given)
				}
			}
			p.Out.Body, p.Out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		},
		Transport: asker(func(out *http.Request) (*http.Response, error) { return s.nodes.Ask(ctx, node, out) }),
		ModifyResponse: func(response *http.Response) error {
			late.Stop()
			response.Header.Del(control.VersionHeader) // this node has said its own
			return nil
		},
		FlushInterval: -1, // each record as it comes
		ErrorLog:      slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if r.Context().Err() == nil { // else the client has gone
				s.writeError(w, r, refusalOf(ctx, node, err))
			}
		},
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
}

// refusalOf is what the client is told of a node that did not answer.
func refusalOf(ctx context.Context, node string, err error) error {
	if refusal := errorOf(err); refusal != nil {
		return refusal
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	refusal := refuse(http.StatusServiceUnavailable, control.CodeNodeUnreachable, "node "+node+": "+err.Error())
	refusal.Node = node
	return refusal
}

// asker is a RoundTripper.
type asker func(*http.Request) (*http.Response, error)

func (ask asker) RoundTrip(r *http.Request) (*http.Response, error) { return ask(r) }
