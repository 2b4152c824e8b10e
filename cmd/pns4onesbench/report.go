//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// Report is all that was measured, as --json prints it. Names are stable.
type Report struct {
	Machine   Machine     `json:"machine"`
	Scenarios []*Scenario `json:"scenarios,omitempty"`
	Carry     *Carry      `json:"carry,omitempty"`
}

// Scenario is what one scenario measured.
type Scenario struct {
	Name       string `json:"name"`
	Sessions   int    `json:"sessions"`
	FrameBytes int    `json:"frame_bytes"`
	Runs       int    `json:"runs"`
	// Of a cluster.
	Nodes       int `json:"nodes,omitempty"`
	NATSServers int `json:"nats_servers,omitempty"`
	// OthersShare is how much of the CPUs processes had that are none of ours.
	OthersShare float64   `json:"others_share"`
	Figures     []*Figure `json:"figures"`
}

// Figure is one thing that was measured of several subjects by turns.
type Figure struct {
	Name string `json:"name"`
	Unit Unit   `json:"unit"`
	// With is what was varied, if anything: 5000 with the name «apps», for one.
	With     int      `json:"with,omitempty"`
	WithName string   `json:"with_name,omitempty"`
	Values   []Values `json:"values"` // the daemon's first
	Goals    []Goal   `json:"goals,omitempty"`
}

// Unit is what the values of a figure count.
type Unit string

// The units.
const (
	Seconds   Unit = "s"
	PerSecond Unit = "1/s"
	Bytes     Unit = "B"
	Share     Unit = "share" // of 1
	Ratio     Unit = "ratio"
	Count     Unit = "count" // adds up over the runs
)

// Values are those of one subject, one for each run.
type Values struct {
	Of     string    `json:"of"`
	Runs   []float64 `json:"runs"`
	Median float64   `json:"median"`
	// Ratio is the median of the daemon's value divided by this one, run by run; 0
	// for the daemon itself.
	Ratio float64 `json:"ratio,omitempty"`
}

// Goal is what the daemon's ratio to another subject is to be, or without one its
// value.
type Goal struct {
	Against string  `json:"against,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
	AtLeast float64 `json:"at_least,omitempty"`
	None    bool    `json:"none,omitempty"` // it is to be 0, in every run
	Met     bool    `json:"met"`
}

// The subjects.
const (
	ofDaemon     = "pns4ones" // of a cluster: all its nodes
	ofSingle     = "single_node"
	ofOther      = "other_build"
	ofRaw        = "raw_loop"
	ofAccept     = "accept_loop"
	ofParsing    = "parsing_handler"
	ofForwarding = "forwarding_handler"
	ofNATS       = "nats-server"
)

// note keeps a value of a subject. Figures appear in the order of their first
// value.
func (s *Scenario) note(of, name string, unit Unit, value float64) {
	s.noteWith(of, name, unit, "", 0, value)
}

// noteWith is note for a figure of which something is varied.
func (s *Scenario) noteWith(of, name string, unit Unit, withName string, with int, value float64) {
	at := slices.IndexFunc(s.Figures, func(f *Figure) bool {
		return f.Name == name && f.WithName == withName && f.With == with
	})
	if at < 0 {
		at = len(s.Figures)
		s.Figures = append(s.Figures, &Figure{Name: name, Unit: unit, WithName: withName, With: with})
	}
	f := s.Figures[at]
	for i := range f.Values {
		if f.Values[i].Of == of {
			f.Values[i].Runs = append(f.Values[i].Runs, value)
			return
		}
	}
	f.Values = append(f.Values, Values{Of: of, Runs: []float64{value}})
}

// finish works out medians, ratios, and whether goals are met.
func (s *Scenario) finish() {
	for _, f := range s.Figures {
		for i := range f.Values {
			v := &f.Values[i]
			v.Median = median(v.Runs)
			if i == 0 {
				continue
			}
			var ratios []float64
			for run := range min(len(v.Runs), len(f.Values[0].Runs)) {
				if v.Runs[run] != 0 {
					ratios = append(ratios, f.Values[0].Runs[run]/v.Runs[run])
				}
			}
			if len(ratios) > 0 {
				v.Ratio = median(ratios)
			}
		}
		f.Goals = f.judge(goals[s.Name+"/"+f.Name])
	}
}

// judge returns the goals of those subjects that were measured, and whether they
// are met.
func (f *Figure) judge(goals []Goal) []Goal {
	var judged []Goal
	for _, g := range goals {
		for _, v := range f.Values {
			value := v.Ratio
			if g.Against == "" {
				value = v.Median
			}
			if g.Against == v.Of || g.Against == "" && v.Of == ofDaemon {
				g.Met = (g.AtMost == 0 || value <= g.AtMost) && (g.AtLeast == 0 || value >= g.AtLeast) &&
					(!g.None || sum(v.Runs) == 0)
				judged = append(judged, g)
			}
		}
	}
	return judged
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	switch {
	case len(sorted) == 0:
		return 0
	case len(sorted)%2 == 1:
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// sum is that of values, none of which is below zero.
func sum(values []float64) (all float64) {
	for _, value := range values {
		all += value
	}
	return all
}

// quantile is the value that a share of the others does not exceed.
func quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// writeJSON writes the whole report.
func (b *bench) writeJSON() error {
	encoder := json.NewEncoder(b.stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(&b.report)
}

// writeMachine says on what is measured.
func (b *bench) writeMachine() {
	m := &b.report.Machine
	w := tabwriter.NewWriter(b.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	line("CPU", fmt.Sprintf("%s × %d", m.CPU, m.CPUs))
	line("kernel", m.Kernel)
	line("memory", format(float64(m.MemoryBytes), Bytes))
	line("versions", strings.Join(m.Versions, ", "))
	if m.Pinned {
		line("pinned", fmt.Sprintf("servers to CPU %d, clients to CPU %d", m.ServerCPU, m.ClientCPU))
	}
	w.Flush()
}

// writeScenario writes the table of a scenario: a row for each figure, a column for
// each subject with the daemon's ratio to it.
func (b *bench) writeScenario(s *Scenario) {
	fmt.Fprintf(b.stdout, "\n%s: up to %s sessions, frames of %d bytes, medians of runs: %d\n",
		scenarioTitles[s.Name], number(float64(s.Sessions)), s.FrameBytes, s.Runs)
	if s.Nodes > 0 {
		fmt.Fprintf(b.stdout, "nodes: %d, NATS servers: %d\n", s.Nodes, s.NATSServers)
	}
	var subjects []string
	hasGoals := false
	for _, f := range s.Figures {
		hasGoals = hasGoals || len(f.Goals) > 0
		for _, v := range f.Values {
			if !slices.Contains(subjects, v.Of) {
				subjects = append(subjects, v.Of)
			}
		}
	}
	w := tabwriter.NewWriter(b.stdout, 0, 0, 2, ' ', 0)
	row := []string{"figure"}
	for _, of := range subjects {
		row = append(row, subjectNames[of])
	}
	if hasGoals {
		row = append(row, "goal")
	}
	fmt.Fprintln(w, strings.Join(row, "\t"))
	for _, f := range s.Figures {
		row = []string{figureName(f)}
		for _, of := range subjects {
			row = append(row, cell(f, of))
		}
		if hasGoals {
			row = append(row, goalsText(f))
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	if s.OthersShare > noisy && !b.realtime {
		fmt.Fprintf(b.stdout, "Other processes had %s of the CPUs meanwhile: measure again when the machine is quiet, "+
			"or with --realtime. CPU times suffer less than rates.\n", format(s.OthersShare, Share))
	}
}

// noisy is the share of the CPUs from which on other processes spoil the figures.
const noisy = 0.05

func figureName(f *Figure) string {
	name := figureNames[f.Name]
	if f.WithName != "" {
		name += fmt.Sprintf(", %d %s", f.With, f.WithName)
		if f.With == 1 {
			name = strings.TrimSuffix(name, "s")
		}
	}
	return name
}

func cell(f *Figure, of string) string {
	for _, v := range f.Values {
		if v.Of != of {
			continue
		}
		text := format(v.Median, f.Unit)
		if f.Unit == Count {
			text = format(sum(v.Runs), f.Unit)
		}
		if v.Ratio != 0 {
			text += " (" + decimal(v.Ratio, 2) + "×)"
		}
		return text
	}
	return "–"
}

func goalsText(f *Figure) string {
	if len(f.Goals) == 0 {
		return "–"
	}
	var all []string
	for _, g := range f.Goals {
		sign, bound := "≤", g.AtMost
		if g.AtLeast != 0 {
			sign, bound = "≥", g.AtLeast
		}
		text := sign + " " + format(bound, f.Unit)
		if g.None {
			text = "none"
		}
		if g.Against != "" {
			text = sign + " " + decimal(bound, 2) + "× " + subjectNames[g.Against]
		}
		if g.Met {
			text += ": " + "met"
		} else {
			text += ": " + "MISSED"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

// format writes a value for a person.
func format(value float64, unit Unit) string {
	switch unit {
	case Seconds:
		for _, u := range []struct {
			name string
			size float64
		}{{"s", 1}, {"ms", 1e-3}, {"µs", 1e-6}} {
			if math.Abs(value) >= u.size || u.name == "µs" {
				return short(value/u.size) + " " + u.name
			}
		}
	case Bytes:
		for _, u := range []struct {
			name string
			size float64
		}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}} {
			if value >= u.size || u.name == "B" {
				return short(value/u.size) + " " + u.name
			}
		}
	case PerSecond:
		return number(value) + "/s"
	case Share:
		return decimal(value*100, 0) + " %"
	case Count:
		return number(value)
	}
	return decimal(value, 2)
}

// short writes a value with three digits.
func short(value float64) string {
	switch {
	case value >= 100:
		return number(value)
	case value >= 10:
		return decimal(value, 1)
	}
	return decimal(value, 2)
}

// decimal writes a value with so many digits after the point.
func decimal(value float64, digits int) string {
	return fmt.Sprintf("%.*f", digits, value)
}

// number writes a whole number with its thousands apart.
func number(value float64) string {
	digits := fmt.Sprintf("%.0f", value)
	var out []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, "\u00a0"...)
		}
		out = append(out, digits[i])
	}
	return string(out)
}
