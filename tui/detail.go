package tui

import (
	"context"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
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

// openDetail shows a session whole.
func (s *sessionsScreen) openDetail(one control.Session) tea.Cmd {
	s.details++
	d := &detail{one: one, query: s.details}
	d.reader = reader{
		env:   s.env,
		title: s.t("tui.session_title", "session", cells.Plain(one.ID)),
		more:  s.keysOn(func() (control.Session, bool) { return d.one, true }),
	}
	d.fill()
	s.detail = d
	return s.open(d)
}

// ask asks for the session, which the daemon finds by whose it is.
func (d *detail) ask() tea.Cmd {
	if d.asking {
		return nil
	}
	d.asking = true
	q := control.SessionQuery{
		AppID:     d.one.AppID,
		IbID:      d.one.IbID,
		UserID:    d.one.UserID,
		UserGroup: d.one.UserGroup,
		Limit:     2 * farRows,
	}
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
		d.fill()
	} else if msg.page.Next == "" && len(d.more) > 0 {
		// What it was may still be read, but nothing can be done with it.
		d.more = nil
		ended := d.t("tui.session_ended", "time", now.Local().Format(time.TimeOnly))
		d.lines = append([]string{ended, ""}, d.lines...)
	}
}

// fill writes down what is known of the session.
func (d *detail) fill() { d.lines = plainBlock(d.sessionFields(d.one)) }

// sessionFields are all that is known of a session.
func (e *env) sessionFields(one control.Session) []field {
	last := e.t("live.never")
	if one.LastDeliveryAt != nil {
		last = say.Time(*one.LastDeliveryAt)
	}
	group := cells.Plain(strings.Join(one.InGroups(), ", "))
	if group == "" {
		group = e.t("live.no_group")
	}
	age := e.words.Age(e.now().Sub(one.Since))
	fields := []field{
		{e.t("tui.column_app"), e.appTitle(one.AppID)},
		{e.t("tui.app_id"), cells.Plain(one.AppID)},
		{e.t("tui.column_ib"), cells.Plain(say.InFull(one.IbID, one.IbName))},
		{e.t("tui.column_user"), e.userName(called{one.UserID, say.InFull(one.UserID, one.UserName)})},
		{e.t("tui.column_group"), group},
		{e.t("tui.column_addr"), cells.Plain(one.Addr)},
		{e.t("tui.since"), say.Time(one.Since) + "  (" + age + ")"},
		{e.t("tui.column_delivered"), number(one.Delivered) + "  (" + e.words.Bytes(one.Bytes) + ")"},
		{e.t("tui.last_delivery"), last},
		{e.t("tui.queued"), e.words.Bytes(uint64(max(one.Queued, 0)))},
		{e.t("tui.generation"), number(one.KeyGeneration)},
	}
	for _, said := range []field{{e.t("tui.column_node"), cells.Plain(one.Node)},
		{e.t("tui.column_host"), cells.Plain(one.Host)},
		{e.t("tui.column_agent"), cells.Plain(one.Agent)}} {
		if said.value != "" {
			fields = append(fields, said)
		}
	}
	if at := one.DetachedAt; at != nil {
		fields = append(fields, field{e.t("tui.away_since"), say.Time(*at)},
			field{e.t("tui.waiting_messages"), atMost(one.Waiting)})
	}
	if one.Resumed > 0 {
		fields = append(fields, field{e.t("tui.resumed"), number(one.Resumed)})
	}
	if one.Missed > 0 {
		fields = append(fields, field{e.t("tui.missed"), number(one.Missed)})
	}
	return fields
}
