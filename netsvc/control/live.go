package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := onlyParameters(r); err != nil {
		return nil, err
	}
	info, stats := s.info(), s.hub.Stats()
	object := Status{
		Version: info.Version, PID: os.Getpid(), UptimeSeconds: int64(info.Uptime.Seconds()),
		Listen: info.Listen, Service: info.Service, Control: info.Control,
		Apps: len(s.apps.List()), Sessions: stats.Sessions, Unregistered: stats.Unregistered,
		Registrations: stats.Registrations, Messages: stats.Published, NoRecipient: stats.NoRecipient,
		Delivered: stats.Delivered, DeliveredBytes: stats.Bytes, DroppedAsSlow: stats.TooSlow,
		Refused: make(map[string]uint64), MemoryBytes: memory(), RestartNeeded: []string{},
	}
	for reason, n := range stats.Refused {
		object.Refused[string(reason)] = n
	}
	if !info.TLSExpiresAt.IsZero() {
		at := info.TLSExpiresAt.UTC()
		object.TLSExpiresAt = &at
	}
	return object, nil
}

// memory is what the process has from the system, without what it gave back.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

// onlyParameters refuses query parameters that the route does not know.
func onlyParameters(r *http.Request, known ...string) error {
	for name := range r.URL.Query() {
		if !slices.Contains(known, name) {
			allowed := "none"
			if len(known) > 0 {
				allowed = strings.Join(known, ", ")
			}
			return badRequest("unknown parameter %q: allowed are %s", name, allowed)
		}
	}
	return nil
}

func (s *Server) listSessions(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := onlyParameters(r, "app", "ib", "user", "group", "q", "sort", "limit", "after"); err != nil {
		return nil, err
	}
	values := r.URL.Query()
	query := hub.Query{
		AppID: values.Get("app"), IbID: values.Get("ib"), UserID: values.Get("user"), UserGroup: values.Get("group"),
		Text: values.Get("q"), Sort: values.Get("sort"), After: values.Get("after"),
	}
	if limit := values.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 {
			return nil, badRequest("limit: expected a number from 1 to %d", hub.MaxPage)
		}
		query.Limit = n
	}
	page, err := s.hub.Sessions(query)
	if err != nil {
		return nil, err
	}
	object := SessionPage{Sessions: []Session{}, Total: page.Total, Next: page.Next}
	for _, session := range page.Sessions {
		object.Sessions = append(object.Sessions, sessionOf(session))
	}
	return object, nil
}

func (s *Server) closeSession(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := strconv.ParseUint(pathID(r), 10, 64)
	if err != nil || !s.hub.CloseSession(id) {
		return nil, &Error{http.StatusNotFound, CodeSessionNotFound, "there is no such session"}
	}
	s.audit(r, "close session", slog.Uint64("session", id))
	return struct{}{}, nil
}

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

func (s *Server) sendMessage(_ http.ResponseWriter, r *http.Request) (any, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, bodyError(err)
	}
	to, message, err := wire.ParseRequest(text)
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	var body struct {
		AppID string `json:"app_id"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\uFEFF")), &body); err != nil {
		return nil, badRequest("app_id: expected a string")
	}
	a, ok := s.apps.Get(body.AppID)
	if !ok {
		return nil, app.ErrNotFound
	}
	sessions := s.hub.Publish(a.ID, to, &message)
	s.audit(r, "send message", slog.String("app", a.ID), slog.String("to", string(to.Type)), slog.Int("sessions", sessions))
	return sent{sessions}, nil
}
