package hub

import (
	"context"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Publisher has a message delivered to all sessions that the recipient names, of this
// node and of the others of its cluster, and returns when it is queued for them. It may
// be called concurrently. The message comes as a value, so that none is made on the heap
// for it; it is not kept.
type Publisher func(ctx context.Context, appID string, to wire.Recipient, m wire.Message) Delivery

// Delivery is what became of a message.
type Delivery struct {
	Reach
	// Unconfirmed are the nodes of the cluster that may or may not have got it; Reach does
	// not count their sessions.
	Unconfirmed []string
}

// Alone is the Publisher of a service that is one node: this hub.
func (h *Hub) Alone(_ context.Context, appID string, to wire.Recipient, m wire.Message) Delivery {
	return Delivery{Reach: h.Send(appID, to, &m)}
}

// PublishText is Send with the plaintext of the frames (wire.Message.AppendJSON) in place
// of the message, which was made on another node or is sent to others as well. It must
// not be changed meanwhile, and is not kept. If nobody is reached here, nothing is
// counted: the node that took the message does so when it knows all (CountElsewhere).
func (h *Hub) PublishText(appID string, to wire.Recipient, plaintext []byte) Reach {
	reach, _ := h.publish(appID, to, nil, plaintext, moving.Origin{}, nil)
	return reach
}

// PublishFrom is PublishText for a message that other nodes get too: a session that comes from
// one of them, with the message, does not get it again. As long as it is not known whether one
// of its sessions goes on here, held is true, and the Reach is not in what is returned: then
// settled is told of it, once, perhaps before PublishFrom returns. It must return soon.
func (h *Hub) PublishFrom(origin moving.Origin, appID string, to wire.Recipient, plaintext []byte,
	settled func(Reach)) (reach Reach, held bool) {
	return h.publish(appID, to, nil, plaintext, origin, settled)
}

// CountElsewhere counts a message of an own sender that PublishText brought to nobody
// here, and that reached that many sessions of other nodes.
func (h *Hub) CountElsewhere(appID string, to wire.Recipient, sessions int) {
	h.countPublished(h.app(appID), sessions)
	h.traffic.of(infobaseKey{appID, to.IbID}).count(time.Now(), sessions)
	if sessions == 0 && h.options.Unmet != nil {
		h.options.Unmet(appID, to)
	}
}
