package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// clustering is what the flags of cluster say.
type clustering struct{ merge, take, yes bool }

// clusterAction is something that can be done with a cluster.
type clusterAction struct {
	words []string // after the program and «cluster»
	usage string   // arguments and flags behind them
	args  int
	do    func(ctx context.Context, args []string) error
}

// clusterCommand decides about the cluster that the daemon is a node of, and makes keys for
// one.
func (p *program) clusterCommand() *cobra.Command {
	var c clustering
	actions := []clusterAction{
		{[]string{"join"}, "--merge|--take", 0, func(ctx context.Context, _ []string) error { return p.joinCluster(ctx, c) }},
		{[]string{"restore"}, "", 0, func(ctx context.Context, _ []string) error { return p.restoreCluster(ctx, c) }},
		{[]string{"forget"}, "NODE", 1, func(ctx context.Context, args []string) error {
			return p.forgetNode(ctx, args[0])
		}},
		{[]string{"key", "new"}, "FILE", 1, func(_ context.Context, args []string) error { return p.newClusterKey(args[0]) }},
	}
	chosen := func(args []string) (*clusterAction, []string) {
		for i := range actions {
			if words := actions[i].words; len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
				return &actions[i], args[len(words):]
			}
		}
		return nil, nil
	}
	cmd := p.command("cluster", []string{"action"}, nil)
	cmd.Use = "cluster join | restore | forget NODE | key new FILE"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		action, rest := chosen(args)
		isJoin := action != nil && action.words[0] == "join"
		switch {
		case action == nil || len(rest) != action.args || slices.Contains(rest, ""):
			return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
		case isJoin && c.merge == c.take:
			return wrongUsage("admin.merge_or_take")
		case !isJoin && (c.merge || c.take):
			return wrongUsage("admin.merge_joins")
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		action, rest := chosen(args)
		return action.do(cmd.Context(), rest)
	}
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return []string{"join", "restore", "forget", "key"}, cobra.ShellCompDirectiveNoFileComp
		case len(args) == 1 && args[0] == "key":
			return []string{"new"}, cobra.ShellCompDirectiveNoFileComp
		case len(args) == 2 && args[0] == "key":
			return nil, cobra.ShellCompDirectiveDefault
		case len(args) == 1 && args[0] == "forget":
			return p.completeLostNodes(begun)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Flags().BoolVar(&c.merge, "merge", false, p.text.T("admin.flag_join_merge"))
	cmd.Flags().BoolVar(&c.take, "take", false, p.text.T("admin.flag_join_take"))
	cmd.Flags().BoolVar(&c.yes, "yes", false, p.text.T("admin.flag_yes"))
	return cmd
}

// completeLostNodes completes the names of nodes that can be forgotten.
func (p *program) completeLostNodes(begun string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		status, err := client.Status(ctx)
		if err != nil || status.Cluster == nil {
			return nil, err
		}
		var all []candidate
		for _, n := range status.Cluster.Nodes {
			if n.State == control.NodeLost {
				all = append(all, candidate{id: n.Name})
			}
		}
		return offers(begun, all), nil
	})
}

// joinCluster decides whose apps hold where this node and the cluster differ.
func (p *program) joinCluster(ctx context.Context, c clustering) error {
	how, question, joined := control.JoinMerging, "admin.confirm_merge", "admin.joined_merging"
	if c.take {
		how, question, joined = control.JoinTaking, "admin.confirm_take", "admin.joined_taking"
	}
	return p.decideOnCluster(ctx, c, question, joined, func(client *control.Client) (control.Joined, error) {
		return client.JoinCluster(ctx, how)
	})
}

// restoreCluster gives all nodes the apps of this one.
func (p *program) restoreCluster(ctx context.Context, c clustering) error {
	return p.decideOnCluster(ctx, c, "admin.confirm_restore", "admin.restored",
		func(client *control.Client) (control.Joined, error) { return client.RestoreCluster(ctx) })
}

// decideOnCluster asks first: what it replaces is gone. A script has to say so.
func (p *program) decideOnCluster(ctx context.Context, c clustering, question, done string,
	decide func(*control.Client) (control.Joined, error)) error {
	if !c.yes && !p.onTerminal() {
		return wrongUsage("admin.decision_needs_yes")
	}
	return p.withDaemon(func(client *control.Client) error {
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		if status.Cluster == nil {
			return &control.Error{Code: control.CodeNoCluster}
		}
		if err := p.agree(c.yes, question, "cluster", locale.Clean(status.Cluster.Name), "node",
			locale.Clean(status.Cluster.Node), "N", status.Apps); err != nil {
			return err
		}
		joined, err := decide(client)
		if err != nil {
			return err
		}
		p.say(done, "N", joined.Apps)
		if p.json {
			return p.printJSON(joined)
		}
		return nil
	})
}

// forgetNode has no node name a lost one any more.
func (p *program) forgetNode(ctx context.Context, name string) error {
	return p.withDaemon(func(client *control.Client) error {
		forgotten, err := client.ForgetNode(ctx, name)
		if refusal, ok := errors.AsType[*control.Error](err); ok && refusal.Code == control.CodeNodeNotFound {
			return notFoundError{locale.NewText("admin.no_lost_node", "node", locale.Clean(name))}
		}
		if err != nil {
			return err
		}
		p.say("admin.forgotten", "node", locale.Clean(name))
		p.missing(forgotten.MissingNodes)
		if p.json {
			return p.printJSON(forgotten)
		}
		return nil
	})
}

// newClusterKey makes a key file for all nodes of a cluster.
func (p *program) newClusterKey(path string) error {
	id, err := seal.WriteNewKey(path)
	if err != nil {
		return newFileError(path, err)
	}
	p.say("admin.key_made_for_cluster", "path", path, "id", id)
	if p.json {
		return p.printJSON(struct {
			ID string `json:"id"`
		}{id.String()})
	}
	return nil
}
