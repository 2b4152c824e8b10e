package hub

import (
	"context"
	"log/slog"
	"math"
	"net"
	"slices"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// A remembered session that registers here may be remembered by another node of the cluster
// (package moving). Then its registration goes two ways through enterRemembered: the
// first time it is only entered, as one without a connection, for which what comes is queued;
// the second time, when the other nodes have answered, it goes on with what they had.

// Elsewhere are the other nodes of a cluster.
type Elsewhere interface {
	// Settled reports whether this node can go on with sessions of others now. Else it soon can: a
	// registration waits until then, and the session misses nothing where it is.
	Settled() bool
	// Ask returns what they remember of a session. It fails if ctx ends, or if this node cannot
	// ask at present: then it is called again.
	Ask(ctx context.Context, q moving.Question) (moving.Result, error)
	// Confirm tells them that the session goes on here since that turn, or has ended. It does
	// not wait.
	Confirm(s moving.Session, turn uint64)
}

// AskElsewhere has the hub ask for remembered sessions that register from now on.
func (h *Hub) AskElsewhere(e Elsewhere) { h.elsewhere.Store(&e) }

// waiting is a registration that cannot be put into force yet.
type waiting struct {
	on   *asking // nil: this node is not settled
	mine bool    // it is the one for which others are asked
	key  memoryKey
	said moving.Claim
}

func (w *waiting) Error() string { return "it is waited for what other nodes remember" }

func claimOf(said *wire.Attributes) moving.Claim {
	return moving.Claim{Turn: said.Turn, Received: said.Received, From: said.From}
}

// named is the session that a memory is of, as nodes name it.
func (key memoryKey) named() moving.Session {
	return moving.Session{AppID: key.app, IbID: key.ib, UserID: key.user, Secret: key.session}
}

func keyOf(s moving.Session) memoryKey {
	return memoryKey{infobaseKey{s.AppID, s.IbID}, s.UserID, s.Secret}
}

// wait returns when a registration may be tried again.
func (h *Hub) wait(s *session, w *waiting) {
	if w.on == nil {
		for !(*h.elsewhere.Load()).Settled() && !h.frozen.Load() && s.closeReason() == "" {
			time.Sleep(settledEvery)
		}
		return
	}
	if !w.mine {
		select {
		case <-w.on.over:
		case <-w.on.ctx.Done():
		}
		return
	}
	result, err := (*h.elsewhere.Load()).Ask(w.on.ctx, moving.Question{Session: w.key.named(), Claim: w.said})
	h.memories.mu.Lock()
	defer h.memories.mu.Unlock()
	own := h.memories.find(w.key)
	switch {
	case own == nil || own.asks() != w.on: // it was forgotten meanwhile
		w.on.end()
	case err != nil: // the hub is frozen, or ends, or the node moves: whoever goes on reads the registration again
		h.giveUp(own)
	default:
		w.on.result = &result
	}
}

// settledEvery is how often it is looked whether this node is settled.
const settledEvery = 20 * time.Millisecond

// end has those who wait for the registration go on.
func (a *asking) end() {
	a.cancel()
	close(a.over)
}

// FinishMoves returns when no other node is asked for a session, at the latest when ctx ends: what
// is held for one could not be handed over. The caller sees to it that none registers.
func (h *Hub) FinishMoves(ctx context.Context) {
	for {
		open := h.memories.asked()
		for _, a := range open {
			select {
			case <-a.over:
			case <-ctx.Done():
				return
			}
		}
		if len(open) == 0 {
			return
		}
	}
}

// asked are the registrations that wait for other nodes.
func (all *memories) asked() (open []*asking) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, own := range all.holders {
		if a := own.asks(); a != nil {
			open = append(open, a)
		}
	}
	return open
}

// stopAsking ends all waiting for other nodes.
func (h *Hub) stopAsking() {
	for _, a := range h.memories.asked() {
		a.cancel()
	}
}

// enterHere is the way of a registration that is newer than what this node knows, own, which
// is nil if that is nothing. The caller holds memories.mu.
func (h *Hub) enterHere(s *session, r *registration, k infobaseKey, own *holder, key memoryKey,
	said *wire.Attributes) (EventKind, error) {
	if own != nil && own.asks() != nil { // and it has been answered
		return h.settle(s, r, k, own, said)
	}
	switch {
	case s.closeReason() != "":
		return "", net.ErrClosed
	case !(*h.elsewhere.Load()).Settled():
		return "", &waiting{}
	}
	a := &asking{session: s, turn: said.Turn, fresh: own == nil, over: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if own == nil {
		if err := h.expect(s, r, k, key, said, a); err != nil {
			a.cancel()
			return "", err
		}
	} else {
		h.suspend(own, closedReplaced, "")
		has := own.session.Load()
		has.mu.Lock()
		l := has.out.line()
		a.wasFrozen, a.before = l.frozen, len(l.unsent)
		l.frozen, l.asking = false, a
		has.mu.Unlock()
	}
	return "", &waiting{on: a, mine: true, key: key, said: claimOf(said)}
}

// suspend ends the connection of a remembered session, if it has one, and all writing to it. node is
// where it goes on; empty: here. The caller holds memories.mu.
func (h *Hub) suspend(own *holder, why closeReason, node string) {
	s := own.session.Load()
	if own.away == nil {
		if why == closedReplaced {
			h.replaced(own, time.Now())
		}
		h.detachTo(s, why, node)
		hangUp(s.conn, s.raw)
	}
	s.until((*outbox).isStill)
}

// expect enters a session of which nothing is remembered here, without a connection. From then
// on a message may come for it, and it has to be known where that is from.
func (h *Hub) expect(s *session, r *registration, k infobaseKey, key memoryKey, said *wire.Attributes, a *asking) error {
	away := &session{id: h.lastID.Add(1), conn: goneConn{remote: s.conn.RemoteAddr()}, since: s.since}
	now := time.Now()
	away.out.remember(&memory{
		id: away.id, since: s.since, turn: said.Turn - 1, begun: said.Turn, base: said.Received,
		written: said.Received, away: &now, line: &line{asking: a},
	})
	away.out.state = outDetached
	own := hold(away, key)
	entered := newRegistration(away, r.key, r.user, r.group, said)
	entered.more.holder = own
	switch h.registerWithin(entered, k, h.limits.Load().MaxSessionsPerUser) {
	case sessionClosed:
		return net.ErrClosed
	case tooMany:
		return &refusal{reason: ReasonTooManySessions, app: r.key.tenant}
	}
	entered.key.sessions.Add(-1) // as it is away
	h.counters.sessions.Add(-1)
	h.counters.detached.Add(1)
	h.memories.holders[key.digest()] = own
	own.away = h.memories.detached.PushBack(own)
	h.mu.Lock()
	h.sessions[away.id] = away
	h.mu.Unlock()
	return nil
}

// settle puts a registration into force for which other nodes were asked. The caller holds
// memories.mu.
func (h *Hub) settle(s *session, r *registration, k infobaseKey, own *holder,
	said *wire.Attributes) (EventKind, error) {
	has := own.session.Load()
	m := has.remembered()
	a := m.line.asking
	if a.result.Stale {
		h.giveUp(own)
		return "", &refusal{reason: ReasonStale, app: r.key.tenant}
	}
	var had *moving.Line
	if !a.fresh {
		had = &moving.Line{Turn: m.turn, Begun: m.begun, Written: m.written}
	}
	memories := make([]moving.Line, len(a.result.Memories))
	for i := range memories {
		memories[i] = a.result.Memories[i].Line
	}
	use := moving.Choose(claimOf(said), had, memories)
	has.mu.Lock()
	m.line.asking = nil
	lost := 0
	switch use {
	case moving.Own:
		has.out.keepUnsent(h, false, func(int, unsent) bool { return true })
	case moving.None:
		lost = h.beginAnew(&has.out, a, said)
	default:
		a.from = a.result.Memories[use].Node
		h.adopt(&has.out, a, &a.result.Memories[use], has.registration.key) // r's is not in force yet
	}
	h.budget.recount(has)
	has.mu.Unlock()
	a.taken = true
	a.end()
	begins := a.fresh && use == moving.None
	if err := h.goOn(s, r, k, own, said, !begins); err != nil {
		has.mu.Lock()
		m.turn = said.Turn
		has.mu.Unlock()
		return "", err
	}
	if lost > 0 {
		h.logger.Warn("what was remembered of a session is not what its client has read from: it begins anew",
			slog.Uint64("session", m.id), slog.Int("missed", lost))
	}
	if !begins {
		return SessionResumed, nil
	}
	if said.Received > 0 {
		h.sayForgotten(s, said)
	}
	return SessionOpened, nil
}

// beginAnew has a session begin for which nothing that is remembered can be used: it gets what
// was sent since it was entered. It returns how many messages are lost. The caller holds the
// outbox's lock.
func (h *Hub) beginAnew(o *outbox, a *asking, said *wire.Attributes) (lost int) {
	m := o.memory
	o.keepUnsent(h, false, func(at int, one unsent) bool {
		if !a.fresh && (!a.wasFrozen || at < a.before) { // of another line: none of it is safe to send
			lost++
			return false
		}
		return !a.result.Before.Has(one.origin)
	})
	o.dropSent()
	m.turn, m.begun, m.base, m.written = said.Turn-1, said.Turn, said.Received, said.Received
	m.missed += uint64(lost)
	h.counters.missed.Add(uint64(lost))
	l, until := m.line, time.Now().Add(a.result.Patience)
	l.cover, l.lapse, l.lost, l.back = make(moving.Cover), until, moving.Lost{}, until
	for epoch, before := range a.result.Before {
		switch {
		case before.Top < math.MaxUint64:
			l.cover[epoch] = before
		case !slices.Contains(a.result.Past, epoch):
			l.lost.Lives = append(l.lost.Lives, epoch)
		}
	}
	return lost
}

// adopt has an outbox hold what another node remembers, and behind it what has come here and
// not there. The caller holds the outbox's lock.
//
// This node may have waited for the session, too, while the nodes did not hear each other. What it has
// from a life of a node of which the other one knows nothing any more may be older than what the
// client has got there: it would come out of its order.
func (h *Hub) adopt(o *outbox, a *asking, from *moving.Memory, k *key) {
	lost := uint64(0)
	o.keepUnsent(h, false, func(at int, one unsent) bool {
		switch waited := at < a.before; {
		case waited && a.wasFrozen || from.Has.Has(one.origin) || from.Lost.Has(one.origin):
			return false
		case waited && !from.Has.Knows(one.origin.Epoch):
			lost++
			return false
		}
		return true
	})
	o.dropSent()
	h.counters.missed.Add(lost)
	m := o.memory
	var queue []*frame
	var origins []unsent
	for at, plaintext := range from.Sent {
		f := h.frameFor(k, plaintext, from.Cut && at == len(from.Sent)-1)
		queue = append(queue, f)
		m.againSize += len(f.bytes)
	}
	m.again = len(queue)
	for _, one := range from.Unsent {
		queue = append(queue, h.frameFor(k, one.Plaintext, true))
		origins = append(origins, unsent{origin: one.Origin})
	}
	for _, f := range queue {
		o.queuedBytes += len(f.bytes)
	}
	o.queue = append(queue, o.queue...)
	m.line.unsent = append(origins, m.line.unsent...)
	m.turn, m.begun, m.base, m.written = from.Turn, from.Begun, from.Base, from.Written
	m.since, m.missed, m.resumed = from.Since, from.Missed+lost, uint32(from.Resumed)
	l, now := m.line, time.Now()
	l.cover, l.lapse, l.lost, l.back = from.Has, now.Add(a.result.Patience), from.Lost, now.Add(from.Lost.For)
}

// frameFor makes a frame of one session. One that was delivered before is not delivered again.
func (h *Hub) frameFor(k *key, plaintext []byte, undelivered bool) *frame {
	f := &frame{key: k, bytes: k.Secret.AppendFrame(nil, plaintext)}
	if undelivered {
		f.delivery = begin(time.Since(h.started))
		f.delivery.counted(1, f.memory(), h.budget)
	} else {
		f.own = h.budget.hold(f.memory())
	}
	return f
}

// giveUp has what is remembered be as it was before a registration that is of no effect. The
// caller holds memories.mu.
func (h *Hub) giveUp(own *holder) {
	s := own.session.Load()
	s.mu.Lock()
	l := s.out.memory.line
	a := l.asking
	l.asking, l.frozen = nil, a.wasFrozen
	s.out.keepUnsent(h, true, func(at int, _ unsent) bool { return !a.fresh && (!a.wasFrozen || at < a.before) })
	h.budget.recount(s)
	s.mu.Unlock()
	if a.fresh {
		h.dismiss(own)
	}
	a.end()
}

// dismiss takes back what expect did.
func (h *Hub) dismiss(own *holder) {
	s, all, key := own.session.Load(), h.memories, own.key()
	own.session.Store(nil)
	delete(all.holders, key.digest())
	all.detached.Remove(own.away)
	h.counters.detached.Add(-1)
	r := s.registered()
	r.key.sessions.Add(1) // that the index takes off
	s.mu.Lock()
	s.closed = closedReplaced
	s.out.forget()
	s.out.drop()
	h.budget.recount(s)
	s.mu.Unlock()
	h.unregister(r)
	h.mu.Lock()
	delete(h.sessions, s.id)
	h.mu.Unlock()
}
