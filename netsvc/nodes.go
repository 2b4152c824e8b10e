package netsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// A control request for another node is carried there whole, through a stream of the cluster,
// by HTTP as on the control channel. The asking node has admitted the caller, and says who it
// is when it opens the stream; the other one puts that beside the name of the asking node,
// which it knows by the seal.

// caller is what is said when a stream is opened.
type caller struct {
	Known bool   `json:"known"`
	UID   int    `json:"uid"`
	User  string `json:"user"`
	PID   int    `json:"pid,omitempty"`
}

// nodes are the other nodes for the control channel; nil: this is a single node.
func (m *membership) nodes() *server.Nodes {
	if m == nil {
		return nil
	}
	return &server.Nodes{Self: m.name, Others: m.others, Ask: m.ask}
}

// others are the nodes that the cluster has beside this one.
func (m *membership) others() []server.Node {
	st := m.current()
	if st == nil {
		return nil
	}
	var others []server.Node
	for _, p := range st.node.Status().Peers {
		live := p.State == cluster.PeerLive || p.State == cluster.PeerSilent
		if last := len(others) - 1; last >= 0 && others[last].Name == p.Name { // two lives of one
			others[last].Live = others[last].Live || live
			continue
		}
		others = append(others, server.Node{Name: p.Name, Live: live})
	}
	return others
}

// ask carries a request to another node. See server.Nodes.
func (m *membership) ask(ctx context.Context, node string, r *http.Request) (*http.Response, error) {
	who := server.CallerOf(ctx)
	if who.Refusal != "" {
		return nil, fmt.Errorf("asking node %s: %s", node, who.Refusal)
	}
	st := m.current()
	if st == nil {
		return nil, unreachable(node, cluster.ErrCutOff)
	}
	response, err := st.roundTrip(ctx, node, caller{who.Known, who.UID, who.User, who.PID}, r)
	switch {
	case err == nil:
		return response, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking node %s: %w", node, context.Cause(ctx))
	}
	return nil, unreachable(node, err)
}

// roundTrip has a node answer a request of somebody.
func (st *stay) roundTrip(ctx context.Context, node string, who caller, r *http.Request) (*http.Response, error) {
	about, err := json.Marshal(who)
	if err != nil {
		return nil, err
	}
	transport := http.Transport{ // of its own: a stream is opened for one caller
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return st.node.Dial(node, about) },
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	return transport.RoundTrip(r.WithContext(ctx))
}

// unreachable says why a node did not answer.
func unreachable(node string, why error) error {
	refusal := &control.Error{Status: http.StatusServiceUnavailable, Code: control.CodeNodeUnreachable,
		Message: "node " + node + ": " + why.Error(), Node: node}
	if errors.Is(why, cluster.ErrNoNode) {
		refusal.Status, refusal.Code = http.StatusNotFound, control.CodeNodeNotFound
	}
	return refusal
}

// askedByNodes is a net.Listener for what other nodes carry here, until ctx ends.
type askedByNodes struct {
	node   *cluster.Node
	logger *slog.Logger
	ctx    context.Context
	stop   context.CancelFunc
}

// listenToNodes opens it.
func listenToNodes(node *cluster.Node, logger *slog.Logger) *askedByNodes {
	l := &askedByNodes{node: node, logger: logger}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

func (l *askedByNodes) Accept() (net.Conn, error) {
	for {
		conn, node, about, err := l.node.Accept(l.ctx)
		if err != nil {
			return nil, err
		}
		var who caller
		if err := json.Unmarshal(about, &who); err != nil {
			l.logger.Warn("a node asks without saying for whom", slog.String("node", node), slog.Any("error", err))
			conn.Close()
			continue
		}
		return server.NodeConn{Conn: conn, Caller: socket.Peer{UID: who.UID, User: who.User, PID: who.PID,
			Known: who.Known, Node: node}}, nil
	}
}

func (l *askedByNodes) Close() error {
	l.stop()
	return nil
}

func (l *askedByNodes) Addr() net.Addr { return &net.UnixAddr{Name: "cluster", Net: "cluster"} }
