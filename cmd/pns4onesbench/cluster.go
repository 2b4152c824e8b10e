//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// clusterScenario is not among the scenarios of «all»: it needs a nats-server.
var clusterScenario = scenario{
	"cluster", "several nodes as one service, against a single one", flagSessions, measureCluster,
}

func (b *bench) clusterCommand() *cobra.Command {
	cmd := b.command(clusterScenario.name, clusterScenario.short, func(ctx context.Context) error {
		if err := b.checkNumbers(); err != nil {
			return err
		}
		switch {
		case b.nodes < 2:
			return usageError{errors.New("--nodes: a cluster has two nodes at least")}
		case b.servers < 1:
			return usageError{errors.New("--nats-servers: there is one at least")}
		}
		if err := b.findNATS(ctx); err != nil {
			return err
		}
		return b.measure(ctx, clusterScenario)
	})
	cmd.Flags().SortFlags = false
	cmd.Flags().IntVar(&b.nodes, "nodes", 3, "nodes; the goals are for three")
	cmd.Flags().IntVar(&b.servers, "nats-servers", 1, "NATS servers; with several, one of them is killed, too")
	return cmd
}

// measureCluster measures what a cluster costs against a single node, and what is felt of it
// when a part of it goes away or is replaced.
func measureCluster(ctx context.Context, b *bench) ([]*Scenario, error) {
	s := b.result("cluster", b.sessions)
	s.Nodes, s.NATSServers = b.nodes, b.servers
	if err := adoptSuccessors(); err != nil {
		return nil, err
	}
	for run := range b.runs {
		b.progress(s, "beside a single node", run)
		if err := b.besideSingle(ctx, s); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
		b.progress(s, "when something happens to it", run)
		if err := b.whenThingsHappen(ctx, s); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	return []*Scenario{s}, nil
}

// side is one of the two that take turns: the cluster and a single node.
type side struct {
	target
	of    string
	entry *daemon   // that is posted to
	nodes []*daemon // all
	all   []*process
}

// besideSingle measures a cluster by turns with a single node.
func (b *bench) besideSingle(ctx context.Context, s *Scenario) error {
	c, err := b.startCluster(ctx)
	if err != nil {
		return err
	}
	defer c.stop()
	d, err := b.startDaemon(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	s.FrameBytes = d.messageBytes()
	sides := []*side{
		{c, ofDaemon, c.nodes[0], c.nodes, c.processes()},
		{d, ofSingle, d, []*daemon{d}, []*process{d.process}},
	}
	for _, one := range sides {
		if err := one.open(ctx, 1); err != nil {
			return err
		}
		if err := one.settle(ctx); err != nil {
			return err
		}
	}
	for _, measure := range []func(context.Context, *Scenario, []*side) error{
		b.turnsOfOneSender, b.turnsOfManySenders, b.turnsToAll, b.turnsOfChanges,
	} {
		if err := measure(ctx, s, sides); err != nil {
			return err
		}
	}
	return nil
}

// inTurns has each side do its part again and again.
func (b *bench) inTurns(sides []*side, do func(i int, one *side) error) error {
	for range b.pick(10, 2) {
		for i, one := range sides {
			if err := do(i, one); err != nil {
				return fmt.Errorf("%s: %w", subjectNames[one.of], err)
			}
		}
	}
	return nil
}

// turnsOfOneSender measures posts one after the other to the one session.
func (b *bench) turnsOfOneSender(ctx context.Context, s *Scenario, sides []*side) error {
	arrived, answered := make([][]float64, len(sides)), make([][]float64, len(sides))
	posters := make([]*poster, len(sides))
	for i, one := range sides {
		p, err := one.entry.poster(toUser(0), one.entry.message, 1, false)
		if err != nil {
			return err
		}
		defer p.close()
		posters[i] = p
	}
	count := b.pick(200, 5)
	taken, without := 0, time.Duration(0) // messages at nodes without recipient, and what they cost
	if err := b.inTurns(sides, func(i int, one *side) error {
		idle := one.nodes[min(2, len(one.nodes)):]
		before, err := cpuOfNodes(idle)
		if err != nil {
			return err
		}
		there, answers, err := timesToOne(ctx, one, count, posters[i].idle, func() error {
			_, err := posters[i].post()
			return err
		})
		if err != nil {
			return err
		}
		after, err := cpuOfNodes(idle)
		taken, without = taken+count*len(idle), without+after-before
		arrived[i], answered[i] = append(arrived[i], there...), append(answered[i], answers...)
		return err
	}); err != nil {
		return err
	}
	for _, f := range []struct {
		name  string
		of    [][]float64
		share float64
	}{{"bytes_p50", arrived, 0.5}, {"bytes_p99", arrived, 0.99}, {"answer_p50", answered, 0.5}} {
		for i, one := range sides {
			s.note(one.of, f.name, Seconds, quantile(f.of[i], f.share))
		}
		if f.name != "answer_p50" {
			more := quantile(f.of[0], f.share) - quantile(f.of[1], f.share)
			s.note(ofDaemon, f.name+"_more", Seconds, more)
		}
	}
	if taken > 0 {
		s.note(ofDaemon, "cpu_without_singly", Seconds, without.Seconds()/float64(taken))
	}
	return nil
}

// cpuOfNodes is the CPU time that these have had in all.
func cpuOfNodes(nodes []*daemon) (sum time.Duration, err error) {
	for _, d := range nodes {
		cpu, err := d.cpu()
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

// turnsOfManySenders measures posts over many connections to the one session.
func (b *bench) turnsOfManySenders(ctx context.Context, s *Scenario, sides []*side) error {
	all := make([]*posted, len(sides))
	for i, one := range sides {
		p, err := one.entry.poster(toUser(0), one.entry.message, postConns, false)
		if err != nil {
			return err
		}
		defer p.close()
		all[i] = &posted{of: one.of, servers: one.all, frame: int64(one.messageBytes()), poster: p}
	}
	if err := b.inTurns(sides, func(i int, _ *side) error {
		return all[i].slice(ctx, b.duration()/postSlices)
	}); err != nil {
		return err
	}
	for _, p := range all {
		s.note(p.of, "posts_kept", PerSecond, p.answered/p.took.Seconds())
		s.note(p.of, "client_share_kept", Share, p.ours.Seconds()/p.took.Seconds())
	}
	b.noteCPU(s, all[0], all[1].cpus[0].Seconds()/all[1].answered)
	for _, one := range sides {
		rss, err := one.entry.rss()
		if err != nil {
			return err
		}
		s.note(one.of, "rss_posted_to", Bytes, float64(rss))
	}
	return nil
}

// noteCPU notes what each process of the cluster needs for a post, against what a single node
// needs for one.
func (b *bench) noteCPU(s *Scenario, p *posted, single float64) {
	each := func(name string, of []time.Duration, parts int) {
		sum := time.Duration(0)
		for _, cpu := range of {
			sum += cpu
		}
		s.note(ofDaemon, name, Seconds, sum.Seconds()/p.answered/float64(parts))
		s.note(ofSingle, name, Seconds, single)
	}
	each("cpu_posted_to", p.cpus[:1], 1)
	each("cpu_with_session", p.cpus[1:2], 1)
	if without := p.cpus[2:b.nodes]; len(without) > 0 {
		each("cpu_without_recipient", without, len(without))
	}
	each("cpu_nats", p.cpus[b.nodes:], 1)
}

// atEach is how many sessions each node has when a message is sent to all.
const atEach = 100

// turnsToAll measures a message to all until the last session has it.
func (b *bench) turnsToAll(ctx context.Context, s *Scenario, sides []*side) error {
	times := make([][]float64, len(sides))
	for _, one := range sides {
		if err := one.open(ctx, b.nodes*b.pick(atEach, 2)); err != nil {
			return err
		}
	}
	if err := b.inTurns(sides, func(i int, one *side) error {
		for n := range b.pick(5, 2) {
			took, err := deliver(ctx, one)
			if err != nil {
				return err
			}
			if n > 0 {
				times[i] = append(times[i], took.Seconds())
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for i, one := range sides {
		s.note(one.of, "time_to_last", Seconds, median(times[i]))
	}
	return nil
}

// turnsOfChanges measures how long it takes until a change of an app is on all nodes.
func (b *bench) turnsOfChanges(ctx context.Context, s *Scenario, sides []*side) error {
	times := make([][]float64, len(sides))
	if err := b.inTurns(sides, func(i int, one *side) error {
		for range b.pick(30, 2) {
			took, err := change(ctx, one.nodes, fmt.Sprintf("change %d", len(times[i])))
			if err != nil {
				return err
			}
			times[i] = append(times[i], took.Seconds())
		}
		return nil
	}); err != nil {
		return err
	}
	for i, one := range sides {
		s.note(one.of, "change_p50", Seconds, quantile(times[i], 0.5))
		s.note(one.of, "change_p99", Seconds, quantile(times[i], 0.99))
	}
	return nil
}

// change gives the app another title at the first node, and returns how long it took until
// all nodes had it: the answer says that, and they are asked.
func change(ctx context.Context, nodes []*daemon, title string) (time.Duration, error) {
	began := time.Now()
	id := nodes[0].app.ID
	if _, err := nodes[0].control.RenameApp(ctx, id, title); err != nil {
		return 0, nodes[0].failed(err)
	}
	took := time.Since(began)
	for _, d := range nodes[1:] {
		for asked := 0; ; asked++ {
			a, err := d.control.App(ctx, id)
			if err != nil {
				return 0, d.failed(err)
			}
			if a.Title == title {
				break
			}
			if took = time.Since(began); took > patience {
				return 0, d.failed(fmt.Errorf("it did not get the change of an app within %v", patience))
			}
		}
	}
	return took, nil
}
