package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// nodesCommand lists the nodes of the cluster.
func (p *program) nodesCommand() *cobra.Command {
	var watch bool
	cmd := p.command("nodes", nil, func(cmd *cobra.Command, _ []string) error {
		return p.withDaemon(func(client *control.Client) error {
			if !watch {
				return p.nodes(cmd.Context(), client)
			}
			return p.watch(cmd.Context(), func(ctx context.Context, p *program, _ int) error { return p.nodes(ctx, client) })
		})
	})
	cmd.Flags().BoolVar(&watch, "watch", false, p.text.T("admin.flag_watch"))
	return withForms(cmd, formWide, formName)
}

func (p *program) nodes(ctx context.Context, client *control.Client) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	nodes := []control.Node{}
	if status.Cluster != nil {
		nodes = append(nodes, status.Cluster.Nodes...)
	}
	switch {
	case p.json:
		return p.printJSON(nodes)
	case p.onlyNames():
		return printNames(p, nodes, func(n control.Node) string { return n.Name })
	case status.Cluster == nil:
		p.say("admin.alone")
		return nil
	}
	p.printNodes(nodes)
	for _, problem := range p.clusterProblems(status.Cluster) {
		p.warn("admin.warning", "what", problem)
	}
	return nil
}

func (p *program) printNodes(nodes []control.Node) {
	words := p.words(nil)
	columns := []column{
		{title: p.text.T("admin.column_node")},
		{title: p.text.T("admin.column_state")},
		{title: p.text.T("admin.column_since"), number: true},
		{title: p.text.T("admin.column_sessions"), number: true},
		{title: p.text.T("admin.column_heard"), number: true, spare: true},
		{title: p.text.T("admin.column_revision"), number: true, spare: true},
		{title: p.text.T("admin.column_version"), spare: true},
	}
	if p.wide() {
		columns = append(columns, column{title: p.text.T("admin.column_name_id")},
			column{title: p.text.T("admin.column_epoch")})
	}
	var rows [][]string
	for _, n := range nodes {
		row := []string{
			locale.Clean(n.Name), words.NodeState(n), words.Age(time.Since(n.Since)), count(p, n.Sessions), p.heard(n),
			count(p, n.AppsRevision), locale.Clean(n.Version),
		}
		if p.wide() {
			row = append(row, locale.Clean(n.ID), locale.Clean(n.Epoch))
		}
		rows = append(rows, row)
	}
	p.printTable(columns, rows)
}

// heard is how long nothing was heard of another node.
func (p *program) heard(n control.Node) string {
	if n.HeardSeconds == 0 {
		return ""
	}
	return p.words(nil).Seconds(n.HeardSeconds)
}

// clusterProblems say what keeps this node from the others.
func (p *program) clusterProblems(c *control.Cluster) (problems []string) {
	words := p.words(nil)
	if c.State == control.NodeCutOff {
		problems = append(problems, p.text.T("admin.cut_off", "time", formatTime(c.Since)))
	}
	if c.Problem != "" && c.Problem != c.AppsProblem {
		problems = append(problems, words.NodeProblem(c))
	}
	if c.AppsProblem != "" && c.State != control.NodeCutOff {
		problems = append(problems, words.AppsProblem(c))
	}
	if few := p.fewReplicas(c); few != "" {
		problems = append(problems, few)
	}
	return problems
}

// clusterFields tell of the cluster among how the daemon is.
func (p *program) clusterFields(c *control.Cluster) []field {
	live := 0
	for _, n := range c.Nodes {
		if n.State == control.NodeLive {
			live++
		}
	}
	fields := []field{{p.text.T("admin.status_cluster"), p.text.T("admin.in_cluster", "cluster", locale.Clean(c.Name),
		"node", locale.Clean(c.Node), "state", p.words(nil).NodeState(control.Node{State: c.State}), "live", live, "all",
		len(c.Nodes))}}
	if c.Sealing != nil {
		fields = append(fields, field{p.text.T("admin.status_cluster_key"), p.sealing(c.Sealing)})
	}
	for _, problem := range p.clusterProblems(c) {
		fields = append(fields, field{"▲", problem})
	}
	return fields
}

// sealing says which of the cluster's keys are needed.
func (p *program) sealing(s *control.Sealing) string {
	id := "admin.cluster_key"
	switch {
	case s.Left:
		id = "admin.cluster_key_left"
	case len(s.OtherNodes) > 0:
		id = "admin.cluster_key_nodes"
	case s.OtherRecords > 0:
		id = "admin.cluster_key_records"
	case s.Done:
		id = "admin.cluster_key_done"
	}
	return p.text.T(id, "key", locale.Clean(s.Key), "nodes", locale.Clean(strings.Join(s.OtherNodes, ", ")),
		"N", s.OtherRecords)
}

// fewReplicas says that the apps would be lost with one NATS server; empty: they would not, or
// there is only that one.
func (p *program) fewReplicas(c *control.Cluster) string {
	const enough = 3
	stream := "KV_pns4ones_" + locale.Clean(c.Name)
	switch {
	case c.NATS.Replicas != 1 || len(c.NATS.Servers) < enough:
		return ""
	case c.NATS.ReplicasProblem == "":
		return p.text.T("admin.few_replicas", "stream", stream)
	}
	return p.text.T("admin.few_replicas_why", "stream", stream, "problem", locale.Clean(c.NATS.ReplicasProblem))
}

// missing says which nodes are not in what is printed.
func (p *program) missing(nodes []string) {
	if len(nodes) > 0 {
		p.warn("admin.missing_nodes", "N", len(nodes), "nodes", locale.Clean(strings.Join(nodes, ", ")))
	}
}

// settled is nil if all nodes have taken over a change, which has been printed.
func (p *program) settled(pending []string) error {
	if len(pending) == 0 {
		return nil
	}
	return failure("admin.pending_nodes", "N", len(pending), "nodes", locale.Clean(strings.Join(pending, ", ")))
}

// unconfirmed says which nodes may or may not have got a message.
func (p *program) unconfirmed(nodes []string) {
	if len(nodes) > 0 {
		p.warn("admin.unconfirmed_nodes", "N", len(nodes), "nodes", locale.Clean(strings.Join(nodes, ", ")))
	}
}
