package control

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// messageBody is what the client sends to /messages; the server reads the
// recipient and the message as those of a sender.
type messageBody struct {
	AppID     string          `json:"app_id"`
	Recipient recipientBody   `json:"recipient"`
	Message   json.RawMessage `json:"message"`
}

type recipientBody struct {
	Type      wire.RecipientType `json:"type"`
	IbID      string             `json:"ib_id"`
	UserID    string             `json:"user_id"`
	UserGroup string             `json:"user_group"`
}

// sent answers a message.
type sent struct {
	Sessions int `json:"sessions"`
	// Keys in Data that are no names in 1C: the released extension loses the message.
	UnusableKeys []string `json:"unusable_keys,omitempty"`
}

func (s *Server) sendMessage(_ http.ResponseWriter, r *http.Request) (any, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	to, message, err := wire.ParseRequest(body)
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	a, err := s.sender(body)
	if err != nil {
		return nil, err
	}
	sessions := s.hub.Publish(a.ID, to, &message)
	s.auditApp(r, "send message", a, slog.String("to", string(to.Type)), slog.Int("sessions", sessions))
	return sent{sessions, message.UnusableKeys()}, nil
}

// sender finds the app that a message is sent for. Its name has two spellings, as
// all names in the body do.
func (s *Server) sender(body []byte) (*app.App, error) {
	var names struct {
		ID      string `json:"app_id"`
		OneWord string `json:"AppId"`
	}
	if err := json.Unmarshal(body, &names); err != nil {
		return nil, badRequest("app_id: expected a string")
	}
	id := names.ID
	if id == "" {
		id = names.OneWord
	}
	if id == "" {
		return nil, badRequest("app_id: is required")
	}
	a, ok := s.apps.Get(id)
	if !ok {
		return nil, app.ErrNotFound
	}
	return a, nil
}
