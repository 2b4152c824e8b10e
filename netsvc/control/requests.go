package control

import (
	"encoding/json"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The bodies of requests, and of answers that are no more than what was asked for.

// TitleBody creates or renames an app.
type TitleBody struct {
	Title string `json:"title"`
}

// graceBody renews a key. The server takes seconds as well.
type graceBody struct {
	Grace string `json:"grace"`
}

// RevokeBody says which old keys of an app end.
type RevokeBody struct {
	Server bool `json:"server"`
	Client bool `json:"client"`
}

// Rotation says which keys of an app are renewed.
type Rotation struct {
	ID     string `json:"id"`
	Server bool   `json:"server"`
	Client bool   `json:"client"`
}

// rotateBody renews keys of several apps.
type rotateBody struct {
	Apps []Rotation `json:"apps"`
	graceBody
}

// LevelBody changes the level of the log, and answers that.
type LevelBody struct {
	Level string `json:"level"`
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

// Sent answers a message: for how many sessions it was queued.
type Sent struct {
	Sessions int `json:"sessions"`
	Waiting  int `json:"waiting,omitempty"` // of these, those that are away and may come back
	// UnconfirmedNodes are those of the cluster that may or may not have got the message.
	// Their sessions are not counted.
	UnconfirmedNodes []string `json:"unconfirmed_nodes,omitempty"`
	// UnusableKeys are those in Data that are no names in 1C: the released extension
	// loses the message.
	UnusableKeys []string `json:"unusable_keys,omitempty"`
}

// JoinBody says whose apps hold where this node and its cluster differ.
type JoinBody struct {
	Apps string `json:"apps"` // JoinMerging or JoinTaking
}

// The words of JoinBody.
const (
	JoinMerging = "merge" // this node's are added to the cluster's
	JoinTaking  = "take"  // the cluster's replace those of this node
)

// Joined answers what was decided about the cluster's apps.
type Joined struct {
	Apps int `json:"apps"` // that this node has now
}

// Forgotten answers that a lost node is not named any more.
type Forgotten struct {
	MissingNodes []string `json:"missing_nodes,omitempty"` // that could not be told
}
