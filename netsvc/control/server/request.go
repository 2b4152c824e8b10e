package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// onlyParameters refuses a query that has what the route does not know, or a
// parameter more than once.
func onlyParameters(r *http.Request, known []string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the query cannot be read: %v", err)
	}
	for name, given := range values {
		if !slices.Contains(known, name) {
			return badRequest("unknown parameter %q: expected %s", name, oneOf(known))
		}
		if len(given) > 1 {
			return badRequest("parameter %q is given %d times", name, len(given))
		}
	}
	return nil
}

// oneOf says which words are allowed.
func oneOf(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return "one of " + strings.Join(words, ", ")
}

// readJSON reads a request's body, one JSON object, into object; fields are the
// names it takes.
func readJSON(r *http.Request, object any, fields ...string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return parseJSON(body, object, fields)
}

// readOptionalJSON is readJSON, but leaves object as it is if the body is empty.
func readOptionalJSON(r *http.Request, object any, fields ...string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return parseJSON(body, object, fields)
}

func parseJSON(body []byte, object any, fields []string) error {
	if !utf8.Valid(body) {
		return badRequest("the body is not valid UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(object); err != nil {
		return badRequest("the body is not what is expected: %s", jsonProblem(err, fields))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return badRequest("something follows the JSON")
	}
	return nil
}

// jsonProblem says a decoder's error without the names of Go.
func jsonProblem(err error, fields []string) string {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return "expected an object, got " + wrong.Value
		}
		return fmt.Sprintf("%s: expected a %s, got %s", wrong.Field, wrong.Type, wrong.Value)
	}
	if errors.Is(err, io.EOF) {
		return "it is empty"
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return "unknown field " + name + ": expected " + oneOf(fields)
	}
	return err.Error()
}
