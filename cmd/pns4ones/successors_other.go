//go:build !linux

package main

import (
	"context"

	"github.com/pns4ones/pns4ones/netsvc"
)

// successors: on this system connections cannot go from one process to another.
type successors struct{}

func (*successors) inherit() (*netsvc.Estate, error)            { return nil, nil }
func (*successors) giveBack(*netsvc.Estate)                     {}
func (*successors) awaitTurn() error                            { return nil }
func (*successors) expected() bool                              { return false }
func (*successors) upgrades() bool                              { return false }
func (*successors) upgrade(end context.CancelFunc) func() error { return nil }
func (*successors) goOn() bool                                  { return false }
func (*successors) passOn(*netsvc.Estate) error                 { return nil }
