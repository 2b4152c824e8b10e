package hub

import (
	"math"
	"sync"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// publication is the working memory of one Publish, reused.
type publication struct {
	recipients []*registration
	plaintext  []byte
	delivery   *delivery
	frames     []*frame // one for each key among the recipients
}

// maxPooledPlaintext bounds the memory that an idle publication keeps.
const maxPooledPlaintext = 64 << 10

var publications = sync.Pool{New: func() any { return new(publication) }}

// Publish queues the message for every session of the app that the recipient
// names, and returns their number. It never waits for a session. Messages
// published one after the other reach a session in that order. m must not be
// changed meanwhile; it is not kept.
func (h *Hub) Publish(appID string, to wire.Recipient, m *wire.Message) int {
	p := publications.Get().(*publication)
	defer p.release()
	p.delivery = h.begin()
	var sender *tenant
	p.recipients, sender = h.collect(p.recipients, infobaseKey{appID, to.IbID}, to)
	if sender == nil {
		sender = h.app(appID)
	}

	queueBytes := h.limits.Load().QueueBytes
	reached := 0
	rank := among
	if len(p.recipients) <= fewRecipients {
		rank = alone
	}
	for _, r := range p.recipients {
		verdict := r.enqueue(p.frame(r.key, m), queueBytes)
		for verdict == crowded {
			if h.frozen.Load() {
				queueBytes = math.MaxInt // nobody writes any more: it is handed over
			} else {
				h.help(r.session)
			}
			verdict = r.enqueue(p.frame(r.key, m), queueBytes)
		}
		switch verdict {
		case notFor:
			continue
		case tooSlow:
			h.closeSession(r.session, closedQueueFull)
			continue
		case wakeable:
			h.startWriting()
			h.flusherOf(r.session).push(r.session, rank)
		}
		reached++
	}
	if p.delivery.counted(reached) {
		h.finished(p.delivery)
	}
	h.countPublished(sender, reached)
	return reached
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
	if len(p.plaintext) == 0 {
		p.plaintext = m.AppendJSON(p.plaintext)
	}
	f := &frame{key: k, delivery: p.delivery, bytes: k.Secret.AppendFrame(nil, p.plaintext)}
	p.frames = append(p.frames, f)
	return f
}

func (p *publication) release() {
	clear(p.recipients)
	clear(p.frames)
	p.recipients = p.recipients[:0]
	p.frames = p.frames[:0]
	p.delivery = nil
	// Message contents do not outlive their delivery here.
	clear(p.plaintext)
	p.plaintext = p.plaintext[:0]
	if cap(p.plaintext) > maxPooledPlaintext {
		p.plaintext = nil
	}
	publications.Put(p)
}
