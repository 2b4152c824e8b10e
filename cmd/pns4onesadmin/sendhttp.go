package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
)

// httpTimeout bounds the sender's whole way.
const httpTimeout = 30 * time.Second

// sendOverHTTP goes the way of a sender: /auth, then /sendmessage (protocol.md
// section 3), with the token that it got for the message before, if there was one. It
// returns the number of sessions that the service names, and notes how many nodes did not
// confirm.
func sendOverHTTP(ctx context.Context, s *sending) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	client := &http.Client{
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: s.insecure}, // asked for by --insecure
		},
		// The service does not redirect, and a Referer would carry the key.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	base := strings.TrimSuffix(s.url, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}

	if s.token == "" {
		var answer struct {
			Token string `json:"access_token"`
		}
		response, err := ask(ctx, client, "GET", base+"/auth?server_key="+url.QueryEscape(s.serverKey), "", nil)
		if err != nil {
			return 0, err
		}
		if err := json.Unmarshal(response.body, &answer); err != nil || answer.Token == "" {
			return 0, failure("admin.http_not_ours", "url", base)
		}
		s.token = answer.Token
	}

	recipient, err := json.Marshal(map[string]string{
		"Type": string(s.to.Type), "IbId": s.to.IbID, "UserId": s.to.UserID, "UserGroup": s.to.UserGroup,
	})
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(map[string]json.RawMessage{"Message": s.message.AppendJSON(nil), "Recipient": recipient})
	if err != nil {
		return 0, err
	}
	response, err := ask(ctx, client, "POST", base+"/sendmessage", s.token, body)
	if err != nil {
		return 0, err
	}
	sessions, err := strconv.Atoi(response.header.Get("X-Delivered-Sessions"))
	if err != nil {
		return 0, failure("admin.http_not_ours", "url", base)
	}
	// No node is named there, and the same ones may be meant at each recipient.
	if waiting, err := strconv.Atoi(response.header.Get("X-Waiting-Sessions")); err == nil {
		s.waiting += waiting
	}
	if nodes, err := strconv.Atoi(response.header.Get("X-Unconfirmed-Nodes")); err == nil {
		s.unnamed = max(s.unnamed, nodes)
	}
	return sessions, nil
}

type answer struct {
	header http.Header
	body   []byte
}

// maxAnswerBytes bounds what is read of an answer.
const maxAnswerBytes = 64 << 10

// ask makes one request. Its errors never show the query, which holds the key.
func ask(ctx context.Context, client *http.Client, method, address, token string, body []byte) (answer, error) {
	shown, _, _ := strings.Cut(address, "?")
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, locale.NewText("admin.http_bad_url", "url", locale.Clean(shown))
	}
	request.Header.Set("User-Agent", commandName+"/"+version)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		var transport *url.Error
		if errors.As(err, &transport) {
			err = transport.Err
		}
		return answer{}, failure("admin.http_failed", "url", shown, "error", networkError(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes))
	if err != nil {
		return answer{}, failure("admin.http_failed", "url", shown, "error", err)
	}
	if response.StatusCode != http.StatusOK {
		status, message := locale.Clean(response.Status), locale.Clean(refusalText(text))
		return answer{}, failure("admin.http_refused", "url", shown, "status", status, "message", message)
	}
	return answer{response.Header, text}, nil
}

// refusalText is the error of an answer, if it is one of ours.
func refusalText(body []byte) string {
	var refusal struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &refusal); err != nil {
		return ""
	}
	return refusal.Error
}
