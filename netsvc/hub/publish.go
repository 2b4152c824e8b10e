package hub

import (
	"runtime"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// publication is the working memory of one Publish, reused.
type publication struct {
	recipients []*registration
	plaintext  []byte // made here, or empty
	given      []byte // nil: the plaintext is made here when it is needed
	accepted   time.Duration
	delivery   *delivery // nil: there is no frame yet
	frames     []*frame  // one for each key among the recipients

	// Of a message that other nodes get too:
	origin  moving.Origin
	settled func(Reach)
	held    *held
}

// maxPooledPlaintext bounds the memory that an idle publication keeps.
const maxPooledPlaintext = 64 << 10

var publications = sync.Pool{New: func() any { return new(publication) }}

// Publish queues the message for every session of the app that the recipient
// names, and returns their number. It never waits for a session. Messages
// published one after the other reach a session in that order. m must not be
// changed meanwhile; it is not kept. While the hub is frozen (HandOver) it waits; after
// Shutdown it reaches nobody.
func (h *Hub) Publish(appID string, to wire.Recipient, m *wire.Message) int {
	return h.Send(appID, to, m).Sessions
}

// Reach is whom a message was queued for.
type Reach struct {
	Sessions int // all of them
	Waiting  int // of these, those that are away and may come back
}

// Send is Publish that counts those apart that are away.
func (h *Hub) Send(appID string, to wire.Recipient, m *wire.Message) Reach {
	reach, _ := h.publish(appID, to, m, nil, moving.Origin{}, nil)
	return reach
}

// publish takes the message, or the plaintext of its frames: the other one is nil. The rest
// is as PublishFrom has it.
func (h *Hub) publish(appID string, to wire.Recipient, m *wire.Message, plaintext []byte, origin moving.Origin,
	settled func(Reach)) (reach Reach, held bool) {
	h.publishing.RLock()
	defer h.publishing.RUnlock()
	if h.silent {
		return Reach{}, false
	}
	p := publications.Get().(*publication)
	defer p.release()
	p.accepted, p.given, p.origin, p.settled = time.Since(h.started), plaintext, origin, settled
	var sender *tenant
	var ib *infobaseTraffic
	p.recipients, sender, ib = h.collect(p.recipients, infobaseKey{appID, to.IbID}, to)
	if sender == nil {
		sender = h.app(appID)
	}

	queueBytes := h.limits.Load().QueueBytes
	reached, waiting, unknown := 0, 0, 0
	rank := among
	if len(p.recipients) <= fewRecipients {
		rank = alone
	}
	for _, r := range p.recipients {
		v, s := h.offer(r, p.frame(r.key, m), p, queueBytes)
		switch v {
		case notFor, overfull:
			continue
		case tooSlow:
			h.closeSession(s, closedQueueFull)
			continue
		case wakeable:
			h.flusherOf(s).push(s, rank)
		case awaited:
			waiting++
		case undecided:
			unknown++
		}
		reached++
	}
	if p.delivery != nil && p.delivery.counted(reached, p.memory(), h.budget) {
		h.finished(p.delivery)
	}
	h.relieve()
	if m == nil && reached == 0 {
		return Reach{}, false
	}
	h.countPublished(sender, reached)
	if ib == nil {
		ib = h.traffic.of(infobaseKey{appID, to.IbID})
	}
	ib.count(h.started.Add(p.accepted), reached)
	if reached == 0 && h.options.Unmet != nil {
		h.options.Unmet(appID, to)
	}
	reach = Reach{reached - unknown, waiting}
	if p.held == nil {
		return reach, false
	}
	p.held.add(h, reach)
	return Reach{}, true
}

const (
	// eagerTurns is how often somebody looks for what another one is about to do, which takes
	// microseconds unless that one has lost its processor.
	eagerTurns = 32
	// lazyTurn is how long he waits from then on.
	lazyTurn = 50 * time.Microsecond
)

// pause is before the next look, after so many of them.
func pause(turn int) {
	if turn < eagerTurns {
		runtime.Gosched()
	} else {
		time.Sleep(lazyTurn)
	}
}

// until waits for what whoever writes to the session does about its outbox; holds is asked
// under the session's lock. Nobody is in a call that waits: it takes microseconds.
func (s *session) until(holds func(*outbox) bool) {
	for {
		s.mu.Lock()
		done := holds(&s.out)
		s.mu.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

// isStill reports whether no bytes of an outbox are in a call of the system.
func (o *outbox) isStill() bool { return o.inFlight == 0 }

// offer puts a frame into the outbox of the session that r belongs to, and makes room there
// if it is full only because no flusher has come to it yet: the bound is for peers that do
// not read. Then the publisher writes itself, never waiting for the peer.
func (h *Hub) offer(r *registration, f *frame, p *publication, queueBytes int) (verdict, *session) {
	for turn := 0; ; turn++ {
		v, s := h.put(r, f, p, queueBytes)
		switch {
		case v != crowded:
			return v, s
		case s.beginWriting():
			h.help(s)
		default:
			pause(turn)
		}
	}
}

// put puts a frame into an outbox, unless r is no longer what the session is registered as. A
// remembered session misses nothing that was meant for it, whatever it has become meanwhile.
func (h *Hub) put(r *registration, f *frame, p *publication, queueBytes int) (verdict, *session) {
	s := r.session
	s.mu.Lock()
	if s.registration != r || s.out.state == outDropped {
		s.mu.Unlock()
		if s = r.successor(); s == nil {
			return notFor, nil
		}
		f = f.under(s.registration.key)
	}
	defer s.mu.Unlock()
	room := cap(s.out.queue)
	v := s.out.putFrom(p, f, queueBytes)
	if cap(s.out.queue) != room {
		h.budget.recount(s)
	}
	switch v {
	case wakeable:
		h.startWriting()
		return v, s
	case queued, awaited, undecided:
		return v, s
	case overfull:
		h.counters.missed.Add(1)
	case tooSlow:
		if m := s.out.memory; m != nil { // it is remembered, but this message is not in its queue
			m.missed++
			h.counters.missed.Add(1)
		}
	}
	if f.own != nil { // it was made anew for nothing
		f.own.free(h.budget)
	}
	return v, s
}

// successor returns the session that has what is remembered of r's, locked; nil: nothing is, or
// it is forgotten.
func (r *registration) successor() *session {
	if r.more == nil || r.more.holder == nil {
		return nil
	}
	return r.more.holder.lock()
}

// lock returns the session that has what is remembered, locked; nil: it is forgotten.
func (own *holder) lock() *session {
	for {
		s := own.session.Load()
		if s == nil {
			return nil
		}
		s.mu.Lock()
		if own.session.Load() == s {
			return s
		}
		s.mu.Unlock()
	}
}

// endPublishing returns when nobody publishes, and nobody will.
func (h *Hub) endPublishing() {
	h.publishing.Lock()
	defer h.publishing.Unlock()
	h.silent = true
}

// countPublished counts a message for the whole and for its app, which is nil if
// it was removed meanwhile.
func (h *Hub) countPublished(sender *tenant, reached int) {
	for _, c := range []*appCounters{&h.counters.appCounters, sender.countersOrNil()} {
		if c == nil {
			continue
		}
		c.published.Add(1)
		if reached == 0 {
			c.noRecipient.Add(1)
		}
	}
}

func (t *tenant) countersOrNil() *appCounters {
	if t == nil {
		return nil
	}
	return &t.counters
}

// frame returns the message as a frame under k, made when it is first needed.
func (p *publication) frame(k *key, m *wire.Message) *frame {
	for _, f := range p.frames {
		if f.key == k {
			return f
		}
	}
	plaintext := p.given
	if plaintext == nil {
		if len(p.plaintext) == 0 {
			p.plaintext = m.AppendJSON(p.plaintext)
		}
		plaintext = p.plaintext
	}
	if p.delivery == nil {
		p.delivery = begin(p.accepted)
	}
	f := &frame{key: k, delivery: p.delivery, bytes: k.Secret.AppendFrame(nil, plaintext)}
	p.frames = append(p.frames, f)
	return f
}

// memory is how many bytes the frames take.
func (p *publication) memory() (bytes int64) {
	for _, f := range p.frames {
		bytes += f.memory()
	}
	return bytes
}

func (p *publication) release() {
	clear(p.recipients)
	clear(p.frames)
	p.recipients = p.recipients[:0]
	p.frames = p.frames[:0]
	p.delivery, p.given, p.origin, p.settled, p.held = nil, nil, moving.Origin{}, nil, nil
	// Message contents do not outlive their delivery here.
	clear(p.plaintext)
	p.plaintext = p.plaintext[:0]
	if cap(p.plaintext) > maxPooledPlaintext {
		p.plaintext = nil
	}
	publications.Put(p)
}
