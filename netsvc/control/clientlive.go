package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrEnded says that the daemon has ended a stream that was followed: it was
// stopped, or it crashed.
var ErrEnded = errors.New("the daemon has ended the stream")

// Logs calls each for the last records of the daemon's log that match, oldest
// first, and with follow for those that come. It returns the error of each, one
// that wraps ctx's, or, while following, ErrEnded.
func (c *Client) Logs(ctx context.Context, q LogQuery, follow bool, each func(LogRecord) error) error {
	values := streamValues(q.Tail, follow)
	set(values, "level", q.Level)
	if !q.Since.IsZero() {
		values.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	set(values, "q", q.Text)
	set(values, "message", q.Message)
	set(values, "node", q.Node)
	return read(ctx, c, "/logs?"+values.Encode(), follow, each)
}

// Events calls each for the last events that match, oldest first, and with
// follow for those that come. For its errors see Logs.
func (c *Client) Events(ctx context.Context, q EventQuery, follow bool, each func(Event) error) error {
	values := streamValues(q.Tail, follow)
	set(values, "event", strings.Join(q.Kinds, ","))
	set(values, "app", q.AppID)
	set(values, "q", q.Text)
	return read(ctx, c, "/events?"+values.Encode(), follow, each)
}

func streamValues(tail int, follow bool) url.Values {
	values := url.Values{"tail": {strconv.Itoa(tail)}}
	if follow {
		values.Set("follow", "true")
	}
	return values
}

func set(values url.Values, name, value string) {
	if value != "" {
		values.Set(name, value)
	}
}

// read calls each for every object of a stream.
func read[T any](ctx context.Context, c *Client, path string, follow bool, each func(T) error) error {
	return c.send(ctx, c.calls, "GET", path, nil, func(answer io.Reader) error {
		decoder := json.NewDecoder(answer)
		for {
			var object T
			err := decoder.Decode(&object)
			switch {
			case err == nil:
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, io.EOF) && !follow:
				return nil
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				return ErrEnded
			default:
				return fmt.Errorf("reading the daemon's stream: %w", err)
			}
			if err := each(object); err != nil {
				return err
			}
		}
	})
}

// History returns what the last span, up to 24 hours, was like; appID may be empty, for all
// apps. A daemon of before answers with an *Error with CodeNotFound.
func (c *Client) History(ctx context.Context, appID string, span time.Duration) (History, error) {
	values := url.Values{"span": {span.String()}}
	set(values, "app", appID)
	return ask[History](ctx, c, "GET", "/history?"+values.Encode(), nil)
}

// SetLogLevel changes the level of the daemon's log until it is restarted or
// reloaded.
func (c *Client) SetLogLevel(ctx context.Context, level string) error {
	_, err := ask[LevelBody](ctx, c, "PUT", "/log-level", LevelBody{level})
	return err
}

// Reload has the daemon read its settings again.
func (c *Client) Reload(ctx context.Context) (ReloadReport, error) {
	return ask[ReloadReport](ctx, c, "POST", "/reload", nil)
}

// Upgrade has the program on disk take the daemon's place, with all sessions. It
// returns when that begins; Status.LastHandover with this id says what came of it.
// The id is empty from a daemon that keeps no such record.
func (c *Client) Upgrade(ctx context.Context) (id string, err error) {
	begun, err := ask[UpgradeBegun](ctx, c, "POST", "/upgrade", nil)
	return begun.ID, err
}

// Backup writes a database file with all apps as they are now. It holds their
// keys.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	return c.send(ctx, c.imports, "GET", "/backup", nil, func(answer io.Reader) error {
		if _, err := io.Copy(w, answer); err != nil {
			return fmt.Errorf("reading the backup: %w", err)
		}
		return nil
	})
}

// People finds users by a part of the id or the name, in any letter case; appID may be
// empty, for all apps, and limit 0, for as many as the daemon gives at once.
func (c *Client) People(ctx context.Context, appID, text string, limit int) (People, error) {
	values := make(url.Values)
	set(values, "app", appID)
	set(values, "q", text)
	if limit > 0 {
		values.Set("limit", strconv.Itoa(limit))
	}
	return ask[People](ctx, c, "GET", "/people?"+values.Encode(), nil)
}

// Infobases lists the infobases of an app, or of all apps if appID is empty: those with
// sessions, messages or a name, by name and id.
func (c *Client) Infobases(ctx context.Context, appID string) ([]Infobase, error) {
	values := make(url.Values)
	set(values, "app", appID)
	return ask[[]Infobase](ctx, c, "GET", "/infobases?"+values.Encode(), nil)
}

// Explain returns why a message of an app did or did not reach a user, a group, or
// a user in a group of an infobase. appID, ibID and one of the others are needed.
func (c *Client) Explain(ctx context.Context, appID, ibID, userID, userGroup string) (Explanation, error) {
	values := url.Values{"app": {appID}, "ib": {ibID}}
	set(values, "user", userID)
	set(values, "group", userGroup)
	return ask[Explanation](ctx, c, "GET", "/explain?"+values.Encode(), nil)
}
