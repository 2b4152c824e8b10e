package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// What is asked of all nodes is asked of each by the route itself, with its name as the
// parameter node: then a node answers for itself alone.

const (
	// nodeTime is the Silence of Nodes that have none of their own.
	nodeTime = 2 * time.Second
	// maxNodeAnswer bounds what is read of a node's answer, in bytes.
	maxNodeAnswer = 64 << 20
)

// merges reports whether a request is to be answered for all nodes.
func (s *Server) merges(values url.Values) bool { return s.nodes != nil && !values.Has("node") }

// ownOnly refuses a request that is for another node: only those of all nodes and of this
// one get as far as a handler.
func (s *Server) ownOnly(values url.Values) error {
	node := values.Get("node")
	if !values.Has("node") || s.nodes != nil && node == s.nodes.Self {
		return nil
	}
	refusal := refuse(http.StatusNotFound, control.CodeNodeNotFound, "there is no node of that name here")
	refusal.Node = node
	return refusal
}

// gather has the other nodes answer a GET of path, side by side. It returns the answers that
// came, in the order of the nodes' names, and the names of the nodes that gave none.
func gather[T any](ctx context.Context, s *Server, path string, values url.Values) (answers []T, missing []string) {
	others := s.nodes.Others()
	came := make([]*T, len(others))
	missing = s.askEach(ctx, others, question{method: http.MethodGet, path: path, values: values},
		func(i int, response *http.Response) error {
			if response.StatusCode != http.StatusOK {
				return fmt.Errorf("it answered %s", response.Status)
			}
			var answer T
			if err := json.NewDecoder(io.LimitReader(response.Body, maxNodeAnswer)).Decode(&answer); err != nil {
				return fmt.Errorf("reading its answer: %w", err)
			}
			came[i] = &answer
			return nil
		})
	for _, answer := range came {
		if answer != nil {
			answers = append(answers, *answer)
		}
	}
	return answers, missing
}

// question is what nodes are asked.
type question struct {
	method, path string
	values       url.Values    // the parameters, but for node
	body         []byte        // nil: none
	within       time.Duration // how long a node may be silent, answerTime at most; 0: see Nodes
}

func (s *Server) silence() time.Duration { return cmp.Or(s.nodes.Silence, nodeTime) }

// askEach asks nodes side by side and calls take, by several goroutines at once, with what
// each has answered. It returns the names of those that did not answer what take likes.
func (s *Server) askEach(ctx context.Context, nodes []Node, q question,
	take func(i int, response *http.Response) error) (missing []string) {
	within, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	failed := make([]bool, len(nodes))
	var asking sync.WaitGroup
	for i, node := range nodes {
		if failed[i] = !node.Live; failed[i] {
			continue
		}
		asking.Go(func() {
			err := s.askNode(within, node.Name, q, func(r *http.Response) error { return take(i, r) })
			if failed[i] = err != nil; failed[i] {
				s.logger.LogAttrs(ctx, slog.LevelDebug, "a node did not answer", slog.String("node", node.Name),
					slog.String("path", q.path), slog.Any("error", err))
			}
		})
	}
	asking.Wait()
	for i, node := range nodes {
		if failed[i] {
			missing = append(missing, node.Name)
		}
	}
	return missing
}

// askNode hands what a node answers for itself to take.
func (s *Server) askNode(ctx context.Context, node string, q question, take func(*http.Response) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(cmp.Or(q.within, s.silence()), func() { cancel(errNoAnswer) })
	defer silence.Stop()
	values := cloned(q.values)
	values.Set("node", node)
	request, err := http.NewRequestWithContext(ctx, q.method, "http://pns"+q.path+"?"+values.Encode(),
		bytes.NewReader(q.body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	response, err := s.nodes.Ask(ctx, node, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	response.Body = heard{response.Body, silence, s.silence()}
	return take(response)
}

// heard is the body of an answer whose reader is not given up while something comes.
type heard struct {
	io.ReadCloser
	given   *time.Timer
	silence time.Duration
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if n > 0 {
		h.given.Reset(h.silence)
	}
	return n, err
}

func cloned(values url.Values) url.Values {
	clone := make(url.Values, len(values)+1)
	for name, given := range values {
		clone[name] = given
	}
	return clone
}

// union is all names of both, in order.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
