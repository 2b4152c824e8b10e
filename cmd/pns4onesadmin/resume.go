package main

import (
	"context"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The pause between two attempts to connect again.
const (
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// settled is how long a connection has lasted when the service has accepted the session: it
// says nothing of that, and closes at once what it refuses. It is longer in tests, for a busy
// machine may take a second to refuse.
var settled = time.Second

// mostRefusals is after how many such connections, one after the other, a person is to know.
const mostRefusals = 3

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
	lasted := r.receiveOver(ctx, session, messages, func() {})
	for refused, broke := 0, time.Now(); ctx.Err() == nil; {
		session.Close()
		pause := firstRetry
		switch {
		case lasted:
			refused, broke = 0, time.Now()
			r.program.say("admin.connection_lost")
		case refused < mostRefusals:
			if refused++; refused == mostRefusals {
				r.program.say("admin.connection_refused")
			}
		default:
			pause = lastRetry
		}
		if session = r.reconnect(ctx, pause); session == nil {
			return ctx.Err()
		}
		lasted = r.receiveOver(ctx, session, messages, func() {
			r.program.say("admin.connection_back", "age", r.words(nil).Age(time.Since(broke)))
		})
	}
	// the daemon forgets it in time if this fails
	session.Register(r.registration, r.key, r.next(wire.ModeEnd)...)
	session.Close()
	return ctx.Err()
}

// receiveOver passes on messages until the connection breaks, or ctx ends. When the service has
// accepted the session it calls accepted, and in the end it reports whether it has.
func (r *resuming) receiveOver(ctx context.Context, session *wire.Client, messages chan<- []byte,
	accepted func()) (was bool) {
	opened := r.said.Turn
	stop := context.AfterFunc(ctx, func() { session.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var once sync.Once
	defer time.AfterFunc(settled, func() { once.Do(accepted) }).Stop()
	for {
		text, err := session.Receive()
		if err != nil {
			was = true
			once.Do(func() { was = false })
			return was
		}
		once.Do(accepted)
		select {
		case messages <- text:
			r.said.Received++
			r.said.From = opened
		case <-ctx.Done():
		}
	}
}

// reconnect tries until there is a connection, or ctx ends: then it returns nil. The first
// attempt is after a pause.
func (r *resuming) reconnect(ctx context.Context, pause time.Duration) *wire.Client {
	for ; ; pause = min(2*pause, lastRetry) {
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
