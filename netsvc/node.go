package netsvc

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// ClusterOptions say of which cluster the daemon is a node, and where it is.
type ClusterOptions struct {
	NATS    cluster.NATS
	Cluster string         // its name
	Node    string         // the name of this node
	ID      cluster.NodeID // of this node, over all its lives
	Keys    *seal.Keys
	Wait    time.Duration // how long a sender waits for the other nodes
}

// startNode has the daemon join its cluster, if it is to be in one.
func (s *Server) startNode() error {
	o := s.options.Cluster
	if o == nil {
		return nil
	}
	node, err := cluster.Start(cluster.Options{
		NATS: o.NATS, Cluster: o.Cluster, Name: o.Node, ID: o.ID, Version: s.options.Version, Keys: o.Keys, Wait: o.Wait,
		Deliver: func(appID string, to wire.Recipient, plaintext []byte) (sessions, waiting int) {
			reach := s.hub.PublishText(appID, to, plaintext)
			return reach.Sessions, reach.Waiting
		},
		Sessions: func() int { return s.hub.Stats().Sessions },
		Logger:   s.logger,
	})
	if err != nil {
		return fmt.Errorf("joining the cluster: %w", err)
	}
	s.node.Store(node)
	return nil
}

// leaveCluster says goodbye to the other nodes, before the hub does not take messages any
// more. From then on only the own sessions are served, until startNode.
func (s *Server) leaveCluster() {
	if node := s.node.Swap(nil); node != nil {
		node.Close()
	}
}

// rejoinCluster follows a hand-over that failed.
func (s *Server) rejoinCluster() {
	if err := s.startNode(); err != nil {
		s.logger.Error("the cluster cannot be joined again", slog.Any("error", err))
	}
}

// publish has a message delivered to the sessions of all nodes.
func (s *Server) publish(ctx context.Context, appID string, to wire.Recipient, m wire.Message) hub.Delivery {
	node := s.node.Load()
	if node == nil || node.Alone() {
		return s.hub.Alone(ctx, appID, to, m)
	}
	d := node.Publish(appID, to, m.AppendJSON(nil))
	if d.Own == 0 {
		s.hub.CountElsewhere(appID, to, d.Sessions)
	}
	return hub.Delivery{Reach: hub.Reach{Sessions: d.Sessions, Waiting: d.Waiting}, Unconfirmed: d.Unconfirmed}
}
