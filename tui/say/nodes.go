package say

import (
	"cmp"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// NodeState says how a node of the cluster is; of one that is not taken in, why.
func (w Words) NodeState(n control.Node) string {
	if n.Problem != "" {
		return w.Text.T("live.node_refused_why", "problem", locale.Clean(n.Problem))
	}
	id := "live.node_" + n.State
	if text := w.Text.T(id); text != id {
		return text
	}
	return locale.Clean(n.State) // a word of a newer daemon
}

// NodeProblem says why the others, or NATS, refuse this node.
func (w Words) NodeProblem(c *control.Cluster) string {
	return w.Text.T("live.node_problem", "problem", locale.Clean(c.Problem))
}

// AppsProblem says why this node cannot change apps together with the others, and the way
// out.
func (w Words) AppsProblem(c *control.Cluster) string {
	problem := locale.Clean(c.AppsProblem)
	id := "live.apps_" + cmp.Or(c.AppsProblemCode, "refused")
	if text := w.Text.T(id, "problem", problem); text != id {
		return text
	}
	return problem // of a newer daemon
}
