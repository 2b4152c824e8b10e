package say

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// repeated ends the message of a record that counts others like one before.
const repeated = ", repeated"

// recordTexts are what messages of the daemon's log are called in the catalogue, as
// live.record_… and, where there is something to be done, live.advice_….
var recordTexts = map[string]string{
	"session opened":                              "opened",
	"session registered again":                    "changed",
	"session resumed":                             "resumed",
	"session detached":                            "detached",
	"session closed":                              "closed",
	"registration refused":                        "refused",
	"request refused":                             "request_refused",
	"message without a recipient":                 "unmet",
	"connection from outside the allowed network": "outside",
	"messages were kept no longer when a session came back":                            "missed",
	"connections take a session from each other, it is used twice perhaps":             "used_twice",
	"session comes back of which nothing is remembered, its numbers go on":             "nothing_remembered",
	"messages that wait take more memory than queue_memory: sessions are dropped":      "queue_memory_full",
	"messages that wait take less memory than queue_memory again":                      "queue_memory_free",
	"keys in Data that are no names in 1C: the released extension loses such messages": "unusable_keys",
	"request failed": "request_failed",

	"changed certificate cannot be used, the one before stays in service": "certificate_unusable",
	"certificate read again":                             "certificate_read",
	"certificate has expired, it is served nevertheless": "certificate_expired",
	"certificate expires soon":                           "certificate_soon",

	"sessions closed because their key is no longer valid":            "key_gone",
	"client key cannot be used":                                       "key_unusable",
	"ended keys could not be taken out of the database, trying again": "keys_kept",
	"sessions will be closed when their client key ends":              "key_ends",
	"old keys imported":                                               "old_keys",
	"entry of the old keys file":                                      "old_keys_entry",
	"another old keys file with other apps was not imported":          "old_keys_other",

	"the apps are in agreement with the other nodes":                     "apps_agreed",
	"the apps are not in agreement with the other nodes":                 "apps_apart",
	"what is in the cluster's bucket is not from a node, and is ignored": "apps_ignored",
	"NATS has lost changes of apps, this node has them still":            "apps_lost",

	"names were taken over from another node":                                                    "names_taken",
	"a store for the cluster's apps was made in NATS":                                            "store_made",
	"a store for the cluster's apps was made on one NATS server, for three were not to be had":   "store_made_few",
	"the apps in NATS are sealed again, with the cluster's new key":                              "sealing_again",
	"the apps in NATS are sealed with the cluster's new key, the old one is not needed any more": "all_sealed",
	"the nodes seal with different keys, and the apps in NATS stay sealed as they are":           "keys_differ",
	"the cluster has changed its key, and this node still seals with the old one":                "key_left",

	"administration":                                    "administration",
	"control request refused":                           "control_refused",
	"control request failed":                            "control_failed",
	"settings reloaded":                                 "reloaded",
	"settings not reloaded, those before stay in force": "not_reloaded",

	"the database may lack its last change, for one of its two meta pages is damaged: a key that was revoked last may work again": "in_doubt",
	"the database cannot be opened: nothing can be changed until it can":                                                          "no_database",
	"the database cannot be opened: serving from memory, and nothing can be changed until it can":                                 "no_database",
	"the database is open again":                                    "database_again",
	"the database got no identity: trying again":                    "no_identity",
	"the database was not closed: the end of the process does that": "database_not_closed",
	"the new database could not be removed again":                   "database_left",
	"names of users and infobases are shown as ids":                 "no_names",
	"the control channel cannot be opened: trying again":            "no_control",
	"the control channel had been removed, and is there again":      "control_again",

	"sessions taken over":                 "taken_over",
	"sessions were lost at the hand-over": "handover_lost",
	"sessions were closed at the hand-over: their key is no longer in force": "handover_revoked",
	"sessions that were handed over cannot be read, and are lost":            "handover_unreadable",
	"the sessions could not be stored":                                       "not_stored",
	"the sessions could not be put back into the store, and are closed":      "not_stored",
	"the upgrade failed, this version goes on: nothing was lost":             "upgrade_failed",
	"the process before this one does not hear":                              "deaf",
	"systemd was not told which process it has to follow":                    "systemd",
	"systemd does not hear":                                                  "systemd",
	"the charts begin anew":                                                  "charts",

	"requests were cut off at the end":                               "cut_off",
	"control requests were cut off at the end":                       "cut_off",
	"requests were cut off at the hand-over":                         "cut_off",
	"messages were still queued at the end":                          "queued_at_end",
	"idle sessions need a goroutine each":                            "no_watch",
	"an address of the settings cannot be had: the one before stays": "address_kept",
	"the port is that of an outgoing connection, waiting for it":     "port_taken",
	"cannot accept connections: making room and trying again":        "cannot_accept",

	"connected to NATS":                "nats_connected",
	"disconnected from NATS":           "nats_disconnected",
	"the NATS server is about to stop": "nats_stops",
	"NATS reports an error":            "nats_error",
	"no connection to NATS: only this node's own sessions are served":                                    "nats_away",
	"the cluster's subjects cannot be subscribed to":                                                     "nats_subjects",
	"this node is a live part of the cluster":                                                            "node_ready",
	"the clock jumped: this node begins anew in the cluster":                                             "node_anew",
	"something in the cluster's subjects was not sealed with its key: it is dropped":                     "node_forged",
	"messages of another node did not come in their order: some may be lost":                             "node_missed",
	"this node is too slow for the messages of other nodes: some are refused":                            "node_too_slow",
	"a node is refused by this one":                                                                      "node_refused",
	"this node begins anew in the cluster":                                                               "node_other_life",
	"control requests of other nodes are not answered any more":                                          "node_asks_ended",
	"a node asks without saying for whom":                                                                "node_asks_unnamed",
	"a part of a control request of another node was refused":                                            "node_asks_refused",
	"the cluster cannot be joined: only this node's own sessions are served, and apps cannot be changed": "node_not_joined",
	"a copy of the database is kept, for its apps are replaced by those of the cluster":                  "apps_replaced",
	"a later version of the program has changed an app in a way that this one does not know":             "apps_later",
	"what was remembered of a session is not what its client has read from: it begins anew":              "memory_not_that",
	"node joining": "node_joining",
	"node moving":  "node_moving",
	"node live":    "node_live",
	"node silent":  "node_silent",
	"node lost":    "node_lost",
	"node left":    "node_left",
}

// Record says a record of the log in a sentence, and what to do about it in another, if
// there is something to be done. known is false if there is no sentence for it.
func (w Words) Record(r control.LogRecord) (sentence, advice string, known bool) {
	if r.Lost > 0 {
		return w.Text.T("live.lost", "N", r.Lost), "", true
	}
	message, again := strings.CutSuffix(r.Message, repeated)
	text := recordTexts[message]
	if text == "" {
		return "", "", false
	}
	args := w.recordArgs(r)
	if text == "administration" {
		args = append(args, "what", w.deed(r, args))
	}
	sentence = w.Text.T("live.record_"+text, args...)
	if again {
		sentence += w.Text.T("live.record_again", args...)
	}
	id := "live.advice_" + text
	if advice = w.Text.T(id, args...); advice == id {
		advice = ""
	}
	return sentence, advice, true
}

// deed is what an administrator has done, by the action that the record names; one of a
// newer daemon is said as the log has it.
func (w Words) deed(r control.LogRecord, args []any) string {
	action := Attr(r, "action")
	var keys []string
	for _, which := range []string{"server", "client"} {
		if Attr(r, which) == "true" {
			keys = append(keys, w.Text.T("live.deed_key_"+which))
		}
	}
	grace := ""
	if seconds, err := strconv.ParseFloat(Attr(r, "grace"), 64); err == nil && seconds > 0 {
		grace = w.Age(time.Duration(seconds * float64(time.Second)))
	}
	closed := Attr(r, "closed_sessions")
	if closed == "0" {
		closed = ""
	}
	args = append(args, "keys", strings.Join(keys, ", "), "grace", grace, "closed", w.Text.Number(closed),
		"id", locale.Clean(Attr(r, "id")), "size", w.recordSize(r))
	id := "live.deed_" + strings.ReplaceAll(action, " ", "_")
	if text := w.Text.T(id, args...); text != id {
		return text
	}
	return locale.Clean(action)
}

// recordSize is how large what a record is about is, empty if it does not say.
func (w Words) recordSize(r control.LogRecord) string {
	n, err := strconv.ParseUint(Attr(r, "bytes"), 10, 64)
	if err != nil {
		return ""
	}
	return w.Bytes(n)
}

// Attr is the value of an attribute of a record, as text; empty: it has none.
func Attr(r control.LogRecord, name string) string {
	for _, a := range r.Attrs {
		if a.Name == name {
			return fmt.Sprint(a.Value)
		}
	}
	return ""
}

// recordArgs are what sentences about records may name; what a record does not have is
// empty.
func (w Words) recordArgs(r control.LogRecord) []any {
	value := func(name string) string { return locale.Clean(Attr(r, name)) }
	var args []any
	for _, name := range []string{
		"session", "problems", "to", "to_version", "from_version", "not_after",
		"days_left", "detail", "path", "file", "line", "problem", "action", "title", "log_level", "applied",
		"restart_needed",
		"service", "allowed", "port", "connection", "at", "keys", "error", "method",
		"server", "version", "after", "since", "subject", "node", "nodes", "peers", "key",
	} {
		args = append(args, name, value(name))
	}
	for _, name := range []string{
		"delivered", "missed", "dropped", "forgotten", "messages", "more", "sessions", "apps", "lost", "records", "replicas", "names",
	} {
		args = append(args, name, w.Text.Number(value(name)))
	}
	user := ""
	if id := Attr(r, "user_id"); id != "" || Attr(r, "session") != "" {
		user = w.user(id, Attr(r, "user_name"))
	}
	ib, app := Called(Attr(r, "ib"), Attr(r, "ib_name")), Attr(r, "app")
	where := ""
	switch {
	case ib != "" && app != "":
		where = w.Text.T("live.record_of_ib", "ib", ib, "app", w.App(app))
	case app != "":
		where = w.Text.T("live.record_of_app", "app", w.App(app))
	}
	who := where
	if user != "" && where != "" {
		who = user + ", " + where
	}
	if who != "" {
		who += ": "
	}
	to := w.Text.T("live.everybody")
	if id := Attr(r, "user_id"); id != "" {
		to = Called(id, Attr(r, "user_name"))
	} else if group := Attr(r, "group"); group != "" {
		to = w.group(group)
	}
	reason := ""
	if word := Attr(r, "reason"); word != "" {
		reason = w.Reason(word)
	}
	addr := value("peer")
	if addr == "others" {
		addr = w.Text.T("live.record_others")
	}
	return append(args, "by", value("user"), "user", user, "where", where, "who", who, "whom", to, "addr", addr,
		"reason", reason)
}
