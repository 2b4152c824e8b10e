package netsvc

import "github.com/pns4ones/pns4ones/netsvc/cluster/seal"

// MoveAndTakeBack is what a hand-over that fails is for the cluster.
func (s *Server) MoveAndTakeBack(meanwhile func()) {
	s.membership.handOver()
	meanwhile()
	s.membership.rejoin()
}

// UseClusterKeys is what a reload does when the key file has changed.
func (s *Server) UseClusterKeys(keys *seal.Keys) { s.membership.useKeys(keys) }
