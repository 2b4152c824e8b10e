package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// slowBody is what a node answers, a byte each pause.
type slowBody struct {
	ctx   context.Context
	pause time.Duration
	left  int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(b.pause):
	case <-b.ctx.Done():
		return 0, context.Cause(b.ctx)
	}
	b.left--
	p[0] = 'x'
	return 1, nil
}

func (b *slowBody) Close() error { return nil }

func TestANodeIsGivenUpWhenItSaysNothingAndNotWhenItSaysMuch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pause time.Duration
		want  error
	}{
		"it goes on":    {nodeTime - time.Millisecond, nil},
		"it stops dead": {nodeTime + time.Millisecond, errNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &Server{nodes: &Nodes{Ask: func(ctx context.Context, _ string, _ *http.Request) (*http.Response, error) {
					return &http.Response{Body: &slowBody{ctx, test.pause, 4}}, nil
				}}}
				var got bytes.Buffer
				err := s.askNode(t.Context(), "web2", question{method: "GET", path: "/v1/sessions"}, func(r *http.Response) error {
					_, err := io.Copy(&got, r.Body)
					return err
				})
				if !errors.Is(err, test.want) || (err == nil) != (got.String() == "xxxx") {
					t.Errorf("got %q, %v", &got, err)
				}
			})
		})
	}
}
