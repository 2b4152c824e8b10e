package tui

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// sessionsScreen shows who is connected. However many there are, only the rows
// around those on the screen are asked for.
type sessionsScreen struct {
	*env
	width, height int
	filter        filter
	appID         string // only the sessions of this app; empty: of all
	ib            called // and of this infobase of it; empty: of all
	sorting       sorting
	marked        marks
	at            scroll
	moved         bool    // the person chose a row, and be it the first one
	selected      string  // the id of that row; empty: the first one, whichever it is
	detail        *detail // the last one that was opened
	details       int

	rows    []control.Session // a part of those that match
	offset  int               // where it begins
	total   int
	known   bool
	missing []string // nodes whose sessions are not here

	asking bool // a part is being asked for
	far    bool // the row that the person has chosen must be looked for farther away
	again  bool // and another one has to be, when it has come
	query  int  // counts changes of what is asked for: older answers are not for us
}

func newSessions(e *env) *sessionsScreen {
	s := &sessionsScreen{env: e, marked: marks{}}
	s.sorting = sorting{by: "-id", changed: s.anew}
	s.filter = newFilter(e, s.anew)
	return s
}

func (s *sessionsScreen) tab() string  { return s.t("tui.tab_sessions") }
func (s *sessionsScreen) typing() bool { return s.filter.typing }
func (s *sessionsScreen) leave()       {}

func (s *sessionsScreen) enter() tea.Cmd { return s.ask() }

func (s *sessionsScreen) resize(width, height int) {
	s.width, s.height = width, height
	s.at.fit(s.total, s.visible())
}

// visible is the height of the table's rows.
func (s *sessionsScreen) visible() int { return max(s.height-2, 1) }

func (s *sessionsScreen) keys() keyTable {
	if s.filter.typing {
		return s.filter.keys()
	}
	all := keyRow{keys: "esc", do: s.showAll}
	if len(s.marked) > 0 {
		all.text = "tui.key_unmark"
	} else if s.filter.text != "" || s.appID != "" {
		all.text = "tui.key_show_all"
	}
	table := keyTable{
		all,
		{keys: "/", text: "tui.key_filter", do: s.filter.begin},
		{keys: "enter", text: "tui.key_open", do: with(s.selectedRow, s.openDetail)},
	}
	switch {
	case len(s.marked) > 0: // whoever has marked some is going to do something with them
		table = append(s.markedKeys(), table...)
	case s.known && s.total == 0 && s.filter.text != "":
		table = append(keyTable{{keys: "e", text: "tui.key_explain", do: s.explainSought}}, table...)
	default:
		table = append(table, s.keysOn(s.selectedRow)...)
	}
	table = append(table, keyRow{keys: "space", text: "tui.key_mark", do: s.mark})
	table = append(table, s.sorting.keys()...)
	table = append(table, keyRow{keys: "S", text: "tui.key_sort_list", do: s.askSort})
	return append(table, moving(s.move).unseen()...)
}

// keysOn are the keys that do something with a session, in the table and in its
// detail.
func (s *sessionsScreen) keysOn(which func() (control.Session, bool)) keyTable {
	return keyTable{
		{keys: "x", text: "tui.key_disconnect", do: with(which, s.askDisconnect)},
		{keys: "w", text: "tui.key_write", do: with(which, s.writeToUser)},
		{keys: "e", text: "tui.key_explain", do: with(which, s.explainUser)},
		{keys: "c", text: "tui.key_copy", do: with(which, s.askCopySession)},
	}
}

// with is what a key does with a session, if there is one.
func with(which func() (control.Session, bool), do func(control.Session) tea.Cmd) func() tea.Cmd {
	return func() tea.Cmd {
		if one, there := which(); there {
			return do(one)
		}
		return nil
	}
}

func (s *sessionsScreen) writeToUser(one control.Session) tea.Cmd {
	s.close()
	return lead(writeToMsg{one.AppID, ibOf(one), userOf(one)})
}

// askCopySession copies something of a session, its user's id first.
func (s *sessionsScreen) askCopySession(one control.Session) tea.Cmd {
	return s.askCopy([]field{
		{s.t("tui.user_id"), one.UserID},
		{s.t("tui.column_user"), one.UserName},
		{s.t("tui.ib_id"), one.IbID},
		{s.t("tui.column_ib"), one.IbName},
		{s.t("tui.column_addr"), host(one.Addr)},
		{s.t("tui.column_host"), one.Host},
		{s.t("tui.app_id"), one.AppID},
		{"№", one.ID},
	})
}

func (s *sessionsScreen) explainUser(one control.Session) tea.Cmd {
	return s.explain(one.AppID, ibOf(one), userOf(one), "")
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
func (s *sessionsScreen) ask() tea.Cmd {
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
	q := control.SessionQuery{
		AppID:  s.appID,
		IbID:   s.ib.id,
		Text:   s.filter.text,
		Sort:   s.sorting.by,
		Offset: offset,
		Limit:  min(2*around+s.visible(), 2*farRows),
	}
	query := s.query
	return ask(func(ctx context.Context) tea.Msg {
		page, err := s.daemon.Sessions(ctx, q)
		return sessionsMsg{query, offset, page, err}
	})
}

// anew asks for something else than before, from its beginning.
func (s *sessionsScreen) anew() tea.Cmd {
	s.query++
	s.at, s.moved, s.selected, s.far = scroll{}, false, "", false
	return s.ask()
}

func (s *sessionsScreen) update(msg tea.Msg) tea.Cmd {
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
		clear(s.marked)
	case tickMsg:
		if s.detail != nil && s.dialog == s.detail {
			return tea.Batch(s.ask(), s.detail.ask())
		}
		return s.ask()
	case sessionsOfMsg:
		s.appID, s.ib = msg.appID, msg.ib
		clear(s.marked)
		s.filter.clear()
		s.filter.text = msg.user
		return s.anew()
	}
	return nil
}

// take shows other rows. The row that the person has chosen stays where it is on
// the screen, though others come and go before it.
func (s *sessionsScreen) take(msg sessionsMsg) {
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
	s.missing = msg.page.MissingNodes
	s.at.fit(s.total, s.visible())
	s.choose()
}

// choose remembers which session the selected row is. While the person has not
// moved it is just the first one.
func (s *sessionsScreen) choose() {
	s.selected = ""
	if one, there := s.row(s.at.pos); there && s.moved {
		s.selected = one.ID
	}
}

// row returns a row if it is among those that are here.
func (s *sessionsScreen) row(n int) (control.Session, bool) {
	if i := n - s.offset; i >= 0 && i < len(s.rows) {
		return s.rows[i], true
	}
	return control.Session{}, false
}

// selectedRow is the row that keys work on, if it is here.
func (s *sessionsScreen) selectedRow() (control.Session, bool) { return s.row(s.at.pos) }

// covered reports whether all rows of the window are here.
func (s *sessionsScreen) covered() bool {
	last := min(s.at.top+s.visible(), s.total) - 1
	_, first := s.row(s.at.top)
	_, end := s.row(last)
	return last < s.at.top || first && end
}

// write edits the filter.
func (s *sessionsScreen) write(k tea.KeyMsg) tea.Cmd {
	if s.filter.typing {
		return s.filter.write(k)
	}
	return nil
}

// move moves in the table.
func (s *sessionsScreen) move(name string) tea.Cmd {
	s.at.move(name, s.total, s.visible())
	s.moved = name != "home" && name != "g"
	s.choose()
	if !s.covered() {
		return s.ask()
	}
	return nil
}

// showAll takes the filter away, or else the infobase, or the app whose sessions are shown.
func (s *sessionsScreen) showAll() tea.Cmd {
	switch {
	case len(s.marked) > 0:
		clear(s.marked)
		return nil
	case s.filter.text != "":
		s.filter.clear()
	case s.ib != called{}:
		s.ib = called{}
	default:
		s.appID = ""
	}
	return s.anew()
}

func (s *sessionsScreen) click(line, wheel int) tea.Cmd {
	if wheel != 0 {
		s.at.pos += 3 * wheel
		s.at.top += 3 * wheel
	} else if n := line - 2 + s.at.top; line >= 2 && n < s.total {
		if one, there := s.row(n); there && n == s.at.pos {
			s.openDetail(one)
		}
		s.at.pos = n
	}
	s.moved = true
	s.at.fit(s.total, s.visible())
	s.choose()
	return s.ask()
}

func (s *sessionsScreen) askDisconnect(one control.Session) tea.Cmd {
	id := cells.Plain(one.ID)
	user, ib, app := s.userName(userOf(one)), ibOf(one).plain(), s.appTitle(one.AppID)
	disconnect := func() tea.Cmd {
		return s.act(s.waitsForNode(one.Node), func(ctx context.Context) doneMsg {
			err := s.daemon.CloseSession(ctx, one.ID, one.Since)
			return doneMsg{err: err, notice: s.t("tui.disconnected", "session", id), after: s.ask}
		})
	}
	title, text, do := "tui.disconnect_title", "tui.disconnect_text", "tui.disconnect_do"
	if one.State == control.SessionDetached {
		title, text, do = "tui.forget_title", "tui.forget_text", "tui.forget_do"
	}
	return s.open(&question{
		env:   s.env,
		title: s.t(title),
		text: s.t(text, "session", id, "user", user, "ib", ib, "app", app,
			"waiting", s.words.Text.Number(strconv.Itoa(one.Waiting))),
		options: []option{{s.t("tui.change_nothing"), nil}, {s.t(do), disconnect}},
	})
}

// askSort lets the person choose the column to sort by; the one that is chosen
// already turns round.
func (s *sessionsScreen) askSort() tea.Cmd {
	q := &question{env: s.env, title: s.t("tui.sort_title"), text: s.t("tui.sort_text")}
	for _, c := range s.columns() {
		if c.sort == "" {
			continue
		}
		next := c.sort
		if s.sorting.by == c.sort {
			next = "-" + c.sort
		}
		if strings.TrimPrefix(s.sorting.by, "-") == c.sort {
			q.at.pos = len(q.options)
		}
		q.options = append(q.options, option{sign(c.title, c.sort, s.sorting.by), func() tea.Cmd {
			s.sorting.by = next
			return s.anew()
		}})
	}
	return s.open(q)
}

func (s *sessionsScreen) columns() []column {
	return []column{
		{title: s.t("tui.column_user"), min: 16, max: 36, sort: "user_name"},
		{title: s.t("tui.column_ib"), min: 12, max: 36, sort: "ib_name"},
		{title: s.t("tui.column_app"), min: 10, max: 24, yields: 1, sort: "app"},
		{title: s.t("tui.column_group"), min: 6, max: 12, yields: 4, sort: "group"},
		{title: s.t("tui.column_addr"), min: 15, max: 15, yields: 2, sort: "addr"},
		{title: s.t("tui.column_node"), min: 5, max: 12, yields: 3},
		{title: s.t("tui.column_age"), min: 6, max: 9, right: true, sort: "since"},
		{title: s.t("tui.column_delivered_short"), min: 5, max: 9, right: true, sort: "delivered"},
		{title: s.t("tui.column_queued_short"), min: 8, max: 9, right: true, yields: 3, sort: "queued"},
		{title: "№", min: 6, max: 9, right: true, yields: 6, sort: "id"},
	}
}

func (s *sessionsScreen) view() []string {
	title := s.t("tui.sessions_count", "N", s.total, "n", number(s.total))
	if s.appID != "" {
		title += " · " + s.appTitle(s.appID)
	}
	if s.ib != (called{}) {
		title += " · " + s.ib.plain()
	}
	title += s.below(s.at, s.total, s.visible())
	lines := []string{s.filter.view(title, s.width) + s.withoutNodes(s.missing)}
	switch {
	case s.total > 0:
	case !s.known:
		return append(lines, "", s.style.dim.Render("  "+s.t("tui.waiting")))
	case s.filter.text != "":
		return append(append(lines, ""), indent(cells.Wrap(s.t("tui.nobody_matches"), s.width-2*markWidth))...)
	case s.appID != "":
		return append(lines, "", s.style.dim.Render("  "+s.t("tui.nothing_found")))
	default:
		return append(append(lines, ""), indent(cells.Wrap(s.t("tui.no_sessions"), s.width-2*markWidth))...)
	}
	if n := len(s.marked); n > 0 {
		lines[0] += "   " + s.style.tab.Render(s.t("tui.marked", "N", n))
	}
	return append(lines, s.withDetails(s.width, s.height-1, s.list, func(width int) []string {
		one, there := s.selectedRow()
		if !there {
			return nil
		}
		return s.block(s.sessionFields(one), width)
	})...)
}

// list is the table of the sessions.
func (s *sessionsScreen) list(width int) []string {
	rows := make([][]string, len(s.rows))
	for i, one := range s.rows {
		rows[i] = s.cellsOf(one)
	}
	table := fit(s.sorting.titled(s.columns()), rows, width-markWidth)
	lines := []string{s.sorting.heading(s.env, table)}
	for n := s.at.top; n < min(s.total, s.at.top+s.visible()); n++ {
		one, there := s.row(n)
		if !there {
			lines = append(lines, s.selectable("…", n == s.at.pos, width))
			continue
		}
		lines = append(lines, s.markable(table.row(rows[n-s.offset]), n == s.at.pos, s.marked.has(one), width))
	}
	return lines
}

// cellsOf is a session as a row.
func (s *sessionsScreen) cellsOf(one control.Session) []string {
	queued := ""
	if one.Queued > 0 {
		queued = s.words.Bytes(uint64(one.Queued))
	}
	since := one.Since
	if one.DetachedAt != nil {
		since = *one.DetachedAt
	}
	return []string{
		s.userName(userOf(one)),
		ibOf(one).plain(),
		s.appTitle(one.AppID),
		cells.Plain(strings.Join(one.InGroups(), ", ")),
		s.whence(one),
		cells.Plain(one.Node),
		s.shortAge(s.now().Sub(since)),
		number(one.Delivered),
		queued,
		cells.Plain(strings.TrimSuffix(one.ID, "@"+one.Node)),
	}
}

// whence is where a session is connected from; one that has lost its connection is away.
func (s *sessionsScreen) whence(one control.Session) string {
	if one.State == control.SessionDetached {
		return s.t("tui.away")
	}
	return host(one.Addr)
}
