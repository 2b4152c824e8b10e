//go:build !linux

package netsvc

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/pns4ones/pns4ones/config"
)

// Succession: on this system connections cannot go from one process to another.
type Succession struct{}

// SuccessionOptions are for tests, where there is a hand-over.
type SuccessionOptions struct {
	Deadlines Deadlines
	Step      func(name string) error
}

// NewSuccession returns nil.
func NewSuccession([]string, SuccessionOptions) (*Succession, error) { return nil, nil }

// Managed reports false.
func (*Succession) Managed() bool { return false }

type takeover struct{}

func (*takeover) awaitTurn() error { return nil }

func (*takeover) take(string, func(config.Address) bool) []net.Listener { return nil }

type hander struct{ taken chan struct{} }

func newHander(*Server) *hander { return &hander{taken: make(chan struct{})} }

func (*hander) stop() (taken bool) { return false }

func (*hander) restart(time.Time) error { return errors.ErrUnsupported }

// Upgrade is never called.
func (*hander) Upgrade(context.Context) (string, error) { return "", errors.ErrUnsupported }

func (s *Server) open(ctx context.Context) error { return s.openAlone(ctx) }

func (s *Server) takeOver() {}
