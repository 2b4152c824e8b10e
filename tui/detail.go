package tui

import (
	"context"
	"slices"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// detail is the dialog that shows a session whole, as it is now.
type detail struct {
	reader
	one    control.Session
	query  int // counts the details: answers for others are not for us
	asking bool
}

// detailMsg are the sessions of the user whose session is shown.
type detailMsg struct {
	query int
	page  control.SessionPage
	err   error
}

// open shows a session whole.
func (s *sessions) open(one control.Session) {
	s.details++
	d := &detail{one: one, query: s.details}
	d.reader = reader{
		env: s.env, title: s.t("tui.session_title", "session", cells.Plain(one.ID)),
		more:   []key.Binding{s.bind("tui.key_disconnect", "x"), s.bind("tui.key_write", "w"), s.bind("tui.key_explain", "e")},
		onMore: func(k string) (tea.Cmd, bool) { return s.pressOn(k, d.one) },
	}
	d.tell()
	s.detail, s.dialog = d, d
}

// ask asks for the session, which the daemon finds by whose it is.
func (d *detail) ask() tea.Cmd {
	if d.asking {
		return nil
	}
	d.asking = true
	q := control.SessionQuery{AppID: d.one.AppID, IbID: d.one.IbID, UserID: d.one.UserID, UserGroup: d.one.UserGroup, Limit: 2 * farRows}
	query := d.query
	return ask(func(ctx context.Context) tea.Msg {
		page, err := d.daemon.Sessions(ctx, q)
		return detailMsg{query, page, err}
	})
}

func (d *detail) take(msg detailMsg, now time.Time) {
	d.asking = false
	if msg.err != nil {
		return
	}
	same := func(one control.Session) bool { return one.ID == d.one.ID && one.Since.Equal(d.one.Since) }
	if at := slices.IndexFunc(msg.page.Sessions, same); at >= 0 {
		d.one = msg.page.Sessions[at]
		d.tell()
	} else if msg.page.Next == "" && len(d.more) > 0 {
		// What it was may still be read, but nothing can be done with it.
		d.more = nil
		d.lines = append([]string{d.t("tui.session_ended", "time", now.Local().Format(time.TimeOnly)), ""}, d.lines...)
	}
}

// tell writes down what is known of the session.
func (d *detail) tell() {
	one := d.one
	last := d.t("live.never")
	if one.LastDeliveryAt != nil {
		last = say.Time(*one.LastDeliveryAt)
	}
	group := cells.Plain(one.UserGroup)
	if group == "" {
		group = d.t("live.no_group")
	}
	d.lines = plainBlock([]field{
		{d.t("tui.column_app"), d.appTitle(one.AppID)}, {d.t("tui.app_id"), cells.Plain(one.AppID)},
		{d.t("tui.column_ib"), cells.Plain(one.IbID)}, {d.t("tui.column_user"), d.userName(one.UserID)}, {d.t("tui.column_group"), group},
		{d.t("tui.column_addr"), cells.Plain(one.Addr)}, {d.t("tui.since"), say.Time(one.Since) + "  (" + d.words.Age(d.now().Sub(one.Since)) + ")"},
		{d.t("tui.column_delivered"), number(one.Delivered) + "  (" + say.Bytes(one.Bytes) + ")"}, {d.t("tui.last_delivery"), last},
		{d.t("tui.queued"), say.Bytes(uint64(max(one.Queued, 0)))}, {d.t("tui.generation"), number(one.KeyGeneration)},
	})
}

// plainBlock sets fields one below the other without styles, for a reader.
func plainBlock(fields []field) []string {
	widest := 0
	for _, f := range fields {
		widest = max(widest, cells.Width(f.name))
	}
	lines := make([]string, len(fields))
	for i, f := range fields {
		lines[i] = cells.Left(f.name, widest) + "  " + f.value
	}
	return lines
}
