package control

import "time"

// The objects of the control channel, the same that the admin program prints
// with --json. Times are RFC 3339 in UTC, durations are in seconds. Fields may be
// added, none is ever renamed.

// App is an app with its keys.
type App struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	ServerKey string    `json:"server_key"`
	ClientKey string    `json:"client_key"`
	CreatedAt time.Time `json:"created_at"`
	Sessions  int       `json:"sessions"`
	// When the current keys were made; of a key made by a version that did not note
	// it, when the app was created.
	ServerKeySince time.Time `json:"server_key_since"`
	ClientKeySince time.Time `json:"client_key_since"`
	// How the current server key was used since the daemon was started.
	ServerKeyTokens     int        `json:"server_key_tokens"` // tokens given out during the last hour
	ServerKeyLastUsedAt *time.Time `json:"server_key_last_used_at,omitempty"`
	// While an old key works beside the new one: until when, and how many sessions
	// still live on it.
	OldServerKeyUntil    *time.Time `json:"old_server_key_until,omitempty"`
	OldClientKeyUntil    *time.Time `json:"old_client_key_until,omitempty"`
	OldClientKeySessions *int       `json:"old_client_key_sessions,omitempty"`
	// All old keys that still work, latest first.
	OldServerKeys []OldServerKey `json:"old_server_keys,omitempty"`
	OldClientKeys []OldClientKey `json:"old_client_keys,omitempty"`
	// Of a cluster, by name: MissingNodes did not say how they use the app, and are not counted
	// above; PendingNodes had not taken over the change when it was answered, and do so later.
	MissingNodes []string `json:"missing_nodes,omitempty"`
	PendingNodes []string `json:"pending_nodes,omitempty"`
}

// OldServerKey is a server key that still works beside the current one.
type OldServerKey struct {
	Since      time.Time  `json:"since"`
	Until      time.Time  `json:"until"`
	Tokens     int        `json:"tokens"` // given out during the last hour
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// OldClientKey is a client key that still works beside the current one.
type OldClientKey struct {
	Generation int       `json:"generation"`
	Since      time.Time `json:"since"`
	Until      time.Time `json:"until"`
	Sessions   int       `json:"sessions"` // that live on it
}

// AppChange is an app after a change that may have closed sessions.
type AppChange struct {
	App
	ClosedSessions int `json:"closed_sessions"`
}

// Session is a registered session. In a cluster the id is that of its node and the node's
// name, such as "482@web1".
type Session struct {
	ID        string `json:"id"`
	Node      string `json:"node,omitempty"` // that it is connected to; empty: the daemon is alone
	AppID     string `json:"app_id"`
	IbID      string `json:"ib_id"`
	UserID    string `json:"user_id"`
	UserGroup string `json:"user_group"`
	// What people call the two: an administrator, or else the session itself (protocol.md
	// section 4.4).
	UserName       string     `json:"user_name,omitempty"`
	IbName         string     `json:"ib_name,omitempty"`
	Addr           string     `json:"addr"`
	Since          time.Time  `json:"since"`
	Delivered      uint64     `json:"delivered"`
	Bytes          uint64     `json:"bytes"`
	Queued         int        `json:"queued"`
	LastDeliveryAt *time.Time `json:"last_delivery_at,omitempty"`
	KeyGeneration  int        `json:"key_generation"`

	// What newer add-ins say of themselves (protocol.md section 4.4).
	Groups []string `json:"groups,omitempty"` // further ones, beside UserGroup
	Host   string   `json:"host,omitempty"`
	Agent  string   `json:"agent,omitempty"` // the add-in, its version and platform

	// State is connected or detached. A detached session, whose add-in can go on, has lost its
	// connection at DetachedAt; Waiting messages, or fewer if it got some, wait for it.
	State      string     `json:"state"`
	DetachedAt *time.Time `json:"detached_at,omitempty"`
	Waiting    int        `json:"waiting,omitempty"`
	Resumed    uint64     `json:"resumed,omitempty"` // times that it came back
	Missed     uint64     `json:"missed,omitempty"`  // messages that could not be kept for it
}

// The states of a session.
const (
	SessionConnected = "connected"
	SessionDetached  = "detached"
)

// InGroups are all groups of the session that have a name.
func (s *Session) InGroups() []string {
	if s.UserGroup == "" {
		return s.Groups
	}
	return append([]string{s.UserGroup}, s.Groups...)
}

// SessionPage is a part of the sessions that match a query.
type SessionPage struct {
	Sessions []Session `json:"sessions"`
	Total    int       `json:"total"`          // that match, on all pages
	Next     string    `json:"next,omitempty"` // for SessionQuery.After; absent: the last page
	// MissingNodes are those of the cluster that did not answer: their sessions are missing.
	MissingNodes []string `json:"missing_nodes,omitempty"`
}

// Status is how the daemon is. Counts are since it was started.
type Status struct {
	Version       string     `json:"version"`
	PID           int        `json:"pid"`
	UptimeSeconds int64      `json:"uptime_seconds"`
	Listen        string     `json:"listen"`
	Service       string     `json:"service"`
	Control       string     `json:"control"`
	MetricsListen string     `json:"metrics_listen,omitempty"`
	LogLevel      string     `json:"log_level"`
	UpgradeFailed string     `json:"upgrade_failed,omitempty"` // why, if the latest one has
	LastHandover  *Handover  `json:"last_handover,omitempty"`
	TLSExpiresAt  *time.Time `json:"tls_expires_at,omitempty"`
	TLSFailure    string     `json:"tls_failure,omitempty"` // why a renewed certificate is not in use
	Apps          int        `json:"apps"`
	Sessions      int        `json:"sessions"`
	Detached      int        `json:"detached"`     // sessions without a connection, which may come back
	Resumed       uint64     `json:"resumed"`      // times that one did
	Missed        uint64     `json:"missed"`       // messages that could not be kept for one
	Unregistered  int        `json:"unregistered"` // connections
	Registrations uint64     `json:"registrations"`
	Traffic[uint64]
	DroppedAsSlow uint64            `json:"dropped_as_slow"` // sessions
	QueueMemory   QueueMemory       `json:"queue_memory"`
	Refused       map[string]uint64 `json:"refused"` // registrations, by reason
	Opened        uint64            `json:"opened"`  // sessions
	Closed        map[string]uint64 `json:"closed"`  // sessions, by reason
	HTTP          HTTPStatus        `json:"http"`
	Rejected      map[string]uint64 `json:"rejected"` // connections from outside the allowed network, by setting
	Rates         Rates             `json:"rates"`
	Latency       Latency           `json:"latency"`
	Followers     int               `json:"followers"` // of the log and of events
	MemoryBytes   uint64            `json:"memory_bytes"`
	RestartNeeded []string          `json:"restart_needed"` // settings that wait for a restart
	// Files in the settings folder that are not read and that somebody may take for
	// the settings.
	SettingsNotRead []string `json:"settings_not_read,omitempty"`
	// DatabaseUnavailable is why the database cannot be opened; empty: it is open. As
	// long as it cannot, the daemon works from memory, and changes nothing of the apps.
	DatabaseUnavailable string `json:"database_unavailable,omitempty"`
	// LastChangeInDoubt: when the database was opened, one of its two meta pages was
	// damaged. What was changed last may be undone, such as the end of a key.
	LastChangeInDoubt bool `json:"last_change_in_doubt,omitempty"`
	// Cluster is the one that the daemon is a node of; nil: it is alone.
	Cluster *Cluster `json:"cluster,omitempty"`
	// ByApp is there only if it was asked for.
	ByApp []AppStatus `json:"by_app,omitempty"`
}

// QueueMemory is what all that waits for sessions, or is kept for those that may come back, takes.
type QueueMemory struct {
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"` // beyond it sessions are dropped
	// Sessions that were dropped for it: detached ones, and connected ones, which are in
	// DroppedAsSlow as well.
	Forgotten uint64 `json:"forgotten"`
	Dropped   uint64 `json:"dropped"`
}

// Health is whether the daemon serves, for monitors and balancers.
type Health struct {
	// Status is ok, stopping, or how a node stands to its cluster if it is not live: joining,
	// cut_off, refused.
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"` // why it is stopping
}

// HealthOf is the status of a Health, and whether it is good. cluster is how a node stands to
// its cluster, empty if the daemon is alone. asPart says that whoever asks has other nodes to
// choose from: then one that is cut off or refused is no good, although it serves its own
// sessions.
func HealthOf(stopping bool, cluster string, asPart bool) (status string, good bool) {
	switch {
	case stopping:
		return HealthStopping, false
	case cluster == "" || cluster == NodeLive:
		return "ok", true
	}
	return cluster, !asPart || cluster != NodeCutOff && cluster != NodeRefused
}

// HealthStopping is the status of a daemon that is about to end.
const HealthStopping = "stopping"

// Traffic is what became of messages: of all, or of those of one app; counted, or a
// second.
type Traffic[N uint64 | float64] struct {
	Messages       N `json:"messages"`
	NoRecipient    N `json:"no_recipient"` // messages for which no session was connected
	Delivered      N `json:"delivered"`    // messages written whole to a session
	DeliveredBytes N `json:"delivered_bytes"`
}

// HTTPStatus are the requests of senders.
type HTTPStatus struct {
	Status               map[string]uint64 `json:"status"`  // by HTTP status
	Refused              map[string]uint64 `json:"refused"` // by reason
	TLSHandshakeFailures uint64            `json:"tls_handshake_failures"`
	HealthChecks         uint64            `json:"health_checks"` // in none of the others
}

// Rates are counts a second, over the last second.
type Rates struct {
	Opened        float64 `json:"opened"`
	Closed        float64 `json:"closed"`
	Registrations float64 `json:"registrations"`
	Refused       float64 `json:"refused"`
	Traffic[float64]
	DroppedAsSlow float64 `json:"dropped_as_slow"`
	Requests      float64 `json:"requests"`
}

// Latency is how long messages took from being accepted to the last write of
// their copies, during the last WindowSeconds. Times are in seconds, and absent
// if there were no messages with a recipient.
type Latency struct {
	WindowSeconds int      `json:"window_seconds"`
	Messages      uint64   `json:"messages"`
	P50           *float64 `json:"p50,omitempty"`
	P95           *float64 `json:"p95,omitempty"`
	P99           *float64 `json:"p99,omitempty"`
}

// AppStatus is how one app is doing. Counts are since the daemon was started.
type AppStatus struct {
	ID               string `json:"id"`
	Title            string `json:"title"`
	Sessions         int    `json:"sessions"`
	SessionsOnOldKey int    `json:"sessions_on_old_key"`
	Registrations    uint64 `json:"registrations"`
	Refused          uint64 `json:"refused"` // registrations with a wrong key
	RequestsRefused  uint64 `json:"requests_refused"`
	Traffic[uint64]
	DroppedAsSlow uint64   `json:"dropped_as_slow"` // sessions
	Rates         AppRates `json:"rates"`
}

// AppRates are counts a second of one app, over the last second.
type AppRates struct {
	Registrations float64 `json:"registrations"`
	Traffic[float64]
}

// History is what a time up to now was like, in steps of equal length.
type History struct {
	AppID string `json:"app_id,omitempty"` // empty: of all apps
	// Kept: it is one of the apps whose history is kept, those where most goes on.
	Kept        bool           `json:"kept"`
	StepSeconds int            `json:"step_seconds"`
	From        time.Time      `json:"from"`
	To          time.Time      `json:"to"`
	Points      []HistoryPoint `json:"points"` // oldest first; without those of which nothing is known
}

// HistoryPoint is a step of a History. Counts are of the step alone.
type HistoryPoint struct {
	Time    time.Time `json:"time"`    // its begin
	Seconds int       `json:"seconds"` // that were measured in it
	// Sessions are the most, FewestSessions the fewest at once.
	Sessions        int    `json:"sessions"`
	FewestSessions  *int   `json:"sessions_fewest,omitempty"` // absent of an app
	Messages        uint64 `json:"messages"`
	NoRecipient     uint64 `json:"no_recipient"`
	Delivered       uint64 `json:"delivered"`
	Refused         uint64 `json:"refused"` // registrations; of an app, those with a wrong key
	RequestsRefused uint64 `json:"requests_refused"`
	// How many seconds messages took; absent of an app, and if there were none with a
	// recipient.
	P50 *float64 `json:"p50,omitempty"`
	P99 *float64 `json:"p99,omitempty"`
}

// ReloadReport is what became of the settings that were read again.
type ReloadReport struct {
	Applied       []string `json:"applied"`        // settings that changed and hold now
	RestartNeeded []string `json:"restart_needed"` // settings that wait for a restart
	Warnings      []string `json:"warnings"`       // in the language asked for
}

// ImportReport is what became of an old keys file.
type ImportReport struct {
	Imported []App           `json:"imported"`
	Present  []App           `json:"present"` // were there already, the same
	Problems []ImportProblem `json:"problems"`
	Omitted  int             `json:"omitted"` // problems that are not listed
	// PendingNodes of the cluster had not taken over all apps when it was answered.
	PendingNodes []string `json:"pending_nodes,omitempty"`
}

// ImportProblem is one thing wrong with an old keys file.
type ImportProblem struct {
	Line    int    `json:"line"`
	Code    string `json:"code"`
	Skipped bool   `json:"skipped"`
	Title   string `json:"title"`
	Detail  string `json:"detail"`
}

// Name is what an administrator has said that a user or an infobase is called.
type Name struct {
	Kind string `json:"kind"` // one of NameKinds
	ID   string `json:"id"`
	Name string `json:"name"`
}

// NameKinds returns the words that Name.Kind takes.
func NameKinds() []string { return []string{"user", "ib"} }

// NamesReport is what there is after a change of an app's names.
type NamesReport struct {
	AppID     string `json:"app_id"`
	Users     int    `json:"users"`     // that have a name now
	Infobases int    `json:"infobases"` // the same
	Read      int    `json:"read"`      // names that the file had; 0 if there was none
	Header    bool   `json:"header"`    // the file's first line was a header
	// PendingNodes of the cluster have not taken the names over yet: they do when they are
	// back, or within a minute.
	PendingNodes []string `json:"pending_nodes,omitempty"`
}

// NamesTime says when the names of an app were changed last.
type NamesTime struct {
	AppID string `json:"app_id"`
	At    int64  `json:"at"`    // milliseconds since 1970
	Names int    `json:"names"` // how many there are; 0: they were taken away
}
