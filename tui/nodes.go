package tui

import (
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// What is shown of the other nodes of a cluster. Of a daemon that is alone nothing is.

const (
	// nodesAsTable is from how many lines on the overview has a table of the nodes, of which
	// mostNodes are shown at most. Below it they are a line.
	nodesAsTable = 30
	mostNodes    = 6
)

// tooFar is said on every screen in place of the rule: this node and the others are apart.
// It is empty if they are not.
func (e *env) tooFar() string {
	c := e.cluster
	switch {
	case c == nil:
		return ""
	case c.State == control.NodeCutOff:
		return e.t("tui.cut_off", "node", cells.Plain(c.Node), "time", c.Since.Local().Format(time.TimeOnly))
	case c.State == control.NodeRefused && c.AppsProblem != "":
		return cells.Plain(c.Node) + ": " + cells.Plain(e.words.AppsProblem(c))
	case c.State == control.NodeRefused:
		return cells.Plain(c.Node) + ": " + cells.Plain(e.words.NodeProblem(c))
	}
	return ""
}

// nodeMark is the sign of a node's state, in its colour.
func (e *env) nodeMark(n control.Node) string { return e.nodeStyle(n).Render(nodeSign(n)) }

func nodeSign(n control.Node) string {
	switch n.State {
	case control.NodeLive, control.NodeHandingOver:
		return "●"
	case control.NodeJoining:
		return "○"
	}
	return "▲"
}

func (e *env) nodeStyle(n control.Node) lipgloss.Style {
	switch n.State {
	case control.NodeLive, control.NodeHandingOver:
		return e.style.good
	case control.NodeJoining, control.NodeSilent:
		return e.style.warn
	}
	return e.style.bad
}

// nodesLine has all nodes side by side, as many as there is room for: those first with which
// something is the matter.
func (e *env) nodesLine(width int) string {
	var b strings.Builder
	nodes := e.nodesByTrouble()
	left := width
	for i, n := range nodes {
		text := " " + cells.Plain(n.Name) + " "
		if n.State == control.NodeLive {
			text += number(n.Sessions)
		} else {
			text += cells.Plain(e.words.NodeState(control.Node{State: n.State}))
		}
		const gap, more = 3, 6
		need := 1 + cells.Width(text)
		if i > 0 {
			need += gap
		}
		if rest := len(nodes) - i; need > left || rest > 1 && need > left-more {
			b.WriteString(e.style.dim.Render(cells.Truncate("  "+e.t("tui.more", "N", rest), left)))
			break
		}
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		left -= need
		b.WriteString(e.nodeMark(n) + text)
	}
	return b.String()
}

// nodesByTrouble are the nodes, those that are not live first, else in their order.
func (e *env) nodesByTrouble() []control.Node {
	var troubled, live []control.Node
	for _, n := range e.cluster.Nodes {
		if n.State == control.NodeLive {
			live = append(live, n)
		} else {
			troubled = append(troubled, n)
		}
	}
	return append(troubled, live...)
}

// nodesTable has a line for each node.
func (e *env) nodesTable(width int) []string {
	nodes := e.cluster.Nodes
	hidden := 0
	if len(nodes) > mostNodes {
		nodes = e.nodesByTrouble()
		hidden = len(nodes) - (mostNodes - 1)
		nodes = nodes[:mostNodes-1]
	}
	columns := []column{
		{title: e.t("tui.column_node"), min: 8, max: 24},
		{title: e.t("tui.column_state"), min: 10, max: 30},
		{title: e.t("tui.column_for"), min: 6, max: 10, right: true},
		{title: e.t("tui.column_sessions"), min: 9, max: 9, right: true},
		{title: e.t("tui.column_revision"), min: 8, max: 20, right: true, yields: 2},
		{title: e.t("tui.version"), min: 7, max: 12, yields: 1},
	}
	table := layout(columns, width-markWidth)
	lines := []string{"  " + e.style.label.Render(table.headings())}
	for _, n := range nodes {
		cellsOf := []string{
			cells.Plain(n.Name), cells.Plain(e.words.NodeState(n)), e.shortAge(e.now().Sub(n.Since)), number(n.Sessions),
			number(n.AppsRevision), cells.Plain(n.Version),
		}
		lines = append(lines, e.nodeMark(n)+" "+table.set(cellsOf, func(i int, cell string) string {
			if i == 1 && n.State != control.NodeLive {
				return e.nodeStyle(n).Render(cell)
			}
			return cell
		}))
	}
	if hidden > 0 {
		lines = append(lines, e.style.dim.Render("  … "+e.t("tui.more", "N", hidden)))
	}
	return lines
}

// withoutNodes says in a line above a list which nodes have not answered; empty: all have.
func (e *env) withoutNodes(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return "   " + e.style.bad.Render("▲ "+e.t("tui.without_nodes", "nodes", cells.Plain(strings.Join(missing, ", "))))
}

// andPending adds to what was done which nodes do not have it yet.
func (e *env) andPending(done string, pending []string) string {
	if len(pending) == 0 {
		return done
	}
	return done + " " + e.t("tui.pending_nodes", "nodes", cells.Plain(strings.Join(pending, ", ")))
}
