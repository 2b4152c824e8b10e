package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

const (
	// alertFor is how long a warning is something new.
	alertFor = 10 * time.Minute
	// tlsSoon is how long before the end of a certificate that is said.
	tlsSoon = 30 * 24 * time.Hour
	// askedWarnings are the last ones that are looked at.
	askedWarnings = 100
	// watchEvery is how often, in seconds, the state is asked for while the overview is not
	// shown.
	watchEvery = 10
)

// state is how the daemon is, and what it warned of last.
type state struct {
	status   control.Status
	warnings []control.LogRecord // at most askedWarnings, oldest first
}

// stateMsg is a state that was asked for.
type stateMsg struct {
	state
	err error
}

// askState asks for the state; byApp for that of each app as well.
func (e *env) askState(byApp bool) tea.Cmd {
	return ask(func(ctx context.Context) tea.Msg {
		status := e.daemon.Status
		if byApp {
			status = e.daemon.StatusByApp
		}
		var now state
		var err error
		if now.status, err = status(ctx); err != nil {
			return stateMsg{err: err}
		}
		query := control.LogQuery{Level: "Warning", Tail: askedWarnings}
		err = e.daemon.Logs(ctx, query, false, func(r control.LogRecord) error {
			now.warnings = append(now.warnings, r)
			return nil
		})
		return stateMsg{now, err}
	})
}

// recent counts the warnings of the last minutes.
func (s *state) recent(now time.Time) (n int) {
	for _, r := range s.warnings {
		if now.Sub(r.Time) < alertFor {
			n++
		}
	}
	return n
}

// alerts are what is to be seen on every screen, empty if there is nothing; bad: it is
// about more than a warning.
func (e *env) alerts(s *state) (text string, bad bool) {
	var parts []string
	now := e.now()
	switch n := s.recent(now); {
	case n >= askedWarnings:
		parts = append(parts, fmt.Sprintf("%d+", n))
	case n > 0:
		parts = append(parts, fmt.Sprint(n))
	}
	if s.status.DatabaseUnavailable != "" || s.status.LastChangeInDoubt {
		parts, bad = append(parts, e.t("tui.alert_database")), true
	}
	if at := s.status.TLSExpiresAt; at != nil && at.Sub(now) < tlsSoon {
		days := max(int(at.Sub(now).Hours()/24), 0)
		parts, bad = append(parts, e.t("tui.alert_tls", "left", e.t("tui.age_d", "n", days))), bad || days < 7
	} else if s.status.TLSFailure != "" {
		parts = append(parts, "TLS")
	}
	if len(s.status.RestartNeeded) > 0 {
		parts = append(parts, e.t("tui.alert_restart"))
	}
	if len(parts) == 0 {
		return "", false
	}
	return "▲" + strings.Join(parts, " · "), bad
}
