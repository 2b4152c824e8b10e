package tui

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
	"github.com/pns4ones/pns4ones/tui/say"
)

// sessions is the third screen: who is connected. However many there are, only
// the rows around those on the screen are asked for.
type sessions struct {
	*env
	width, height int
	filter        filter
	appID         string // only the sessions of this app; empty: of all
	sort          string // as control.SessionQuery has it
	at            scroll
	moved         bool    // the person chose a row, and be it the first one
	selected      string  // the id of that row; empty: the first one, whichever it is
	detail        *detail // the last one that was opened
	details       int

	rows   []control.Session // a part of those that match
	offset int               // where it begins
	total  int
	known  bool

	asking bool // a part is being asked for
	far    bool // the row that the person has chosen must be looked for farther away
	again  bool // and another one has to be, when it has come
	query  int  // counts changes of what is asked for: older answers are not for us
}

func newSessions(e *env) *sessions {
	return &sessions{env: e, filter: newFilter(e), sort: "-id"}
}

func (s *sessions) tab() string  { return s.t("tui.tab_sessions") }
func (s *sessions) typing() bool { return s.filter.typing }
func (s *sessions) leave()       {}

func (s *sessions) enter() tea.Cmd { return s.ask() }

func (s *sessions) resize(width, height int) {
	s.width, s.height = width, height
	s.at.fit(s.total, s.visible())
}

// visible is the height of the table's rows.
func (s *sessions) visible() int { return max(s.height-2, 1) }

func (s *sessions) keys() []key.Binding {
	if s.filter.typing {
		return s.filter.keys()
	}
	keys := []key.Binding{
		s.bind("tui.key_filter", "/"), s.bind("tui.key_open", "enter"), s.bind("tui.key_sort", "s"), s.bind("tui.key_disconnect", "x"),
		s.bind("tui.key_write", "w"), s.bind("tui.key_explain", "e"),
	}
	if s.filter.text != "" || s.appID != "" {
		keys = append([]key.Binding{s.bind("tui.key_show_all", "esc")}, keys...)
	}
	return keys
}

type sessionsMsg struct {
	query  int
	offset int
	page   control.SessionPage
	err    error
}

// farRows is how far from its place a row is looked for that others have moved.
const farRows = 500

// ask asks for the rows around the window: a screen before it and a screen after.
func (s *sessions) ask() tea.Cmd {
	if s.asking {
		s.again = true
		return nil
	}
	s.asking, s.again = true, false
	around := s.visible()
	if s.far {
		around = farRows
	}
	offset := max(s.at.top-around, 0)
	q := control.SessionQuery{AppID: s.appID, Text: s.filter.text, Sort: s.sort, Offset: offset, Limit: min(2*around+s.visible(), 2*farRows)}
	query := s.query
	return ask(func(ctx context.Context) tea.Msg {
		page, err := s.daemon.Sessions(ctx, q)
		return sessionsMsg{query, offset, page, err}
	})
}

// anew asks for something else than before, from its beginning.
func (s *sessions) anew() tea.Cmd {
	s.query++
	s.at, s.moved, s.selected, s.far = scroll{}, false, "", false
	return s.ask()
}

func (s *sessions) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case sessionsMsg:
		s.asking = false
		if refusal := new(control.Error); errors.As(msg.err, &refusal) {
			s.complain(s.problem(msg.err))
		}
		ours := msg.err == nil && msg.query == s.query
		if ours {
			s.take(msg)
		}
		if s.again || ours && (s.far || !s.covered()) {
			return s.ask()
		}
	case detailMsg:
		if s.detail != nil && s.detail.query == msg.query {
			s.detail.take(msg, s.now())
		}
	case upMsg:
		s.selected = "" // it may be another daemon, which gives ids anew
	case tickMsg:
		if s.detail != nil && s.dialog == s.detail {
			return tea.Batch(s.ask(), s.detail.ask())
		}
		return s.ask()
	case sessionsOfMsg:
		s.appID = msg.appID
		s.filter.clear()
		return s.anew()
	}
	return nil
}

// take shows other rows. The row that the person has chosen stays where it is on
// the screen, though others come and go before it.
func (s *sessions) take(msg sessionsMsg) {
	if s.selected != "" {
		at := slices.IndexFunc(msg.page.Sessions, func(one control.Session) bool { return one.ID == s.selected })
		if at < 0 && !s.far {
			s.far = true // until then the rows stay as they are
			return
		}
		if at >= 0 { // if not, it has ended, and another one takes its row
			moved := msg.offset + at - s.at.pos
			s.at.pos += moved
			s.at.top += moved
		}
	}
	s.rows, s.offset, s.total, s.known, s.far = msg.page.Sessions, msg.offset, msg.page.Total, true, false
	s.at.fit(s.total, s.visible())
	s.choose()
}

// choose remembers which session the selected row is. While the person has not
// moved it is just the first one.
func (s *sessions) choose() {
	s.selected = ""
	if one, there := s.row(s.at.pos); there && s.moved {
		s.selected = one.ID
	}
}

// row returns a row if it is among those that are here.
func (s *sessions) row(n int) (control.Session, bool) {
	if i := n - s.offset; i >= 0 && i < len(s.rows) {
		return s.rows[i], true
	}
	return control.Session{}, false
}

// covered tells whether all rows of the window are here.
func (s *sessions) covered() bool {
	last := min(s.at.top+s.visible(), s.total) - 1
	_, first := s.row(s.at.top)
	_, end := s.row(last)
	return last < s.at.top || first && end
}

func (s *sessions) press(k tea.KeyMsg) tea.Cmd {
	if s.filter.typing {
		if s.filter.press(k) {
			return s.anew()
		}
		return nil
	}
	if name := k.String(); s.at.press(name, s.total, s.visible()) {
		s.moved = name != "home" && name != "g"
		s.choose()
		if !s.covered() {
			return s.ask()
		}
		return nil
	}
	switch k.String() {
	case "/":
		s.filter.begin()
		return nil
	case "esc":
		if s.filter.text != "" {
			s.filter.clear()
		} else {
			s.appID = ""
		}
		return s.anew()
	case "s":
		s.askSort()
		return nil
	}
	one, there := s.row(s.at.pos)
	if !there {
		return nil
	}
	switch k.String() {
	case "enter":
		s.open(one)
		return nil
	}
	cmd, _ := s.pressOn(k.String(), one)
	return cmd
}

// pressOn takes the keys that work on a session, in the table and in its details.
func (s *sessions) pressOn(k string, one control.Session) (cmd tea.Cmd, over bool) {
	switch k {
	case "x":
		s.askDisconnect(one)
	case "w":
		return func() tea.Msg { return writeToMsg{one.AppID, one.IbID, one.UserID} }, true
	case "e":
		return s.explain(one.AppID, one.IbID, one.UserID, ""), false
	}
	return nil, false
}

func (s *sessions) click(line, wheel int) tea.Cmd {
	if wheel != 0 {
		s.at.pos += 3 * wheel
		s.at.top += 3 * wheel
	} else if n := line - 2 + s.at.top; line >= 2 && n < s.total {
		if one, there := s.row(n); there && n == s.at.pos {
			s.open(one)
		}
		s.at.pos = n
	}
	s.moved = true
	s.at.fit(s.total, s.visible())
	s.choose()
	return s.ask()
}

func (s *sessions) askDisconnect(one control.Session) {
	text := s.t("tui.disconnect_text", "session", cells.Plain(one.ID), "user", s.userName(one.UserID), "ib", cells.Plain(one.IbID), "app", s.appTitle(one.AppID))
	s.dialog = &question{env: s.env, title: s.t("tui.disconnect_title"), text: text, options: []option{
		{s.t("tui.change_nothing"), nil},
		{s.t("tui.disconnect_do"), func() tea.Cmd {
			return s.act(func(ctx context.Context) doneMsg {
				return doneMsg{err: s.daemon.CloseSession(ctx, one.ID, one.Since), notice: s.t("tui.disconnected", "session", cells.Plain(one.ID)), after: s.ask}
			})
		}},
	}}
}

// askSort lets the person choose the column to sort by; the one that is chosen
// already turns round.
func (s *sessions) askSort() {
	q := &question{env: s.env, title: s.t("tui.sort_title"), text: s.t("tui.sort_text")}
	for _, c := range s.columns() {
		next := c.sort
		text := c.title
		switch s.sort {
		case c.sort:
			next, text = "-"+c.sort, text+" ▲"
			q.at.pos = len(q.options)
		case "-" + c.sort:
			text += " ▼"
			q.at.pos = len(q.options)
		}
		q.options = append(q.options, option{text, func() tea.Cmd {
			s.sort = next
			return s.anew()
		}})
	}
	s.dialog = q
}

type explainedMsg struct {
	from        dialog // on top of which it was asked for, and on which screen
	screen      int
	title       string
	explanation control.Explanation
	err         error
}

// explain asks why messages do or do not arrive.
func (e *env) explain(appID, ibID, userID, group string) tea.Cmd {
	who := e.userName(userID)
	if userID == "" && group != "" {
		who = cells.Plain(group)
	}
	e.busy()
	from, screen := e.dialog, e.at
	title := e.t("tui.explain_title", "who", who, "ib", cells.Plain(ibID))
	return ask(func(ctx context.Context) tea.Msg {
		explanation, err := e.daemon.Explain(ctx, appID, ibID, userID, group)
		return explainedMsg{from, screen, title, explanation, err}
	})
}

// explained shows the answer to explain, unless the person has gone on to
// something else.
func (e *env) explained(msg explainedMsg) {
	e.notice = notice{}
	if e.dialog != msg.from || e.at != msg.screen {
		return
	}
	if msg.err != nil {
		e.complain(e.problem(msg.err))
		return
	}
	var lines []string
	for _, line := range e.words.Explanation(msg.explanation, e.now()) {
		lines = append(lines, cells.Plain(line))
	}
	e.dialog = &reader{env: e, title: msg.title, lines: lines}
}

func (s *sessions) columns() []column {
	return []column{
		{title: s.t("tui.column_user"), min: 12, max: 36, sort: "user"},
		{title: s.t("tui.column_ib"), min: 9, max: 36, sort: "ib"},
		{title: s.t("tui.column_app"), min: 10, max: 24, rank: 1, sort: "app"},
		{title: s.t("tui.column_group"), min: 6, max: 12, rank: 4, sort: "group"},
		{title: s.t("tui.column_addr"), min: 15, max: 15, rank: 2, sort: "addr"},
		{title: s.t("tui.column_age"), min: 6, max: 9, right: true, sort: "since"},
		{title: s.t("tui.column_delivered_short"), min: 5, max: 9, right: true, sort: "delivered"},
		{title: s.t("tui.column_queued_short"), min: 8, max: 9, right: true, rank: 3, sort: "queued"},
		{title: "№", min: 6, max: 9, right: true, rank: 6, sort: "id"},
	}
}

// host is the address without the port, which tells nothing in a table.
func host(addr string) string {
	if name, _, err := net.SplitHostPort(addr); err == nil {
		addr = name
	}
	return cells.Plain(addr)
}

// shortAge is a duration in its largest unit.
func (s *sessions) shortAge(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return s.t("tui.age_s", "n", int(d.Seconds()))
	case d < time.Hour:
		return s.t("tui.age_m", "n", int(d.Minutes()))
	case d < 24*time.Hour:
		return s.t("tui.age_h", "n", int(d.Hours()))
	}
	return s.t("tui.age_d", "n", int(d.Hours()/24))
}

func (s *sessions) view() []string {
	title := s.t("tui.sessions_count", "N", s.total, "n", number(s.total))
	if s.appID != "" {
		title += " · " + s.appTitle(s.appID)
	}
	lines := []string{s.filter.view(title, s.width)}
	columns := s.columns()
	for i, c := range columns {
		switch s.sort {
		case c.sort:
			columns[i].title += "▲"
		case "-" + c.sort:
			columns[i].title += "▼"
		}
	}
	table := layout(columns, s.width-markWidth)
	switch {
	case s.total > 0:
	case !s.known:
		return append(lines, "", s.style.dim.Render("  "+s.t("tui.waiting")))
	case s.filter.text != "" || s.appID != "":
		return append(lines, "", s.style.dim.Render("  "+s.t("tui.nothing_found")))
	default:
		return append(append(lines, ""), indent(cells.Wrap(s.t("tui.no_sessions"), s.width-2*markWidth))...)
	}
	lines = append(lines, "  "+s.style.label.Render(table.headings()))
	now := s.now()
	for n := s.at.top; n < min(s.total, s.at.top+s.visible()); n++ {
		one, there := s.row(n)
		if !there {
			lines = append(lines, s.selectable("…", n == s.at.pos, s.width))
			continue
		}
		queued := ""
		if one.Queued > 0 {
			queued = say.Bytes(uint64(one.Queued))
		}
		lines = append(lines, s.selectable(table.row([]string{
			s.userName(one.UserID), cells.Plain(one.IbID), s.appTitle(one.AppID), cells.Plain(one.UserGroup), host(one.Addr),
			s.shortAge(now.Sub(one.Since)), number(one.Delivered), queued, cells.Plain(one.ID),
		}), n == s.at.pos, s.width))
	}
	return lines
}
