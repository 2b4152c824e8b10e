package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// New keys for an app, and the end of its tokens.

// graces are how long an old key may go on working.
var graces = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// renewal is a key that is to be replaced, in words and in deed.
type renewal struct {
	title, text string
	now         string // what is said of a key that ends at once
	rotate      func(ctx context.Context, grace time.Duration) (control.AppChange, error)
	done        func(change control.AppChange, grace time.Duration) string
}

// askKey asks how long the old key goes on working, and begins with a day.
func (a *appsScreen) askKey(r renewal) tea.Cmd {
	choose := func(grace time.Duration) func() tea.Cmd {
		return func() tea.Cmd {
			return a.change(func(ctx context.Context) (control.App, string, error) {
				change, err := r.rotate(ctx, grace)
				return change.App, r.done(change, grace), err
			})
		}
	}
	q := &question{env: a.env, title: r.title, text: r.text}
	for _, grace := range graces {
		q.options = append(q.options, option{a.t("tui.grace", "time", a.graceName(grace)), choose(grace)})
	}
	q.options = append(q.options, option{r.now, choose(0)}, option{a.t("tui.change_nothing"), nil})
	q.at.pos = 1
	return a.open(q)
}

func (a *appsScreen) graceName(grace time.Duration) string {
	if grace < 48*time.Hour {
		return a.t("tui.hours", "N", int(grace.Hours()))
	}
	return a.t("tui.days", "N", int(grace.Hours()/24))
}

func (a *appsScreen) askServerKey(one control.App) tea.Cmd {
	return a.askKey(renewal{
		title: a.t("tui.server_key_title"),
		text:  a.t("tui.server_key_text", "title", cells.Plain(one.Title), "id", one.ID),
		now:   a.t("tui.server_key_now"),
		rotate: func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateServerKey(ctx, one.ID, grace)
		},
		done: func(_ control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.server_key_changed")
			}
			return a.t("tui.server_key_grace", "time", a.graceName(grace))
		},
	})
}

func (a *appsScreen) askClientKey(one control.App) tea.Cmd {
	return a.askKey(renewal{
		title: a.t("tui.client_key_title"),
		text:  a.t("tui.client_key_text", "title", cells.Plain(one.Title), "id", one.ID),
		now:   a.t("tui.client_key_now", "sessions", a.cutsOff(one.Sessions)),
		rotate: func(ctx context.Context, grace time.Duration) (control.AppChange, error) {
			return a.daemon.RotateClientKey(ctx, one.ID, grace)
		},
		done: func(change control.AppChange, grace time.Duration) string {
			if grace == 0 {
				return a.t("tui.client_key_changed", "sessions", a.t("live.n_sessions", "N", change.ClosedSessions))
			}
			return a.t("tui.client_key_grace", "time", a.graceName(grace))
		},
	})
}

// askRevoke ends old keys before their time.
func (a *appsScreen) askRevoke(one control.App) tea.Cmd {
	revoke := func(server, client bool) func() tea.Cmd {
		return func() tea.Cmd {
			return a.change(func(ctx context.Context) (control.App, string, error) {
				change, err := a.daemon.RevokeOld(ctx, one.ID, server, client)
				sessions := a.t("live.n_sessions", "N", change.ClosedSessions)
				return change.App, a.t("tui.revoked", "sessions", sessions), err
			})
		}
	}
	options := []option{{a.t("tui.change_nothing"), nil}}
	server, client := one.OldServerKeyUntil != nil, one.OldClientKeyUntil != nil
	if server {
		options = append(options, option{a.t("tui.revoke_server"), revoke(true, false)})
	}
	if client {
		sessions := ""
		if n := one.OldClientKeySessions; n != nil {
			sessions = a.cutsOff(*n)
		}
		options = append(options, option{a.t("tui.revoke_client", "sessions", sessions), revoke(false, true)})
	}
	switch {
	case !server && !client:
		a.tell(a.t("tui.no_old_keys"))
		return nil
	case server && client:
		options = append(options, option{a.t("tui.revoke_both"), revoke(true, true)})
	}
	return a.open(&question{
		env:     a.env,
		title:   a.t("tui.revoke_title"),
		text:    a.t("tui.revoke_text", "title", cells.Plain(one.Title), "id", one.ID),
		options: options,
	})
}

// keyFacts are the ages of an app's keys, and who uses them.
func (a *appsScreen) keyFacts(one control.App) []field {
	age := func(since time.Time) string { return a.words.Age(a.now().Sub(since)) }
	last := func(at *time.Time) string {
		if at == nil {
			return a.t("live.never")
		}
		return say.Time(*at)
	}
	until := func(t time.Time) string {
		return a.t("tui.old_until", "left", a.words.Age(max(t.Sub(a.now()), 0)), "time", say.Time(t))
	}
	current := one.Sessions
	if n := one.OldClientKeySessions; n != nil {
		current = max(current-*n, 0)
	}
	facts := []field{
		{a.t("tui.server_key"), a.t("tui.server_key_use", "age", age(one.ServerKeySince), "tokens",
			number(one.ServerKeyTokens), "last", last(one.ServerKeyLastUsedAt))},
		{a.t("tui.client_key"), a.t("tui.client_key_use", "age", age(one.ClientKeySince), "n", number(current))},
	}
	for _, k := range one.OldServerKeys {
		facts = append(facts, field{a.t("tui.old_server_key"), until(k.Until) + " · " +
			a.t("tui.server_key_use", "age", age(k.Since), "tokens", number(k.Tokens), "last", last(k.LastUsedAt))})
	}
	for _, k := range one.OldClientKeys {
		facts = append(facts, field{a.t("tui.old_client_key"), until(k.Until) + " · " +
			a.t("tui.client_key_use", "age", age(k.Since), "n", number(k.Sessions))})
	}
	return facts
}

func (a *appsScreen) askResetToken(one control.App) tea.Cmd {
	reset := func() tea.Cmd {
		return a.change(func(ctx context.Context) (control.App, string, error) {
			changed, err := a.daemon.ResetToken(ctx, one.ID)
			return changed, a.t("tui.reset_done"), err
		})
	}
	return a.open(&question{
		env:     a.env,
		title:   a.t("tui.reset_title"),
		text:    a.t("tui.reset_text", "title", cells.Plain(one.Title), "id", one.ID),
		options: []option{{a.t("tui.change_nothing"), nil}, {a.t("tui.reset_do"), reset}},
	})
}

// cutsOff says how many sessions an app loses, and nothing if it loses none.
func (a *appsScreen) cutsOff(sessions int) string {
	if sessions == 0 {
		return ""
	}
	return a.t("tui.cuts_off", "N", sessions)
}
