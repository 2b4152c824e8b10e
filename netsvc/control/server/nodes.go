package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// Nodes are the other nodes of the cluster, and the way to them.
type Nodes struct {
	// Self is the name of this node.
	Self string
	// Others are those that there are, and those that were lost and are not forgotten, by
	// name.
	Others func() []Node
	// Ask has the named node answer a request by its own routes, with the same caller, whom
	// this node has admitted, see CallerOf: ctx is that of the request under way here, or
	// comes from it. r
	// has the path of a route, with /v1, its query and its body, which Ask closes. The answer
	// is read to its end or closed, and ctx ends it, too. What the node itself refuses is an
	// answer; an error is a *control.Error with CodeNodeNotFound or CodeNodeUnreachable, or it
	// wraps ctx's. Whether an unreachable node has done what it was asked to do is not known.
	// It may be called concurrently.
	Ask func(ctx context.Context, node string, r *http.Request) (*http.Response, error)
	// Patience is how long a node may take to begin the answer to a request that is passed on
	// to it as it is, unless its route is slow; 12 s, which is less than the clients of this one
	// wait.
	Patience time.Duration
	// Silence is how long a node is waited for that says nothing, where all nodes are asked or a
	// session of it is to be closed: it must not hold up the command of an administrator. 2 s if
	// it is 0. With all that it has to say a node may take 12 s.
	Silence time.Duration
}

// NodeConn is a connection on which another node carries requests here. It vouches for who
// calls: it has admitted the caller, and says its own name in Caller.Node.
type NodeConn struct {
	net.Conn
	Caller socket.Peer
}

// Node is another node, as this one knows it.
type Node struct {
	Name string
	Live bool // false: it is lost or on its way in, and asking it is of little use
}
