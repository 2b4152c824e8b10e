package tui

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
	"github.com/pns4ones/pns4ones/tui/internal/chart"
)

// spans are the times that charts can show, the first one first.
var spans = []time.Duration{10 * time.Minute, time.Hour, 3 * time.Hour, 24 * time.Hour}

// past is what a time up to now was like, for charts.
type past struct {
	*env
	appID   string // empty: of all apps
	span    int    // of spans
	history control.History
	asking  bool
	ticks   int // since it was asked for
}

// pastMsg is a history that was asked for.
type pastMsg struct {
	appID   string
	span    int
	history control.History
	err     error
}

// ask asks for the history, unless that is under way.
func (p *past) ask() tea.Cmd {
	if p.asking {
		return nil
	}
	p.asking, p.ticks = true, 0
	span, appID := p.span, p.appID
	return ask(func(ctx context.Context) tea.Msg {
		h, err := p.daemon.History(ctx, appID, spans[span])
		return pastMsg{appID, span, h, err}
	})
}

// next shows another span.
func (p *past) next() tea.Cmd {
	p.span = (p.span + 1) % len(spans)
	p.asking = false
	return p.ask()
}

// of turns to another app.
func (p *past) of(appID string) tea.Cmd {
	p.appID, p.history, p.asking = appID, control.History{}, false
	return p.ask()
}

// take takes what came. A daemon of a version before has no history: then there is what was
// seen here.
func (p *past) take(msg pastMsg) {
	if msg.span != p.span || msg.appID != p.appID {
		return
	}
	p.asking = false
	if msg.err == nil {
		p.history = msg.history
	} else if refusal := new(control.Error); errors.As(msg.err, &refusal) && p.history.StepSeconds == 0 &&
		p.appID == "" {
		p.history.StepSeconds = 1
	}
}

// tick takes the last second. Longer steps, and those of an app, are asked for again while
// they go on.
func (p *past) tick(msg tickMsg) tea.Cmd {
	h := &p.history
	if p.ticks++; h.StepSeconds != 1 || p.appID != "" {
		if every := min(max(h.StepSeconds/6, 1), 60); p.ticks >= every {
			return p.ask()
		}
		return nil
	}
	st := msg.statistics
	point := control.HistoryPoint{
		Time: msg.at, Seconds: 1, Sessions: st.Sessions, FewestSessions: &st.Sessions,
		Messages: uint64(math.Round(st.Rates.Messages)), NoRecipient: uint64(math.Round(st.Rates.NoRecipient)),
		Delivered: uint64(math.Round(st.Rates.Delivered)),
		Refused:   uint64(math.Round(st.Rates.Refused)), P99: st.Latency.P99,
	}
	h.To = msg.at
	h.Points = append(h.Points, point)
	first := 0
	for first < len(h.Points) && h.To.Sub(h.Points[first].Time) >= spans[0] {
		first++
	}
	h.Points = h.Points[first:]
	return nil
}

// Values of a point for a chart; NaN: not known.
func sessionsAt(p control.HistoryPoint) float64  { return float64(p.Sessions) }
func deliveredAt(p control.HistoryPoint) float64 { return perSecondOf(p, p.Delivered) }
func refusedAt(p control.HistoryPoint) float64   { return perSecondOf(p, p.Refused+p.RequestsRefused) }
func latencyAt(p control.HistoryPoint) float64 {
	if p.P99 == nil {
		return math.NaN()
	}
	return *p.P99 * 1000
}

// Of an app there are minutes at the shortest, and its numbers are those of a minute.
func deliveredInAMinute(p control.HistoryPoint) float64 { return 60 * deliveredAt(p) }
func refusedInAMinute(p control.HistoryPoint) float64   { return 60 * refusedAt(p) }

func perSecondOf(p control.HistoryPoint, n uint64) float64 {
	return float64(n) / float64(max(p.Seconds, 1))
}

// columns are the values of as many parts of the span, oldest first: the highest one of
// each.
func (p *past) columns(width int, value func(control.HistoryPoint) float64) []float64 {
	h, span := &p.history, spans[p.span].Seconds()
	values := make([]float64, max(width, 0))
	for i := range values {
		values[i] = math.NaN()
	}
	begin := h.To.Add(-spans[p.span])
	step := max(float64(h.StepSeconds), 1)
	for _, point := range h.Points {
		from := point.Time.Sub(begin).Seconds()
		// A step that goes on is measured up to now.
		until := min(from+step, span)
		first := max(int(from/span*float64(width)), 0)
		last := min(max(int(math.Ceil(until/span*float64(width)))-1, first), width-1)
		for i := first; i <= last; i++ {
			if v := value(point); math.IsNaN(values[i]) || v > values[i] {
				values[i] = v
			}
		}
	}
	return values
}

// chart draws the past below a heading, with its scale and its time: height lines of bars.
func (p *past) chart(heading, detail string, value func(control.HistoryPoint) float64, width, height int) []string {
	// The scale is that of the numbers that are drawn, which it takes room from.
	const widestScale = 8
	top := chart.Top(known(p.columns(width-widestScale, value)))
	scale := number(int64(top))
	axis := cells.Width(scale) + 1
	bars := chart.Bars(p.columns(width-axis, value), width-axis, height, top)
	lines := []string{p.style.title.Render(cells.Truncate(heading, width))}
	if rest := width - cells.Width(heading); rest > cells.Width(detail)+1 {
		lines[0] += p.style.dim.Render(cells.Right(detail, rest))
	} else {
		lines[0] += strings.Repeat(" ", max(rest, 0))
	}
	for i, bar := range bars {
		mark := ""
		switch i {
		case 0:
			mark = scale
		case len(bars) - 1:
			mark = "0"
		}
		lines = append(lines, p.style.dim.Render(cells.Right(mark, axis-1)+"▕")+p.style.accent.Render(bar))
	}
	return append(lines, p.style.dim.Render(cells.Left("", axis)+p.timeAxis(width-axis)))
}

// row sets charts of one height side by side.
func row(charts ...[]string) []string {
	lines := slices.Clone(charts[0])
	for _, chart := range charts[1:] {
		for i := range lines {
			lines[i] += strings.Repeat(" ", chartGap) + chart[i]
		}
	}
	return lines
}

// chartGap is what stands between two charts.
const chartGap = 3

// known leaves out what is not known.
func known(values []float64) []float64 {
	var some []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			some = append(some, v)
		}
	}
	return some
}

// timeAxis is the line below a chart: when it begins, what it spans, when it ends.
func (p *past) timeAxis(width int) string {
	if p.history.To.IsZero() {
		return strings.Repeat(" ", max(width, 0))
	}
	to := p.history.To.Local()
	left, right := to.Add(-spans[p.span]).Format("15:04"), to.Format("15:04")
	middle := p.spanName()
	room := width - cells.Width(left) - cells.Width(right)
	if room < cells.Width(middle)+2 {
		return cells.Left(cells.Right(right, width), width)
	}
	before := (room - cells.Width(middle)) / 2
	return left + strings.Repeat(" ", before) + middle + strings.Repeat(" ", room-before-cells.Width(middle)) + right
}

// spanName is what the span is called.
func (p *past) spanName() string {
	if span := spans[p.span]; span >= time.Hour {
		return p.t("tui.age_h", "n", int(span.Hours()))
	}
	return p.t("tui.age_m", "n", int(spans[p.span].Minutes()))
}
