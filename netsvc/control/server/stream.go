package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/ring"
)

const (
	// batchRecords is how many records a follower is sent at once, and batchPause
	// how long it then waits: in a flood, many records travel together, and nobody
	// who looks on takes the processor from those who deliver.
	batchRecords = 200
	batchPause   = 20 * time.Millisecond
	// defaultTail is how many of the last records come first if nobody says.
	defaultTail = 100
	// maxTail is more than any ring holds.
	maxTail = 100_000
)

// tailAndFollow reads the parameters of both streams.
func tailAndFollow(values url.Values) (tail int, follow bool, err error) {
	tail = defaultTail
	if text := values.Get("tail"); text != "" {
		if tail, err = strconv.Atoi(text); err != nil || tail < 0 || tail > maxTail {
			return 0, false, badRequest("tail: expected a number from 0 to %d", maxTail)
		}
	}
	if !values.Has("follow") {
		return tail, false, nil
	}
	switch values.Get("follow") {
	case "", "1", "true":
		return tail, true, nil
	case "0", "false":
		return tail, false, nil
	}
	return 0, false, badRequest("follow: expected true or false")
}

// records writes one JSON object a line to a client. Its methods may be called
// concurrently.
type records struct {
	mu         sync.Mutex
	encoder    *json.Encoder
	connection *http.ResponseController
	follow     bool
}

// write writes objects; a follower gets them at once. It waits for a client that
// does not read: that is nobody's loss but the client's.
func (o *records) write(objects ...any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, object := range objects {
		if err := o.encoder.Encode(object); err != nil {
			return err
		}
	}
	if !o.follow {
		return nil
	}
	return o.connection.Flush()
}

// stream answers with records until write returns: when they are all written, or,
// for a follower, when the client leaves or the server ends.
func (s *Server) stream(follow bool, write func(ctx context.Context, out *records) error) reply {
	return func(w http.ResponseWriter, r *http.Request) error { return s.writeStream(w, r, follow, write) }
}

func (s *Server) writeStream(w http.ResponseWriter, r *http.Request, follow bool,
	write func(ctx context.Context, out *records) error) error {
	if follow {
		peer := peerOf(r.Context())
		if refusal := s.followers.admit(peer); refusal != nil {
			return refusal
		}
		defer s.followers.leave(peer)
	}
	connection := http.NewResponseController(w)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	// A client that has stopped reading must not hold up the end of the server.
	defer context.AfterFunc(s.ending, func() {
		cancel(context.Cause(s.ending))
		connection.SetWriteDeadline(time.Now())
	})()

	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	out := &records{encoder: encoder, connection: connection, follow: follow}
	if follow {
		connection.Flush() // the client knows that it is admitted before anything happens
	}
	write(ctx, out) // it fails when the client has left
	return nil
}

// followRing writes what is appended to a ring until ctx ends or the client
// leaves. lost is about records that it was too slow for.
func followRing[T any](ctx context.Context, cursor ring.Cursor[T], out *records, keeps func(*T) bool,
	object func(*T) any, lost func(uint64) any) error {
	var batch []T
	var objects []any
	for {
		var missed uint64
		var err error
		if batch, missed, err = cursor.Next(ctx, batch[:0], batchRecords); err != nil {
			return err
		}
		objects = objects[:0]
		if missed > 0 {
			objects = append(objects, lost(missed))
		}
		for i := range batch {
			if keeps(&batch[i]) {
				objects = append(objects, object(&batch[i]))
			}
		}
		if len(objects) > 0 {
			if err := out.write(objects...); err != nil {
				return err
			}
		}
		select {
		case <-time.After(batchPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
