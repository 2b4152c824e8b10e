package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// journalScreen shows the daemon's log as it comes. While it is shown, a goroutine
// of Follow reads the log, see run.
type journalScreen struct {
	*env
	width, height int
	filter        filter
	level         string // this and above; empty: all
	node          string // whose log it is; empty: of the one that is asked
	only          only
	raw           bool // records are shown as the log has them
	at            scroll
	records       []control.LogRecord // at most keptRecords
	known         bool
	// A journal that is paused stays as it is and counts, whichever screen is shown.
	paused  bool
	stopped int // records that came since it was paused

	wanted chan reading // the latest wish, for run
	wishes int          // counts them: what others brought is not for us
}

// reading is what is to be read; one with number 0 is nothing.
type reading struct {
	number int
	query  control.LogQuery
	keeps  func(control.LogRecord) bool // nil: all
}

const (
	// keptRecords is how many records the journal keeps.
	keptRecords = 5000
	// firstRecords is how many of the last ones it begins with.
	firstRecords = 1000
	// searchedRecords are all that the daemon keeps.
	searchedRecords = 10_000
	// batchEvery is how often records that came are shown.
	batchEvery = 50 * time.Millisecond
)

func newJournal(e *env) *journalScreen {
	j := &journalScreen{env: e, wanted: make(chan reading, 1)}
	j.filter = newFilter(e, j.resume)
	return j
}

func (j *journalScreen) tab() string  { return j.t("tui.tab_journal") }
func (j *journalScreen) typing() bool { return j.filter.typing }

func (j *journalScreen) resize(width, height int) {
	j.width, j.height = width, height
	j.settle(j.atEnd())
}

func (j *journalScreen) visible() int { return max(j.height-1, 1) }

func (j *journalScreen) keys() keyTable {
	if j.filter.typing {
		return j.filter.keys()
	}
	pause := keyRow{keys: "space", text: "tui.key_pause", do: j.pause}
	if j.paused {
		pause.text, pause.do = "tui.key_resume", j.resume
	}
	raw := keyRow{keys: "r", text: "tui.key_raw", do: j.toggleRaw}
	if j.raw {
		raw.text = "tui.key_in_words"
	}
	moves := moving(j.move).unseen()
	return append(slices.Concat(keyTable{
		{keys: "enter", text: "tui.key_open", do: j.withRecord(j.openRecord)},
		pause,
		{keys: "l", text: "tui.key_level", do: j.askShownLevel},
	}, j.nodeKeys(), keyTable{
		{keys: "/", text: "tui.key_search", do: j.filter.begin},
	}, j.recordKeys(j.withRecord), keyTable{
		raw,
		{keys: "end", text: "tui.key_latest", doKey: j.move},
		{keys: "L", text: "tui.key_daemon_level", do: j.askDaemonLevel},
		{keys: "esc", do: j.showAll},
	}), moves...)
}

// enter begins to read the log, leave ends it.
func (j *journalScreen) enter() tea.Cmd {
	if !j.paused {
		j.anew()
	}
	return nil
}

func (j *journalScreen) leave() {
	if !j.paused {
		j.wish(reading{})
	}
}

// anew reads the log from its last records on.
func (j *journalScreen) anew() {
	q := j.query()
	q.Tail = firstRecords
	if j.filter.text != "" {
		q.Tail = searchedRecords
	}
	j.want(q)
}

// only are the records that something led to.
type only struct {
	title string // empty: all of them
	query control.LogQuery
}

// query is what is to be seen.
func (j *journalScreen) query() control.LogQuery {
	return control.LogQuery{Level: j.level, Message: j.only.query.Message, Text: j.only.query.Text, Node: j.node}
}

// want has run read something else.
func (j *journalScreen) want(q control.LogQuery) {
	j.wishes++
	j.wish(reading{j.wishes, q, j.search()})
}

// search is whether a record has what is searched for: in its sentence, or as the log has
// it. The daemon does not know the sentences.
func (j *journalScreen) search() func(control.LogRecord) bool {
	if j.filter.text == "" {
		return nil
	}
	words, text := j.words, strings.ToLower(j.filter.text)
	return func(r control.LogRecord) bool {
		has := func(s string) bool { return strings.Contains(strings.ToLower(s), text) }
		sentence, _, _ := words.Record(r)
		if has(sentence) || has(r.Message) || r.Lost > 0 {
			return true
		}
		return slices.ContainsFunc(r.Attrs, func(a control.LogAttr) bool {
			return has(fmt.Sprintf("%s=%v", a.Name, a.Value))
		})
	}
}

// wish has run know what to read. Only the event loop does, so that the latest wish
// is the one that holds.
func (j *journalScreen) wish(r reading) {
	select {
	case <-j.wanted:
	default:
	}
	j.wanted <- r
}

// recordsMsg are records of the log, the first ones for a wish with first.
type recordsMsg struct {
	wish    int
	first   bool
	records []control.LogRecord
	err     error
}

// run reads what is wanted until ctx ends.
func (j *journalScreen) run(ctx context.Context, send func(tea.Msg)) {
	var running sync.WaitGroup
	defer running.Wait()
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-j.wanted:
			stop()
			running.Wait()
			if r.number == 0 {
				continue
			}
			wanted, cancel := context.WithCancel(ctx)
			stop = cancel
			running.Go(func() {
				defer guard(send)
				read(wanted, j.daemon, r, send)
			})
		}
	}
}

// read reads the log and sends what comes in batches: a flood of records must not
// become a flood of messages.
func read(ctx context.Context, daemon Daemon, wanted reading, send func(tea.Msg)) {
	var (
		mu      sync.Mutex
		waiting []control.LogRecord
	)
	came := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		defer guard(send)
		ended <- daemon.Logs(ctx, wanted.query, true, func(r control.LogRecord) error {
			if wanted.keeps != nil && !wanted.keeps(r) {
				return nil
			}
			mu.Lock()
			if len(waiting) == keptRecords {
				waiting = slices.Delete(waiting, 0, keptRecords/2)
			}
			waiting = append(waiting, r)
			mu.Unlock()
			select {
			case came <- struct{}{}:
			default:
			}
			return nil
		})
	}()
	flush := func(first bool, err error) {
		mu.Lock()
		batch := waiting
		waiting = nil
		mu.Unlock()
		if ctx.Err() == nil {
			send(recordsMsg{wanted.number, first, batch, err})
		}
	}
	// The first batch is sent even if it is empty: then there are no records. If
	// the log cannot be read, the person keeps what was there.
	settled := time.NewTimer(batchEvery)
	defer settled.Stop()
	select {
	case err := <-ended:
		flush(err == nil, err)
		return
	case <-settled.C:
		flush(true, nil)
	}
	for {
		select {
		case <-came:
			flush(false, nil)
			pause(ctx, batchEvery)
		case err := <-ended:
			flush(false, err)
			return
		}
	}
}

func (j *journalScreen) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case upMsg:
		if j.paused { // the daemon is another one: what it has from now on is counted
			j.want(j.query())
		}
	case journalMsg:
		j.only, j.level, j.node, j.paused = msg.only, msg.only.query.Level, "", false
		j.filter.clear()
	case recordsMsg:
		if msg.wish != j.wishes {
			return nil
		}
		if refusal := new(control.Error); errors.As(msg.err, &refusal) {
			j.complain(j.problem(msg.err))
		}
		j.take(msg)
	}
	return nil
}

// take adds records. The window stays at the end if it was there, and else with
// the record that is selected.
func (j *journalScreen) take(msg recordsMsg) {
	if j.paused && j.known {
		j.stopped += len(msg.records)
		return
	}
	atEnd := j.atEnd()
	if msg.first {
		j.records, j.known, atEnd = nil, true, true
	}
	j.records = append(j.records, msg.records...)
	if over := len(j.records) - keptRecords; over > 0 {
		j.records = append(make([]control.LogRecord, 0, keptRecords+keptRecords/4), j.records[over:]...)
		j.at.pos -= over
		j.at.top -= over
	}
	j.settle(atEnd)
}

func (j *journalScreen) atEnd() bool { return j.at.pos >= len(j.records)-1 }

func (j *journalScreen) settle(atEnd bool) {
	if atEnd {
		j.at.pos = len(j.records) - 1
	}
	j.at.fit(len(j.records), j.visible())
}

// write edits the filter.
func (j *journalScreen) write(k tea.KeyMsg) tea.Cmd {
	if j.filter.typing {
		return j.filter.write(k)
	}
	return nil
}

// move moves in the records.
func (j *journalScreen) move(name string) tea.Cmd {
	j.at.move(name, len(j.records), j.visible())
	return nil
}

func (j *journalScreen) pause() tea.Cmd {
	j.paused, j.stopped = true, 0
	return nil
}

// resume goes on at the end of the log.
func (j *journalScreen) resume() tea.Cmd {
	j.paused, j.stopped = false, 0
	j.anew()
	return nil
}

// toggleRaw shows records in words, or as the log has them.
func (j *journalScreen) toggleRaw() tea.Cmd {
	j.raw = !j.raw
	return nil
}

// showAll takes the filter and the level away.
func (j *journalScreen) showAll() tea.Cmd {
	if j.filter.text == "" && j.query() == (control.LogQuery{}) {
		return nil
	}
	j.filter.clear()
	j.level, j.only = "", only{}
	return j.resume()
}

func (j *journalScreen) click(line, wheel int) tea.Cmd {
	if wheel != 0 {
		j.at.pos += 3 * wheel
		j.at.top += 3 * wheel
	} else if n := line - 1 + j.at.top; line >= 1 && n < len(j.records) {
		j.at.pos = n
	}
	j.at.fit(len(j.records), j.visible())
	return nil
}

// askShownLevel asks from which level on records are shown.
func (j *journalScreen) askShownLevel() tea.Cmd {
	return j.askLevel(j.t("tui.level_title"), j.t("tui.level_text"), j.level, func(level string) tea.Cmd {
		j.level = level
		return j.resume()
	})
}

// nodeKeys are there if there are other nodes, whose logs can be shown.
func (j *journalScreen) nodeKeys() keyTable {
	if j.cluster == nil {
		return nil
	}
	return keyTable{{keys: "n", text: "tui.key_node", do: j.askNode}}
}

// askNode asks whose log is shown.
func (j *journalScreen) askNode() tea.Cmd {
	q := &question{env: j.env, title: j.t("tui.node_title"), text: j.t("tui.node_text")}
	for _, n := range j.cluster.Nodes {
		node := n.Name
		if node == j.cluster.Node {
			node = "" // it is asked itself
		}
		if node == j.node {
			q.at.pos = len(q.options)
		}
		text := nodeSign(n) + " " + cells.Plain(n.Name) + "  " + cells.Plain(j.words.NodeState(n))
		q.options = append(q.options, option{text, func() tea.Cmd {
			j.node = node
			return j.resume()
		}})
	}
	return j.open(q)
}

// askDaemonLevel asks for the level of the daemon's own log.
func (j *journalScreen) askDaemonLevel() tea.Cmd {
	set := func(level string) tea.Cmd {
		return j.act(j.waitsForDaemon(), func(ctx context.Context) doneMsg {
			err := j.daemon.SetLogLevel(ctx, level)
			return doneMsg{err: err, notice: j.t("tui.daemon_level_set", "level", level)}
		})
	}
	return j.askLevel(j.t("tui.daemon_level_title"), j.t("tui.daemon_level_text"), "", set)
}

// askLevel lets the person choose a level; current is the one that holds.
func (j *journalScreen) askLevel(title, text, current string, choose func(level string) tea.Cmd) tea.Cmd {
	q := &question{env: j.env, title: title, text: text}
	for _, level := range config.LevelNames() {
		if level == current {
			q.at.pos = len(q.options)
		}
		q.options = append(q.options, option{level, func() tea.Cmd { return choose(level) }})
	}
	return j.open(q)
}

func (j *journalScreen) view() []string {
	state := j.t("tui.journal_following")
	switch {
	case j.paused && j.stopped == 0:
		state = j.t("tui.paused")
	case j.paused:
		state = j.t("tui.journal_paused", "N", j.stopped)
	case !j.atEnd():
		state = j.t("tui.journal_above", "n", number(len(j.records)-1-j.at.pos))
	}
	if j.node != "" {
		state += " · " + j.t("tui.journal_node", "node", cells.Plain(j.node))
	}
	if j.level != "" {
		state += " · " + j.t("tui.journal_level", "level", j.level)
	}
	if j.only.title != "" {
		state += " · " + j.only.title
	}
	lines := []string{j.filter.view(state, j.width)}
	switch {
	case len(j.records) > 0:
	case !j.known:
		return append(lines, "", j.style.dim.Render("  "+j.t("tui.waiting")))
	default:
		return append(lines, "", j.style.dim.Render("  "+j.t("tui.no_records")))
	}
	return append(lines, j.withDetails(j.width, j.height-1, j.list, func(width int) (lines []string) {
		for _, line := range j.recordText(j.records[min(j.at.pos, len(j.records)-1)]) {
			lines = append(lines, cells.Wrap(line, width)...)
		}
		return lines
	})...)
}

// list are the records that there is room for.
func (j *journalScreen) list(width int) (lines []string) {
	end := min(len(j.records), j.at.top+j.visible())
	form := j.recordForm(j.records[j.at.top:end], j.raw)
	for n := j.at.top; n < end; n++ {
		r := j.records[n]
		if n == j.at.pos {
			at, level, text := j.recordParts(r, form)
			lines = append(lines, j.selectable(at+"  "+cells.Left(level, levelWidth)+"  "+text, true, width))
			continue
		}
		lines = append(lines, "  "+j.recordLine(r, form, width-markWidth))
	}
	return lines
}
