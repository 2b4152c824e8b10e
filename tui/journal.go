package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/internal/cells"
)

// journal is the fourth screen: the daemon's log as it comes. While it is shown,
// a goroutine of Follow reads the log, see run.
type journal struct {
	*env
	width, height int
	filter        filter
	level         string // this and above; empty: all
	at            scroll
	records       []control.LogRecord // at most keptRecords
	known         bool
	// A journal that is paused stays as it is and counts, whichever screen is shown.
	paused  bool
	stopped int // records that came since it was paused

	wanted chan following // the latest wish, for run
	follow int            // counts the wishes: what others brought is not for us
}

// following is what is to be read; one with number 0 is nothing.
type following struct {
	number int
	query  control.LogQuery
}

const (
	// keptRecords is how many records the journal keeps.
	keptRecords = 5000
	// firstRecords is how many of the last ones it begins with.
	firstRecords = 1000
	// batchEvery is how often records that came are shown.
	batchEvery = 50 * time.Millisecond
)

func newJournal(e *env) *journal {
	return &journal{env: e, filter: newFilter(e), wanted: make(chan following, 1)}
}

func (j *journal) tab() string  { return j.t("tui.tab_journal") }
func (j *journal) typing() bool { return j.filter.typing }

func (j *journal) resize(width, height int) {
	j.width, j.height = width, height
	j.settle(j.atEnd())
}

func (j *journal) visible() int { return max(j.height-1, 1) }

func (j *journal) keys() []key.Binding {
	if j.filter.typing {
		return j.filter.keys()
	}
	pause := "tui.key_pause"
	if j.paused {
		pause = "tui.key_resume"
	}
	return []key.Binding{
		j.bind(pause, " "), j.bind("tui.key_level", "l"), j.bind("tui.key_search", "/"), j.bind("tui.key_open", "enter"), j.bind("tui.key_latest", "end"),
		j.bind("tui.key_daemon_level", "L"),
	}
}

// enter begins to read the log, leave ends it.
func (j *journal) enter() tea.Cmd {
	if !j.paused {
		j.anew()
	}
	return nil
}

func (j *journal) leave() {
	if !j.paused {
		j.want(following{})
	}
}

// anew reads the log from its last records on.
func (j *journal) anew() {
	j.follow++
	j.want(following{j.follow, control.LogQuery{Level: j.level, Text: j.filter.text, Tail: firstRecords}})
}

// want tells run what to read. Only the event loop does, so that the latest wish
// is the one that holds.
func (j *journal) want(f following) {
	select {
	case <-j.wanted:
	default:
	}
	j.wanted <- f
}

// recordsMsg are records of the log, the first ones for a wish with first.
type recordsMsg struct {
	follow  int
	first   bool
	records []control.LogRecord
	err     error
}

// run reads what is wanted until ctx ends.
func (j *journal) run(ctx context.Context, send func(tea.Msg)) {
	var reading sync.WaitGroup
	defer reading.Wait()
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-j.wanted:
			stop()
			reading.Wait()
			if f.number == 0 {
				continue
			}
			following, cancel := context.WithCancel(ctx)
			stop = cancel
			reading.Go(func() {
				defer guard(send)
				read(following, j.daemon, f, send)
			})
		}
	}
}

// read reads the log and sends what comes in batches: a flood of records must not
// become a flood of messages.
func read(ctx context.Context, daemon Daemon, f following, send func(tea.Msg)) {
	var (
		mu      sync.Mutex
		waiting []control.LogRecord
	)
	came := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		defer guard(send)
		ended <- daemon.Logs(ctx, f.query, true, func(r control.LogRecord) error {
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
			send(recordsMsg{f.number, first, batch, err})
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

func (j *journal) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case upMsg:
		if j.paused { // the daemon is another one: what it has from now on is counted
			j.follow++
			j.want(following{j.follow, control.LogQuery{Level: j.level, Text: j.filter.text}})
		}
	case warningsMsg:
		j.level, j.paused = "Warning", false
		j.filter.clear()
	case recordsMsg:
		if msg.follow != j.follow {
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
func (j *journal) take(msg recordsMsg) {
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

func (j *journal) atEnd() bool { return j.at.pos >= len(j.records)-1 }

func (j *journal) settle(atEnd bool) {
	if atEnd {
		j.at.pos = len(j.records) - 1
	}
	j.at.fit(len(j.records), j.visible())
}

func (j *journal) press(k tea.KeyMsg) tea.Cmd {
	if j.filter.typing {
		if j.filter.press(k) {
			j.resume()
		}
		return nil
	}
	if j.at.press(k.String(), len(j.records), j.visible()) {
		return nil
	}
	switch k.String() {
	case " ":
		if j.paused {
			j.resume()
		} else {
			j.paused, j.stopped = true, 0
		}
	case "/":
		j.filter.begin()
	case "esc":
		if j.filter.text != "" || j.level != "" {
			j.filter.clear()
			j.level = ""
			j.resume()
		}
	case "l":
		j.askLevel(j.t("tui.level_title"), j.t("tui.level_text"), j.level, func(level string) tea.Cmd {
			j.level = level
			j.resume()
			return nil
		})
	case "L":
		j.askLevel(j.t("tui.daemon_level_title"), j.t("tui.daemon_level_text"), "", func(level string) tea.Cmd {
			return j.act(func(ctx context.Context) doneMsg {
				return doneMsg{err: j.daemon.SetLogLevel(ctx, level), notice: j.t("tui.daemon_level_set", "level", level)}
			})
		})
	case "enter":
		if j.at.pos < len(j.records) {
			j.dialog = j.details(j.records[j.at.pos])
		}
	}
	return nil
}

// resume goes on at the end of the log.
func (j *journal) resume() {
	j.paused, j.stopped = false, 0
	j.anew()
}

func (j *journal) click(line, wheel int) tea.Cmd {
	if wheel != 0 {
		j.at.pos += 3 * wheel
		j.at.top += 3 * wheel
	} else if n := line - 1 + j.at.top; line >= 1 && n < len(j.records) {
		j.at.pos = n
	}
	j.at.fit(len(j.records), j.visible())
	return nil
}

// askLevel lets the person choose a level; current is the one that holds.
func (j *journal) askLevel(title, text, current string, choose func(level string) tea.Cmd) {
	q := &question{env: j.env, title: title, text: text}
	for _, level := range config.LevelNames() {
		if level == current {
			q.at.pos = len(q.options)
		}
		q.options = append(q.options, option{level, func() tea.Cmd { return choose(level) }})
	}
	j.dialog = q
}

// details shows a record whole.
func (j *journal) details(r control.LogRecord) dialog {
	lines := []string{r.Time.Local().Format("2006-01-02 15:04:05.000") + "  " + cells.Plain(r.Level), "", cells.Plain(r.Message), ""}
	if r.Lost > 0 {
		lines = []string{j.t("live.lost", "N", r.Lost)}
	}
	var fields []field
	for _, a := range r.Attrs {
		value := cells.Plain(fmt.Sprint(a.Value))
		if a.Name == "reason" {
			value = cells.Plain(j.words.Reason(fmt.Sprint(a.Value)))
		}
		fields = append(fields, field{cells.Plain(a.Name), value})
	}
	return &reader{env: j.env, title: j.t("tui.record_title"), lines: append(lines, plainBlock(fields)...)}
}

func (j *journal) view() []string {
	state := j.t("tui.journal_following")
	switch {
	case j.paused && j.stopped == 0:
		state = j.t("tui.paused")
	case j.paused:
		state = j.t("tui.journal_paused", "N", j.stopped)
	case !j.atEnd():
		state = j.t("tui.journal_above", "n", number(len(j.records)-1-j.at.pos))
	}
	if j.level != "" {
		state += " · " + j.t("tui.journal_level", "level", j.level)
	}
	lines := []string{j.filter.view(state, j.width)}
	switch {
	case len(j.records) > 0:
	case !j.known:
		return append(lines, "", j.style.dim.Render("  "+j.t("tui.waiting")))
	default:
		return append(lines, "", j.style.dim.Render("  "+j.t("tui.no_records")))
	}
	for n := j.at.top; n < min(len(j.records), j.at.top+j.visible()); n++ {
		r := j.records[n]
		if n == j.at.pos {
			at, level, text := recordParts(j.env, r)
			lines = append(lines, j.selectable(at+"  "+cells.Left(level, 5)+"  "+text, true, j.width))
			continue
		}
		lines = append(lines, "  "+recordLine(j.env, r, j.width-markWidth))
	}
	return lines
}
