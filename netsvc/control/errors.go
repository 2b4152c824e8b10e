package control

// Codes of Error.
const (
	CodeAppNotFound      = "app_not_found"
	CodeSessionNotFound  = "session_not_found"
	CodeBadRequest       = "bad_request"
	CodeBadTitle         = "bad_title"
	CodeBadGrace         = "bad_grace"
	CodeTooManyKeys      = "too_many_keys"
	CodeTooLarge         = "too_large"
	CodeForbidden        = "forbidden"
	CodeNotFound         = "not_found"
	CodeMethodNotAllowed = "method_not_allowed"
	CodeBadSettings      = "bad_settings"
	CodeTooManyFollowers = "too_many_followers"
	CodeCannotUpgrade    = "cannot_upgrade"
	CodeNotStored        = "not_stored"
	CodeInternal         = "internal"

	// Of a file of names, of which nothing was imported. Error.Line says where.
	CodeNamesEncoding = "names_encoding" // neither UTF-8 nor UTF-16 with a mark
	CodeNamesForm     = "names_form"     // a line without the three fields
	CodeNamesKind     = "names_kind"     // a line of another kind than user and ib
	CodeNamesTwice    = "names_twice"    // an id with two names; the other one is in Error.OtherLine
	CodeBadName       = "bad_name"       // an id or a name that cannot be used; Line is 0 if there is no file
	CodeTooManyNames  = "too_many_names"
	CodeNamesTooLarge = "names_too_large"

	// The next four say that nothing was changed, and that it may be tried again: in
	// a moment, when the database is there again, when the cluster is there again, and
	// when nobody else changes the same app all the time.
	CodeHandingOver         = "handing_over"
	CodeDatabaseUnavailable = "database_unavailable"
	CodeClusterUnavailable  = "cluster_unavailable"
	CodeClusterConflict     = "cluster_conflict"

	CodeNodeNotFound = "node_not_found" // the cluster has no node of that name
	// CodeNodeUnreachable says that a node of the cluster did not answer. If it was asked to
	// change something, nobody knows whether it did.
	CodeNodeUnreachable = "node_unreachable"
	// CodeOutcomeUnknown says that nobody knows whether it was changed.
	CodeOutcomeUnknown = "outcome_unknown"

	// Of commands about the cluster.
	CodeNoCluster   = "no_cluster"       // the daemon is alone
	CodeJoined      = "joined_already"   // there is nothing to decide
	CodeNeverJoined = "never_in_cluster" // there is nothing to restore
	CodeAppsDiffer  = "apps_differ"      // those in Error.Apps cannot be merged
)

// Error is a refusal: its HTTP status, a stable code, and what is wrong, in
// English.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Of a file: the line that is wrong, and the one it contradicts; 0: there is none.
	Line      int `json:"line,omitempty"`
	OtherLine int `json:"other_line,omitempty"`
	// Node, of CodeNodeNotFound and CodeNodeUnreachable: its name.
	Node string `json:"node,omitempty"`
	// Holders, of CodeTooManyFollowers: who follows, those with most streams first, ten at most.
	Holders []Holder `json:"holders,omitempty"`
	// Apps are the ids of CodeAppsDiffer.
	Apps []string `json:"apps,omitempty"`
}

// Holder is a process that follows the log or the events.
type Holder struct {
	User    string `json:"user"`
	PID     int    `json:"pid,omitempty"` // 0: the system does not say
	Streams int    `json:"streams"`
}

func (e *Error) Error() string { return e.Message }

// ErrorBody is how an Error travels.
type ErrorBody struct {
	Error *Error `json:"error"`
}
