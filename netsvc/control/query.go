package control

import (
	"net/url"
	"strconv"
	"time"
)

// SessionQuery selects sessions. The zero value selects the first page of all of
// them.
type SessionQuery struct {
	AppID     string // the app's sessions only
	IbID      string // the infobase's: its id, exactly as it is written, or its name
	UserID    string // the user's: the id, exactly as it is written, or the name
	UserGroup string // the group's, exactly as it is written
	// words that must all be part of an id, a name, a group or an address, in any letter case; app:, ib:, user:,
	// group:, host:, ip: before one says where, - excludes it
	Text   string
	Sort   string // one of SessionSortKeys, after a minus for the reverse; empty: by id
	Limit  int    // the size of the page; 0, or too many: as many as the daemon gives at once
	Offset int    // skips that many; for who shows a part of the list as it is now
	After  string // SessionPage.Next of the page before; excludes Offset
}

// SessionSortKeys returns the words that SessionQuery.Sort takes, but for a minus
// before them.
func SessionSortKeys() []string {
	return []string{"addr", "app", "bytes", "delivered", "group", "ib", "ib_name", "id", "queued", "since", "user",
		"user_name"}
}

// values are the parameters that ask for the query.
func (q SessionQuery) values() url.Values {
	values := make(url.Values)
	for name, value := range map[string]string{
		"app": q.AppID, "ib": q.IbID, "user": q.UserID, "group": q.UserGroup, "q": q.Text, "sort": q.Sort,
		"after": q.After,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	for name, value := range map[string]int{"limit": q.Limit, "offset": q.Offset} {
		if value != 0 {
			values.Set(name, strconv.Itoa(value))
		}
	}
	return values
}

// EventQuery selects events. The zero value selects all of them.
type EventQuery struct {
	Kinds []string // of EventKinds; empty: all
	AppID string   // the app's events only, and statistics
	// must be part of an id, a group, an address, a title or a reason, in any letter case; not of statistics
	Text string
	Tail int // how many of the last events come first
}

// LogQuery selects records of the daemon's log. The zero value selects all that
// come.
type LogQuery struct {
	Level   string    // this and above; empty: all that is kept
	Message string    // what the message begins with
	Text    string    // must be part of the message or an attribute, in any letter case
	Tail    int       // how many of the last records come first
	Since   time.Time // of these, only those of this time and later; zero: all
	Node    string    // of the cluster, whose log it is; empty: the daemon that is asked
}
