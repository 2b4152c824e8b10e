package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// LogRecord is a record of the daemon's log, or stands for records that the
// follower was too slow for.
type LogRecord struct {
	Time    time.Time `json:"time"`
	Level   string    `json:"level"`
	Message string    `json:"message"`
	Attrs   LogAttrs  `json:"attrs,omitempty"`
	Lost    uint64    `json:"lost,omitempty"` // records that should stand here
}

// LogAttrs are a record's attributes in their order; in JSON, an object.
type LogAttrs []LogAttr

// LogAttr is an attribute of a record. Value is a string, a bool, or a number:
// durations are in seconds. A client gets numbers as json.Number.
type LogAttr struct {
	Name  string
	Value any
}

// MarshalJSON writes an object.
func (attrs LogAttrs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, a := range attrs {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []struct {
			value any
			end   byte
		}{{a.Name, ':'}, {a.Value, 0}} {
			text, err := json.Marshal(part.value)
			if err != nil {
				return nil, fmt.Errorf("encoding the attribute %s: %w", a.Name, err)
			}
			b.Write(text)
			if part.end != 0 {
				b.WriteByte(part.end)
			}
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads an object of plain values.
func (attrs *LogAttrs) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("attributes: expected an object")
	}
	*attrs = nil
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return fmt.Errorf("attributes: %w", err)
		}
		var a LogAttr
		a.Name, _ = name.(string)
		if err := decoder.Decode(&a.Value); err != nil {
			return fmt.Errorf("attribute %s: %w", a.Name, err)
		}
		*attrs = append(*attrs, a)
	}
	return nil
}

// The kinds of Event.
const (
	EventSessionOpened       = "session_opened"
	EventSessionChanged      = "session_changed" // it registered again, perhaps as somebody else
	EventSessionClosed       = "session_closed"
	EventSessionDetached     = "session_detached" // it lost its connection, and may come back
	EventSessionResumed      = "session_resumed"  // it has come back
	EventRegistrationRefused = "registration_refused"
	EventAppChanged          = "app_changed"
	// EventUnmet: a message reached no session. Of one recipient it comes once a minute at
	// most, of all together ten times a second.
	EventUnmet = "message_without_recipient"
	// EventNode: another node of the cluster joined, is live, silent or lost, or left.
	EventNode       = "node"
	EventStatistics = "statistics"
	EventLost       = "lost" // the follower was too slow
)

// EventKinds returns the kinds that a follower can choose from.
func EventKinds() []string {
	return []string{
		EventSessionOpened, EventSessionChanged, EventSessionClosed, EventSessionDetached, EventSessionResumed,
		EventRegistrationRefused, EventAppChanged, EventUnmet, EventNode,
		EventStatistics,
	}
}

// Event is something that happened. Which fields it has depends on Event: a
// session_… has Session, a registration_refused has Peer, an app_changed has
// AppID, Title and Change, a node has PeerNode and Change, a statistics has Statistics, a lost
// has Lost.
type Event struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"`
	Reason string    `json:"reason,omitempty"` // of session_closed and registration_refused

	Session    *Session `json:"session,omitempty"`
	AgeSeconds *int64   `json:"age_seconds,omitempty"` // of session_closed

	Peer *Peer `json:"peer,omitempty"`

	AppID string `json:"app_id,omitempty"`
	Title string `json:"title,omitempty"`
	// created, removed, renamed, names, server_key, client_key, old_keys_gone, tokens_reset;
	// of a node joined, live, silent, lost, left
	Change string `json:"change,omitempty"`
	// PeerNode is the other node that a node event tells of, that a session came from
	// (session_resumed) or that it goes on at (session_detached, session_closed).
	PeerNode string `json:"peer_node,omitempty"`

	// Of message_without_recipient, which has AppID too: whom it was for, and how many
	// messages for the same there were since the last such event.
	Recipient *Recipient `json:"recipient,omitempty"`
	Count     uint64     `json:"count,omitempty"`

	Statistics *Statistics `json:"statistics,omitempty"`
	Lost       uint64      `json:"lost,omitempty"` // events that should stand here
}

// Recipient is whom a message was for.
type Recipient struct {
	Type      string `json:"type"` // user, group or all
	IbID      string `json:"ib_id"`
	IbName    string `json:"ib_name,omitempty"`
	UserID    string `json:"user_id,omitempty"`
	UserName  string `json:"user_name,omitempty"`
	UserGroup string `json:"user_group,omitempty"`
}

// Unmet is what is remembered of messages that reached nobody: when and how many, and
// nothing of what was in them. Besides the whole it tells the times apart, oldest first, in
// which they came soon after each other.
type Unmet struct {
	Recipient
	Count uint64      `json:"count"`
	First time.Time   `json:"first"`
	Last  time.Time   `json:"last"`
	Spans []UnmetSpan `json:"spans"`
}

// UnmetSpan is a part of an Unmet.
type UnmetSpan struct {
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count uint64    `json:"count"`
}

// Person is a user of an infobase, as far as anything is known: from a session that is
// there or was, a refusal, a message, or, without an infobase, from a table of names alone.
type Person struct {
	AppID    string `json:"app_id"`
	IbID     string `json:"ib_id,omitempty"`
	IbName   string `json:"ib_name,omitempty"`
	UserID   string `json:"user_id"`
	UserName string `json:"user_name,omitempty"`
	Sessions int    `json:"sessions"` // connected
	Exact    bool   `json:"exact"`    // the id or the name is just what was asked for
}

// People are those who match a query: whoever does so exactly first, then by name.
type People struct {
	People []Person `json:"people"`
	Total  int      `json:"total"` // also if not all are listed; in a cluster, about
	// MissingNodes are those of the cluster that did not answer.
	MissingNodes []string `json:"missing_nodes,omitempty"`
}

// Infobase is an infobase of an app. Messages are counted since the daemon was started. In a
// cluster it is that of all nodes that answer; users and groups of several nodes are counted
// once for each.
type Infobase struct {
	AppID         string     `json:"app_id"`
	ID            string     `json:"id"`
	Name          string     `json:"name,omitempty"`
	Sessions      int        `json:"sessions"`
	Users         int        `json:"users"`  // that are connected
	Groups        int        `json:"groups"` // of those who are connected
	Messages      uint64     `json:"messages"`
	LastMessageAt *time.Time `json:"last_message_at,omitempty"`
	Unmatched     uint64     `json:"unmatched"` // messages that reached no session
}

// Peer is who tried to register: the address, and as far as the packet said so,
// who it claimed to be.
type Peer struct {
	Addr      string `json:"addr"`
	AppID     string `json:"app_id,omitempty"`
	IbID      string `json:"ib_id,omitempty"`
	IbName    string `json:"ib_name,omitempty"`
	UserID    string `json:"user_id,omitempty"`
	UserName  string `json:"user_name,omitempty"`
	UserGroup string `json:"user_group,omitempty"`
}

// Statistics is what a follower of events gets each second.
type Statistics struct {
	Sessions     int     `json:"sessions"`
	Unregistered int     `json:"unregistered"`
	Apps         int     `json:"apps"`
	MemoryBytes  uint64  `json:"memory_bytes"`
	Rates        Rates   `json:"rates"`
	Latency      Latency `json:"latency"`
}

// Explanation answers why a message did or did not reach a user or a group.
type Explanation struct {
	AppID     string `json:"app_id"`
	IbID      string `json:"ib_id"`
	IbName    string `json:"ib_name,omitempty"`
	UserID    string `json:"user_id,omitempty"`
	UserName  string `json:"user_name,omitempty"`
	UserGroup string `json:"user_group,omitempty"`

	// Connected are the sessions that a message would reach now, ConnectedTotal is
	// their number, also if not all of them are listed.
	Connected      []Session `json:"connected"`
	ConnectedTotal int       `json:"connected_total"`
	// Detached are those that have lost their connection and may come back: a message
	// waits for them. At most 100 are listed.
	Detached []Session `json:"detached,omitempty"`
	// LastClosed is the last session of the user that ended, LastRefused the last
	// registration in the user's name that was refused. Both are absent if there
	// was none since the daemon was started, and when a group is asked about.
	LastClosed  *Event   `json:"last_closed,omitempty"`
	LastRefused *Refusal `json:"last_refused,omitempty"`

	// OtherSpelling are sessions that differ from what was asked about only by letter
	// case, by blanks or by braces: a message does not reach them.
	OtherSpelling []Session `json:"other_spelling"`

	// What is near. OtherPlaces are sessions of the same user, in any letter case,
	// in another infobase or app; OtherGroups are the groups of the infobase's
	// sessions, if a group was asked about; Infobases are those of the app with
	// sessions, if the one asked about has none.
	OtherPlaces      []Session      `json:"other_places"`
	InfobaseSessions int            `json:"infobase_sessions"`
	OtherGroups      map[string]int `json:"other_groups,omitempty"`
	Infobases        map[string]int `json:"infobases,omitempty"`
	// InfobaseNames are names of Infobases, as far as they have some. SameName are other
	// infobases of the app that are called like the one asked about.
	InfobaseNames map[string]string `json:"infobase_names,omitempty"`
	SameName      []Infobase        `json:"same_name,omitempty"`

	// Unmet are the messages that were for whom was asked about, or for all of the
	// infobase, and reached nobody; UnmetOtherSpelling those whose recipient differs only
	// by letter case, by blanks or by braces. The latest are first.
	Unmet              []Unmet `json:"unmet"`
	UnmetOtherSpelling []Unmet `json:"unmet_other_spelling"`

	// RefusedElsewhere are refused registrations in the name of the user for
	// another infobase or app; Nameless those that did not say whose they were.
	// The latest are first.
	RefusedElsewhere []Refusal `json:"refused_elsewhere"`
	Nameless         []Refusal `json:"nameless"`

	// RefusedRequests are those of the app's senders, the latest first: the message
	// may not have got as far as the sessions.
	RefusedRequests []RefusedRequest `json:"refused_requests"`

	// MissingNodes are those of the cluster that did not answer: what they know is missing.
	MissingNodes []string `json:"missing_nodes,omitempty"`
}

// RefusedRequest is the last of several refused requests of senders that were alike.
type RefusedRequest struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Detail string    `json:"detail,omitempty"` // what is wrong with the request
	Addr   string    `json:"addr"`
	Count  uint64    `json:"count"`
	First  time.Time `json:"first"` // when the first of them was
}

// Refusal is the last of several refused registrations that were alike.
type Refusal struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
	Peer   Peer      `json:"peer"`
	Count  uint64    `json:"count"`
	First  time.Time `json:"first"` // when the first of them was
}
