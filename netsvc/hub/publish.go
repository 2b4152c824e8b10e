package hub

import (
	"sync"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// inlineRecipients is up to how many sessions the publisher writes to itself.
// That saves a switch to another goroutine where it would cost more than the
// write; above it, the flushers share the work and the sender has its answer
// sooner. The writes never block either way.
const inlineRecipients = 4

// publication is the working memory of one Publish, reused.
type publication struct {
	recipients []*registration
	plaintext  []byte
	frames     []*frame // one for each key among the recipients
	out        *outlet
}

// maxPooledPlaintext bounds the memory that an idle publication keeps.
const maxPooledPlaintext = 64 << 10

var publications = sync.Pool{New: func() any { return &publication{out: newOutlet()} }}

// Publish queues the message for every session of the app that the recipient
// names, and returns their number. It never waits for a session. Messages
// published one after the other reach a session in that order. m must not be
// changed meanwhile; it is not kept.
func (h *Hub) Publish(appID string, to wire.Recipient, m *wire.Message) int {
	h.counters.published.Add(1)
	p := publications.Get().(*publication)
	defer p.release()
	p.recipients = h.collect(p.recipients, infobaseKey{appID, to.IbID}, to)

	reached := 0
	inline := len(p.recipients) <= inlineRecipients
	for _, r := range p.recipients {
		switch r.enqueue(p.frame(r.key, m), h.options.QueueBytes) {
		case notFor:
			continue
		case tooSlow:
			h.closeSession(r.session, closedQueueFull)
			continue
		case wakeable:
			h.startWriting()
			if inline {
				h.flush(r.session, p.out)
			} else {
				h.flusherOf(r.session).push(r.session)
			}
		}
		reached++
	}
	if reached == 0 {
		h.counters.noRecipient.Add(1)
	}
	return reached
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
	f := &frame{key: k, bytes: k.Secret.AppendFrame(nil, p.plaintext)}
	p.frames = append(p.frames, f)
	return f
}

func (p *publication) release() {
	clear(p.recipients)
	clear(p.frames)
	p.recipients = p.recipients[:0]
	p.frames = p.frames[:0]
	// Message contents do not outlive their delivery here.
	clear(p.plaintext)
	p.plaintext = p.plaintext[:0]
	if cap(p.plaintext) > maxPooledPlaintext {
		p.plaintext = nil
	}
	publications.Put(p)
}
