package tui

import (
	"context"
	"runtime/debug"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// What the daemon says by itself, and the clock.
type (
	// upMsg: the daemon answers.
	upMsg struct{ status control.Status }
	// downMsg: it does not, and is asked again at retry.
	downMsg struct {
		err   error
		retry time.Time
	}
	// tickMsg comes from the daemon each second.
	tickMsg struct {
		at         time.Time
		statistics control.Statistics
	}
	// appsChangedMsg: an app was created, changed or removed.
	appsChangedMsg struct{}
	// beatMsg comes each second whether there is a daemon or not.
	beatMsg struct{}
	// panicMsg is a panic outside of the event loop, which has to end the program
	// there: only so the terminal becomes again what it was.
	panicMsg struct {
		value any
		stack []byte
	}
)

// guard is deferred by what runs beside the event loop.
func guard(send func(tea.Msg)) {
	if value := recover(); value != nil {
		send(panicMsg{value, debug.Stack()})
	}
}

// How long to wait before the daemon is looked for again: first, and at most.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// feed sends what goes on in the daemon until ctx ends; when the daemon goes away
// it waits until it is back.
func feed(ctx context.Context, daemon Daemon, now func() time.Time, send func(tea.Msg)) {
	wait := firstRetry
	for ctx.Err() == nil {
		err := follow(ctx, daemon, func(msg tea.Msg) {
			wait = firstRetry
			send(msg)
		})
		if ctx.Err() != nil {
			return
		}
		send(downMsg{err: err, retry: now().Add(wait)})
		pause(ctx, wait)
		wait = min(2*wait, lastRetry)
	}
}

// follow sends what goes on until the daemon is gone.
func follow(ctx context.Context, daemon Daemon, send func(tea.Msg)) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	status, err := daemon.Status(asking)
	cancel()
	if err != nil {
		return err
	}
	send(upMsg{status})

	// A daemon that hangs does not close its stream: it ends to speak.
	following, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	silence := time.AfterFunc(callTimeout, func() { stop(context.DeadlineExceeded) })
	defer silence.Stop()
	query := control.EventQuery{Kinds: []string{control.EventStatistics, control.EventAppChanged}}
	err = daemon.Events(following, query, true, func(event control.Event) error {
		silence.Reset(callTimeout)
		switch {
		case event.Statistics != nil:
			send(tickMsg{event.Time, *event.Statistics})
		case event.Event == control.EventAppChanged, event.Lost > 0:
			send(appsChangedMsg{})
		}
		return nil
	})
	if cause := context.Cause(following); cause != nil && ctx.Err() == nil {
		return cause
	}
	return err
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Follow sends what goes on in the daemon, and a beat each second, until ctx ends.
// Run calls it beside the program.
func (p *Panel) Follow(ctx context.Context, send func(tea.Msg)) error {
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		defer guard(send)
		feed(ctx, p.env.daemon, p.env.now, send)
		return nil
	})
	all.Go(func() error {
		defer guard(send)
		p.journal.run(ctx, send)
		return nil
	})
	all.Go(func() error {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				send(beatMsg{})
			case <-ctx.Done():
				return nil
			}
		}
	})
	return all.Wait()
}
