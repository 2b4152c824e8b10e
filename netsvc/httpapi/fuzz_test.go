package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
	"github.com/pns4ones/pns4ones/packaging/corpus"
)

// FuzzSendMessage sends any bytes as the body of /sendmessage. The answer is 200,
// 400 or 413, and the same however the body arrives; an error is JSON and
// quotes nothing longer than our own field names.
func FuzzSendMessage(f *testing.F) {
	const limit = 4096
	s := start(f, httpapi.Options{Limits: httpapi.Limits{MaxMessageBytes: limit}}, quietly)
	token := s.token(s.newApp("one"))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		post := func(reader io.Reader) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodPost, "/sendmessage", reader)
			r.Header = bearer(token)
			w := httptest.NewRecorder()
			s.http.Handler().ServeHTTP(w, r)
			return w
		}
		whole := post(strings.NewReader(string(body)))                        // length known
		pieces := post(iotest.OneByteReader(strings.NewReader(string(body)))) // as chunks are
		if whole.Code != pieces.Code {
			t.Errorf("%d when it comes whole, %d when it comes in pieces", whole.Code, pieces.Code)
		}
		switch {
		case whole.Code == http.StatusOK:
			if whole.Body.Len() > 0 || whole.Header().Get("X-Delivered-Sessions") != "0" {
				t.Errorf("200 with body %q", whole.Body)
			}
			return
		case whole.Code == http.StatusRequestEntityTooLarge && len(body) > limit:
		case whole.Code == http.StatusBadRequest && len(body) <= limit:
		default:
			t.Fatalf("status %d for %d bytes", whole.Code, len(body))
		}
		var answer struct{ Error string }
		if err := json.Unmarshal(whole.Body.Bytes(), &answer); err != nil || answer.Error == "" ||
			len(answer.Error) > 120 {
			t.Errorf("error body %q: %v", whole.Body, err)
		}
	})
}
