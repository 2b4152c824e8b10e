package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
)

// reply writes an answer. Handlers return one and write nothing themselves, so that
// all that goes wrong is answered in the one shape that errors have. Its error means
// that nothing has been written yet.
type reply func(w http.ResponseWriter, r *http.Request) error

// object answers with JSON.
func object(v any) reply {
	return func(w http.ResponseWriter, _ *http.Request) error {
		writeJSON(w, http.StatusOK, v)
		return nil
	}
}

// done answers that what was asked for is done: an empty object.
func done() reply { return object(struct{}{}) }

// created answers with the JSON of what can be found at location from now on.
func created(location string, v any) reply {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Location", location)
		writeJSON(w, http.StatusCreated, v)
		return nil
	}
}

// database answers with the contents of a database file.
func database(content []byte) reply {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		w.Header().Set("Cache-Control", "no-store")
		w.Write(content) // an error here means that the client has gone
		return nil
	}
}

// text answers with what write writes.
func text(write func(io.Writer) error) reply {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		write(w) // an error here means that the client has gone
		return nil
	}
}

// answerOf answers as another handler does.
func answerOf(h http.Handler) reply {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(v) // an error here means that the client has gone
}
