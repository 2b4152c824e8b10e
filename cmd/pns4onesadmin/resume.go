package main

import (
	"context"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The pause between two attempts to connect again.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// resuming is a session that goes on after its connection has broken (protocol.md section
// 4.4).
type resuming struct {
	*program
	*listening
	key  *wire.ClientKey
	said wire.Attributes // of the last packet
}

// resuming returns a session that has not connected yet, and what its first packet says.
func (p *program) resuming(l *listening, key *wire.ClientKey) (*resuming, []wire.Attribute) {
	r := &resuming{program: p, listening: l, key: key, said: wire.Attributes{Session: wire.NewSessionID()}}
	return r, r.next(wire.ModeOpen)
}

// next is what the next packet says.
func (r *resuming) next(mode wire.Mode) []wire.Attribute {
	r.said.Turn++
	r.said.Mode = mode
	return append(r.said.List(), r.attributes...)
}

// receive passes on messages, over one connection after the other, until ctx ends. Then it
// says goodbye.
func (r *resuming) receive(ctx context.Context, session *wire.Client, messages chan<- []byte) error {
	for {
		opened := r.said.Turn
		stop := context.AfterFunc(ctx, func() { session.SetReadDeadline(time.Unix(1, 0)) })
		for {
			text, err := session.Receive()
			if err != nil {
				break
			}
			select {
			case messages <- text:
				r.said.Received++
				r.said.From = opened
			case <-ctx.Done():
			}
		}
		stop()
		if ctx.Err() != nil {
			// the daemon forgets it in time if this fails
			session.Register(r.registration, r.key, r.next(wire.ModeEnd)...)
			session.Close()
			return ctx.Err()
		}
		session.Close()
		broke := time.Now()
		r.program.say("admin.connection_lost")
		if session = r.reconnect(ctx); session == nil {
			return ctx.Err()
		}
		r.program.say("admin.connection_back", "age", r.words(nil).Age(time.Since(broke)))
	}
}

// reconnect tries until there is a connection, or ctx ends: then it returns nil.
func (r *resuming) reconnect(ctx context.Context) *wire.Client {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		connecting, cancel := context.WithTimeout(ctx, connectTimeout)
		session, err := wire.Dial(connecting, r.service, r.registration, r.key, r.next(wire.ModeOpen)...)
		cancel()
		if err == nil {
			return session
		}
	}
}
