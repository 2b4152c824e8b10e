package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// allNodes is what --node says for every node, one after the other.
const allNodes = config.AllNodes

// nodeFlag gives a command the flag --node, which names the node that is to answer. Only
// with all may it name every node.
func (p *program) nodeFlag(cmd *cobra.Command, node *string, all bool) {
	meaning := "admin.flag_node"
	if all {
		meaning = "admin.flag_node_or_all"
	}
	cmd.Flags().StringVar(node, "node", "", p.text.T(meaning))
	cmd.RegisterFlagCompletionFunc("node", func(
		_ *cobra.Command, _ []string, begun string,
	) ([]string, cobra.ShellCompDirective) {
		return p.completeNodes(begun, all)
	})
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case *node == "" && cmd.Flags().Changed("node"):
			return wrongUsage("admin.flag_needs_value", "flag", "--node")
		case *node == allNodes && !all:
			return wrongUsage("admin.one_node_at_a_time", "command", cmd.Name())
		}
		return nil
	}
}

// completeNodes completes the names of nodes, and with all the word for every one.
func (p *program) completeNodes(begun string, all bool) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		status, err := client.Status(ctx)
		if err != nil || status.Cluster == nil {
			return nil, err
		}
		var names []candidate
		for _, n := range status.Cluster.Nodes {
			names = append(names, candidate{id: n.Name, about: p.words(nil).NodeState(n)})
		}
		if all {
			names = append(names, candidate{id: allNodes})
		}
		return offers(begun, names), nil
	})
}

// withNode runs what needs a running daemon. The client is one of the named node; without
// a name, or for every node, of the daemon itself.
func (p *program) withNode(node string, do func(client *control.Client) error) error {
	return p.withDaemon(func(client *control.Client) error {
		if node == "" || node == allNodes {
			return do(client)
		}
		on := client.On(node)
		on.OnVersion = client.OnVersion // of the daemon that the request goes through
		return do(on)
	})
}

// nodesOf lists the nodes of the cluster that the daemon is a node of.
func nodesOf(ctx context.Context, client *control.Client) ([]control.Node, error) {
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Cluster == nil {
		return nil, &control.Error{Code: control.CodeNoCluster}
	}
	return status.Cluster.Nodes, nil
}

// eachNode does something on every node if that is what --node says, else once. What
// fails on a node is said at once and does not keep it from the others.
func (p *program) eachNode(ctx context.Context, client *control.Client, node string,
	do func(p *program, client *control.Client) error) error {
	if node != allNodes {
		return do(p, client)
	}
	nodes, err := nodesOf(ctx, client)
	if err != nil {
		return err
	}
	var failed []string
	for _, n := range nodes {
		of := p.ofNode(n.Name)
		err := do(of, client.On(n.Name))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			of.tell(p.errorText(err))
			failed = append(failed, n.Name)
		}
	}
	return notDoneOn(failed)
}

// notDoneOn is nil if nodes have not failed, of which it is said already why.
func notDoneOn(failed []string) error {
	if len(failed) == 0 {
		return nil
	}
	return failure("admin.failed_on_nodes", "N", len(failed), "nodes", locale.Clean(strings.Join(failed, ", ")))
}

// ofNode is the program for one node of several: what it writes tells which.
func (p *program) ofNode(name string) *program {
	of := *p
	of.node = name
	return &of
}

// heading writes above a block or a table which node of several it is of.
func (p *program) heading() {
	if p.node != "" && !p.json {
		fmt.Fprintf(p.stdout, "==> %s <==\n", locale.Clean(p.node))
	}
}

// label stands before a line that is of one node of several.
func (p *program) label() string {
	if p.node == "" {
		return ""
	}
	return locale.Clean(p.node) + ": "
}
