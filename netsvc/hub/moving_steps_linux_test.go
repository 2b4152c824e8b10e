package hub_test

import (
	"bytes"
	"errors"
	"slices"
	"syscall"

	"github.com/pns4ones/pns4ones/netsvc/cluster/moving"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The steps of a schedule of moves.

func (w *movingWorld) step(o op) {
	c := &w.cl
	n := w.nodes[o.x%w.holders]
	other := w.nodes[(n.i+1+o.x>>4%(w.holders-1))%w.holders]
	i, j := o.x%3, o.x>>4%w.holders
	var k *movingConn
	if len(w.conns) > 0 {
		k = w.conns[o.x%len(w.conns)]
		if o.y&1 == 1 {
			k = w.conns[len(w.conns)-1]
		}
	}
	switch o.name {
	case "post":
		w.post(w.nodes[o.x%3], o.y%3)
	case "connect":
		w.connect(n.i)
	case "sread":
		if k != nil {
			w.sread(k)
		}
	case "write":
		w.write(n, 1+o.y%4)
	case "read":
		w.read(1 + o.x%4)
	case "msg":
		w.arrive(i, j)
	case "again":
		if q := w.links[i][j]; len(q) > 1 {
			w.say("m%d to %s is lost, and sent again later", q[0].id, w.nodes[j].name())
			w.links[i][j] = append(q[1:], q[0])
		}
	case "ctl":
		w.hears(n, other)
	case "lose":
		w.lose(n, other)
	case "abandon":
		if c.conn != nil {
			w.say("client gives up c%d, received %d", c.conn.id, c.received)
			c.conn.open, c.conn.fin = false, o.x&1 == 1
			c.conn.set(func() { c.conn.sent = nil })
			c.conn = nil
		}
	case "replay":
		if len(w.packets) > 0 && n.up {
			if p := w.packets[o.x>>1%len(w.packets)]; p.done {
				q := w.newConn(n, p, true)
				w.say("turn %d received %d is played again at %s as c%d", p.said.Turn, p.said.Received, n.name(), q.id)
				if o.y&2 != 0 {
					w.sread(q)
				}
			}
		}
	case "evilend":
		if k != nil && k.evil {
			k.fin = true
		}
	case "kill":
		w.kill(n)
	case "start":
		if !n.up && w.quiet() {
			w.start(n)
			w.say("%s starts", n.name())
		}
	}
}

// quiet reports whether no message is under way: a node that starts takes sessions only then.
func (w *movingWorld) quiet() bool {
	for i := range w.links {
		for j := range w.links[i] {
			if len(w.links[i][j]) > 0 {
				return false
			}
		}
	}
	return true
}

func (w *movingWorld) connect(at int) {
	c, n := &w.cl, w.nodes[at]
	if c.conn != nil {
		return
	}
	c.turn++
	p := &movingPacket{said: wire.Attributes{Session: sessionOf(1), Turn: c.turn, Received: c.received, From: c.from}}
	var err error
	ann := wire.Registration{AppID: appID, IbID: "ib", UserID: movingUser}
	p.bytes, err = wire.AppendRegistration(nil, ann, modelKey(1), p.said.List()...)
	if err != nil {
		panic(err)
	}
	w.packets = append(w.packets, p)
	if !n.up {
		w.say("turn %d: %s is down", c.turn, n.name())
		return
	}
	c.conn = w.newConn(n, p, false)
	w.say("client connects to %s as c%d: turn %d received %d from %d", n.name(), c.conn.id, c.turn, c.received, c.from)
}

func (w *movingWorld) newConn(n *movingNode, p *movingPacket, evil bool) *movingConn {
	k := &movingConn{
		pipe: newPipe(1 << 20), id: len(w.conns), node: n, epoch: n.epoch, evil: evil, packet: p,
		turn: p.said.Turn, open: true,
	}
	k.onFrame = func([]byte, int, int) {}
	w.conns = append(w.conns, k)
	return k
}

// sread has a node read what a connection brings: a registration, but only when none is being decided, or the end.
func (w *movingWorld) sread(k *movingConn) {
	n := k.node
	if !n.up || n.epoch != k.epoch || k.over() {
		return
	}
	if k.admitted {
		if k.fin {
			k.set(func() { k.ended = true })
			w.settle()
		}
		return
	}
	w.mu.Lock()
	asking := len(w.calls) > 0
	w.mu.Unlock()
	if asking {
		return
	}
	k.admitted = true
	n.by, n.own, n.result = k, nil, nil
	if has, ok := n.h.Remembered(movingUser); ok {
		n.own = &moving.Line{Turn: has.Turn, Begun: has.Begun, Written: has.Written}
	}
	w.say("%s reads turn %d on c%d", n.name(), k.turn, k.id)
	k.incoming = k.packet.bytes
	n.ln.backlog <- k.pipe
	w.settle()
}

// write lets a node write so many frames.
func (w *movingWorld) write(n *movingNode, frames int) {
	if !n.up {
		return
	}
	for _, k := range w.conns {
		if k.node == n && k.epoch == n.epoch && !k.over() {
			k.set(func() { k.credit = frames * w.frame })
		}
	}
	w.settle()
	for _, k := range w.conns {
		k.set(func() { k.credit = 0 })
	}
}

// read has the client read so many frames.
func (w *movingWorld) read(frames int) {
	c := &w.cl
	k := c.conn
	if k == nil {
		return
	}
	for ; frames > 0 && k.unread() > 0; frames-- {
		var frame []byte
		k.set(func() { frame, k.sent = k.sent[:w.frame], k.sent[w.frame:] })
		text, err := wire.ReadFrame(bytes.NewReader(frame), modelKey(1), 1<<20)
		if err != nil {
			w.fail("STREAM", "%v", err)
		}
		w.accept(k, idOf(text))
	}
	if k.unread() == 0 && (k.over() || k.epoch != k.node.epoch) {
		w.say("client: end of stream on c%d", k.id)
		c.conn, k.open = nil, false
	}
}

func (w *movingWorld) accept(k *movingConn, id int) {
	c := &w.cl
	c.received++
	c.from = k.turn
	w.say("1C accepts m%d as number %d from %s", id, c.received, k.node.name())
	sender := 0
	for _, s := range w.posts {
		if s.id == id {
			sender = s.sender
		}
	}
	for _, before := range c.accepted {
		if before.id == id {
			w.fail("P1", "m%d was accepted twice", id)
		}
		if before.sender == sender && before.id > id && !w.loose {
			w.fail("P2", "m%d of sender %d came after m%d", id, sender, before.id)
		}
	}
	c.accepted = append(c.accepted, &posted{id: id, sender: sender})
}

func (w *movingWorld) post(n *movingNode, sender int) {
	if !n.up {
		return
	}
	old := w.senders[sender]
	for i := range w.links {
		for j := range w.links[i] {
			if old != nil && slices.Contains(w.links[i][j], old) {
				return // a sender posts one after the other
			}
		}
	}
	w.last++
	n.last++
	x := &posted{w.last, sender, moving.Origin{Epoch: n.epoch, Number: n.last}}
	w.senders[sender] = x
	w.posts = append(w.posts, x)
	w.say("sender %d posts m%d at %s", sender, x.id, n.name())
	for _, p := range w.having() {
		if p != n && p.up {
			w.links[n.i][p.i] = append(w.links[n.i][p.i], x)
		}
	}
	if n.i < w.holders {
		w.deliver(n, x)
	}
}

// arrive has the next message from one node reach another one.
func (w *movingWorld) arrive(i, j int) {
	if q := w.links[i][j]; len(q) > 0 {
		w.mu.Lock()
		w.links[i][j] = q[1:]
		w.mu.Unlock()
		w.deliver(w.nodes[j], q[0])
	}
}

// deliver has a message queued for the sessions of a node.
func (w *movingWorld) deliver(n *movingNode, x *posted) {
	w.mu.Lock()
	seen := n.seen[x.origin.Epoch]
	if seen == nil {
		seen = make(map[uint64]bool)
		n.seen[x.origin.Epoch] = seen
	}
	again := seen[x.origin.Number]
	seen[x.origin.Number] = true
	w.mu.Unlock()
	if again {
		return
	}
	settled := func(reach hub.Reach) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.say("m%d at %s: %d sessions", x.id, n.name(), reach.Sessions)
		if reach.Sessions > 0 && !n.ghost {
			w.offered[x.id] = true
		}
	}
	plaintext := topic(movingText(x.id)).AppendJSON(nil)
	reach, held := n.h.PublishFrom(x.origin, appID, toAll("ib"), plaintext, settled)
	if held {
		w.say("m%d is held at %s", x.id, n.name())
	} else {
		settled(reach)
	}
	w.settle()
}

// hears has a node hear what another one says.
func (w *movingWorld) hears(from, to *movingNode) {
	w.mu.Lock()
	q := w.control[from.i][to.i]
	if len(q) == 0 {
		w.mu.Unlock()
		return
	}
	s := q[0]
	w.control[from.i][to.i] = q[1:]
	open := w.calls[s.call]
	if s.kind == 'a' && open {
		delete(w.calls, s.call)
	}
	w.mu.Unlock()
	w.say("%s hears %c of %s", to.name(), s.kind, from.name())
	switch {
	case !to.up:
	case s.kind == 'q':
		w.answers(to, s.call)
	case s.kind == 'a' && open:
		s.call.answer <- s.body
	case s.kind == 'c':
		if err := to.mover.Confirmed(from.epoch, s.body); err != nil {
			w.fail("RULE", "%v", err)
		}
	}
	w.settle()
}

// answers has a node answer a question.
func (w *movingWorld) answers(n *movingNode, c *call) {
	mover, epoch, asker := n.mover, n.epoch, w.nodes[c.from].epoch
	w.mu.Lock()
	w.working++
	w.mu.Unlock()
	go func() {
		body, err := mover.Answer(w.ctx, asker, c.body)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.working--
		if err == nil && n.up && n.epoch == epoch {
			w.control[c.to][c.from] = append(w.control[c.to][c.from], &said{kind: 'a', call: c, body: body})
		} else if err != nil && !errors.Is(err, moving.ErrUnanswered) && w.ctx.Err() == nil {
			panic(err)
		}
	}()
}

// lose has what a node says to another one be lost. A question is asked again.
func (w *movingWorld) lose(from, to *movingNode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := w.control[from.i][to.i]
	if len(q) == 0 {
		return
	}
	s := q[0]
	w.control[from.i][to.i] = q[1:]
	w.say("%c from %s is lost", s.kind, from.name())
	if s.kind != 'c' && w.calls[s.call] {
		c := s.call
		w.control[c.from][c.to] = append(w.control[c.from][c.to], &said{kind: 'q', call: c})
	}
}

// kill ends a node, and with it what only it has.
func (w *movingWorld) kill(n *movingNode) {
	if !n.up {
		return
	}
	w.killed = true
	w.say("%s is killed", n.name())
	w.exempts(ids(n.h.Contents(movingUser)))
	w.mu.Lock()
	n.up = false
	for i := range w.control {
		for _, s := range append(w.control[n.i][i], w.control[i][n.i]...) {
			if a, err := moving.ParseAnswer(s.body); s.kind == 'a' && err == nil {
				w.exempts(within(a.Memory))
			}
		}
		w.control[n.i][i], w.control[i][n.i] = nil, nil
	}
	for i := range w.links {
		for _, x := range w.links[i][n.i] {
			w.exempt[x.id] = true
		}
		w.links[i][n.i] = nil
		for _, x := range w.links[n.i][i] {
			w.exempt[x.id], w.loose = true, true
		}
		w.links[n.i][i] = nil
	}
	for c := range w.calls {
		if c.to == n.i || c.from == n.i {
			delete(w.calls, c)
		}
		if c.to == n.i {
			c.answer <- nil
		}
	}
	n.epoch = seal.Epoch{}
	w.mu.Unlock()
	for _, k := range w.conns {
		if k.node == n {
			k.set(func() { k.broken = syscall.ECONNRESET })
		}
	}
	w.stopNode(n)
	n.h = nil
	n.events = nil
	w.settle()
}

// quiesce ends all faults, waits until nothing is under way, and checks what has come.
func (w *movingWorld) quiesce() {
	w.say("--- faults end ---")
	c := &w.cl
	for _, n := range w.having() {
		if !n.up {
			w.arriveAll()
			w.start(n)
		}
	}
	for _, k := range w.conns {
		if k.evil || !k.open {
			k.fin = true
		}
	}
	for round := range 200 {
		w.arriveAll()
		for range 4 {
			for _, from := range w.having() {
				for _, to := range w.having() {
					w.hears(from, to)
				}
			}
		}
		for _, k := range slices.Clone(w.conns) {
			w.sread(k)
		}
		for _, n := range w.having() {
			w.write(n, 99)
		}
		w.read(99)
		if c.conn == nil {
			w.connect((1 + round) % w.holders)
			continue
		}
		n, k := c.conn.node, c.conn
		has, ok := n.h.Remembered(movingUser)
		quiet := len(w.calls) == 0 && w.working == 0
		for i := range w.control {
			for j := range w.control[i] {
				quiet = quiet && len(w.control[i][j]) == 0
			}
		}
		written := ok && has.Turn == k.turn && has.Connected && has.Waiting == 0
		if written && k.admitted && !k.over() && k.unread() == 0 && quiet {
			w.final(has)
			return
		}
	}
	w.fail("QUIET", "it does not come to rest")
}

func (w *movingWorld) arriveAll() {
	for i := range w.links {
		for j := range w.holders {
			for len(w.links[i][j]) > 0 {
				w.arrive(i, j)
			}
		}
	}
}

// final checks what the session got.
func (w *movingWorld) final(has hub.Remembered) {
	c := &w.cl
	got := make(map[int]bool)
	for _, x := range c.accepted {
		got[x.id] = true
	}
	if has.Written != c.received {
		w.fail("P6", "written %d, received %d", has.Written, c.received)
	}
	for id := 1; id <= w.last && !w.bound; id++ {
		switch {
		case got[id]:
		case w.offered[id] && !w.exempt[id]:
			w.fail("P3", "m%d was queued for the session and never came", id)
		case !w.killed && w.first >= 0 && id > w.first:
			w.fail("P3n", "m%d met no session on any node, though the session was remembered all the time", id)
		}
	}
}
