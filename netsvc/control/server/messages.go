package server

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func (s *Server) sendMessage(r *http.Request) (reply, error) {
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
	delivery := s.publish(r.Context(), a.ID, to, message)
	s.auditApp(r, "send message", a, slog.String("to", string(to.Type)), slog.Int("sessions", delivery.Sessions))
	return object(control.Sent{Sessions: delivery.Sessions, Waiting: delivery.Waiting,
		UnconfirmedNodes: delivery.Unconfirmed, UnusableKeys: message.UnusableKeys()}), nil
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
