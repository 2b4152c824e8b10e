//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// sender goes the way of a sender (protocol.md section 3) over net/http, with
// HTTPS and all. What is to be fast is done by poster.
type sender struct {
	base  string
	token string
	http  *http.Client
}

// newSender gets a token. Its errors do not show the query, which holds the key.
func newSender(ctx context.Context, base, serverKey string) (*sender, error) {
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	s := &sender{
		base: strings.TrimSuffix(base, "/"),
		http: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}},
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	_, body, err := s.ask(ctx, http.MethodGet, "/auth?server_key="+url.QueryEscape(serverKey), nil)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return nil, fmt.Errorf("%s is not the service for senders", locale.Clean(s.base))
	}
	s.token = answer.Token
	return s, nil
}

// post sends a message and returns the number of sessions that the service names.
// It may be called from another goroutine than the one that made the sender.
func (s *sender) post(ctx context.Context, body []byte) (int, error) {
	header, _, err := s.ask(ctx, http.MethodPost, "/sendmessage", body)
	if err != nil {
		return 0, err
	}
	reached, err := strconv.Atoi(header.Get("X-Delivered-Sessions"))
	if err != nil {
		return 0, fmt.Errorf("%s is not the service for senders", locale.Clean(s.base))
	}
	return reached, nil
}

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 64 << 10

func (s *sender) ask(ctx context.Context, method, path string, body []byte) (http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("this is not an address: %s", locale.Clean(s.base))}
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := s.http.Do(request)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, nil, fmt.Errorf("asking %s: %w", s.base, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("asking %s: %w", s.base, err)
	}
	if response.StatusCode != http.StatusOK {
		status := locale.Clean(response.Status)
		return nil, nil, fmt.Errorf("%s answered %s: check the server key", locale.Clean(s.base), status)
	}
	return response.Header, text, nil
}
