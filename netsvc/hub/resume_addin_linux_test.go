package hub_test

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// The add-in of a world, and the network.

func (w *modelWorld) newClient(sid int) {
	w.cl = &modelClient{sid: sid, session: sessionOf(sid), gen: w.key}
}

// sessionOf is the secret of a session.
func sessionOf(sid int) string { return fmt.Sprintf("%021dA", sid) }

func (w *modelWorld) packet(mode wire.Mode) *modelPacket {
	c := w.cl
	c.turn++
	p := &modelPacket{sid: c.sid, gen: c.gen, turn: c.turn, received: c.received, from: c.from, mode: mode}
	said := wire.Attributes{Session: c.session, Turn: p.turn, Received: p.received, From: p.from, Mode: mode}
	var err error
	p.bytes, err = wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib", UserID: strconv.Itoa(c.sid)}, modelKey(c.gen), said.List()...)
	if err != nil {
		panic(err)
	}
	if mode == wire.ModeEnd {
		w.ledger(c.sid).said = true
	}
	w.packets = append(w.packets, p)
	return p
}

func (w *modelWorld) connect() {
	c := w.cl
	if c.conn != nil {
		return
	}
	c.held = 0
	p := w.packet(wire.ModeOpen)
	if !w.up {
		return
	}
	k := w.newConn(false)
	c.conn, k.turn, k.client, c.stream = k, p.turn, p.gen, nil
	k.says(p)
	w.say("client connects c%d: turn %d received %d from %d key %d", k.id, p.turn, p.received, p.from, p.gen)
}

func (w *modelWorld) newConn(evil bool) *modelConn {
	k := &modelConn{pipe: newPipe(w.config.sendBuffer * w.unit), id: len(w.conns), evil: evil, up: true, down: true, open: true, acked: time.Now()}
	k.kernel = w.kernel
	k.onFrame = func(first []byte, size, at int) { w.begun(k, first, size, at) }
	if w.eager {
		k.credit = noBound
	}
	w.conns = append(w.conns, k)
	return k
}

// says sends a packet, in two parts.
func (k *modelConn) says(p *modelPacket) {
	k.packets = append(k.packets, p)
	middle := len(p.bytes) / 2
	k.toHub = append(k.toHub, p.bytes[:middle], p.bytes[middle:])
}

func (w *modelWorld) abandon(fin bool) {
	c := w.cl
	k := c.conn
	if k == nil {
		return
	}
	w.say("client gives up c%d, received %d", k.id, c.received)
	k.open, k.fin, k.arrived, c.conn, c.held = false, fin, nil, nil, 0
}

// read has the client read so many bytes of the model, until 1C refuses an event.
func (w *modelWorld) read(n int) {
	c := w.cl
	k := c.conn
	if k == nil {
		return
	}
	c.reading = k.turn
	for budget := n * w.unit; budget > 0 && len(k.arrived) > 0 && c.held == 0; {
		want := 4
		if len(c.stream) >= 4 {
			want = 4 + int(c.stream[0]) + int(c.stream[1])<<8 + int(c.stream[2])<<16
		}
		step := min(want-len(c.stream), budget, len(k.arrived))
		c.stream = append(c.stream, k.arrived[:step]...)
		k.arrived = k.arrived[step:]
		budget -= step
		if len(c.stream) == want && want > 4 {
			w.gets(k, c.stream)
			c.stream = nil
		}
	}
}

// gets is a whole frame.
func (w *modelWorld) gets(k *modelConn, frame []byte) {
	c := w.cl
	text, err := wire.ReadFrame(bytes.NewReader(frame), modelKey(k.client), 1<<20)
	if err != nil {
		w.fail("KEY", "a frame of %d bytes: %v", len(frame), err)
	}
	id, err := strconv.Atoi(strings.Trim(string(text), `{"topic:}x`))
	if err != nil || !bytes.Equal(frame, w.frame(id, k.client)) {
		w.fail("STREAM", "got %.60s", text)
	}
	if c.refusing {
		w.say("1C refuses m%d", id)
		c.held = id
		return
	}
	w.accept(id)
}

func (w *modelWorld) accept(id int) {
	c, l := w.cl, w.ledger(w.cl.sid)
	c.received++
	c.from = cmp.Or(c.reading, c.from)
	w.say("1C accepts m%d as number %d", id, c.received)
	for _, before := range l.accepted {
		if before == id {
			w.fail("P1", "m%d was accepted twice", id)
		}
	}
	if n := len(l.accepted); n > 0 && l.accepted[n-1] > id {
		w.fail("P2", "m%d came after m%d", id, l.accepted[n-1])
	}
	l.accepted = append(l.accepted, id)
	delete(l.frames, id)
	messagesAccepted.Add(1)
	if n := len(l.accepted); !l.again && len(l.bounds) == 0 && (n > len(l.offered) || l.offered[n-1] != id) {
		w.fail("P3", "m%d was accepted, offered were %v, and no bound was exceeded", id, l.offered)
	}
}

// begun takes note of a frame that begins to come into the send buffer of a connection.
func (w *modelWorld) begun(k *modelConn, first []byte, size, at int) {
	w.framesMu.Lock()
	defer w.framesMu.Unlock()
	for id := len(w.texts); id > 0 && k.has != 0; id-- {
		if bytes.HasPrefix(first[4:], w.frameLocked(id, k.gen)[4:24]) {
			w.ledger(k.has).frames[id] = &lastWritten{conn: k, start: at, size: size}
			return
		}
	}
}

// frame is a message as it comes under the key of a generation.
func (w *modelWorld) frame(id, gen int) []byte {
	w.framesMu.Lock()
	defer w.framesMu.Unlock()
	return w.frameLocked(id, gen)
}

func (w *modelWorld) frameLocked(id, gen int) []byte {
	if id < 1 || id > len(w.texts) {
		return nil
	}
	of := frameOf{id, gen}
	if w.frames[of] == nil {
		w.frames[of] = modelKey(gen).AppendFrame(nil, topic(w.texts[id-1]).AppendJSON(nil))
	}
	return w.frames[of]
}

// pick chooses a connection as the model does.
func (w *modelWorld) pick(o op) *modelConn {
	n := len(w.conns)
	at := n - 1 - o.x%min(3, n)
	if o.y%3 == 0 {
		at = o.x
	}
	return w.conns[at%n]
}

// sread has the hub read parts of packets.
func (w *modelWorld) sread(k *modelConn, n int) {
	for ; n > 0 && w.up && w.state == nil && k.up && !k.over(); n-- {
		switch {
		case len(k.toHub) > 0:
			if !k.admitted {
				k.admitted = true
				w.listen()
				w.ln.backlog <- k.pipe
				synctest.Wait()
			}
			part := k.toHub[0]
			k.toHub = k.toHub[1:]
			k.parts++
			if k.parts%2 == 0 {
				w.register(k, k.packets[k.parts/2-1], part)
				continue
			}
			k.set(func() { k.incoming = append(k.incoming, part...) })
			w.settle()
		case k.fin && k.admitted:
			k.set(func() { k.ended = true })
			w.settle()
			return
		case k.fin:
			k.set(func() { k.hungUp = true })
		default:
			return
		}
	}
}

// write lets the hub write.
func (w *modelWorld) write(k *modelConn, n int) {
	if w.eager || !w.up || w.state != nil || k.over() {
		return
	}
	k.set(func() { k.credit = n * w.unit })
	w.settle()
	k.set(func() { k.credit = 0 })
}

// deliver has bytes arrive at the client.
func (w *modelWorld) deliver(k *modelConn, n int) {
	k.mu.Lock()
	sent := len(k.sent)
	k.mu.Unlock()
	if !k.down || sent == 0 {
		return
	}
	if !k.open {
		if k.up && !k.over() && k.admitted {
			k.breaks(syscall.ECONNRESET)
		} else {
			k.set(func() { k.sent = nil })
		}
		w.settle() // there is room for more
		return
	}
	room := w.config.receiveBuffer*w.unit - len(k.arrived)
	if k.evil {
		room = noBound
	}
	k.set(func() {
		n := max(min(n*w.unit, len(k.sent), room), 0)
		if !k.evil {
			k.arrived = append(k.arrived, k.sent[:n]...)
		}
		k.sent = k.sent[n:]
	})
	w.settle()
}

// notice has the client see the end of its connection.
func (w *modelWorld) notice() {
	k := w.cl.conn
	if k == nil || !k.down || w.cl.held != 0 {
		return
	}
	if k.reset || k.over() && len(k.sent) == 0 && len(k.arrived) == 0 {
		w.abandon(true)
	}
}

// resets ends a connection, and what was on its way is lost.
func (w *modelWorld) resets(k *modelConn, why error) {
	k.reset = true
	if k.admitted {
		k.breaks(why)
	} else {
		k.set(func() { k.hungUp, k.sent = true, nil })
	}
	w.settle()
}

// sleeps has time go by.
func (w *modelWorld) sleeps(ticks int) {
	for range ticks {
		w.ticks(tick)
	}
}

func (w *modelWorld) ticks(d time.Duration) {
	time.Sleep(d)
	serves := w.up && w.state == nil
	for _, k := range w.conns {
		if k.over() {
			continue
		}
		if k.up && k.down && (k.open || k.evil) || !serves {
			k.acked = time.Now()
		}
	}
	if !serves {
		return
	}
	w.served0 += d
	for sid, l := range w.ledgers {
		m := w.mems[sid]
		for _, at := range l.frames {
			// One of an earlier connection waits to be sent again.
			if m != nil && at.conn == m.conn {
				at.age += d
				if at.age >= w.keptFor() && at.whole() {
					l.bounds["time"] = true
				}
			}
		}
	}
	w.settle()
	for _, k := range w.conns {
		if !k.over() && time.Since(k.acked) >= w.limits.PeerTimeout {
			w.say("c%d: peer_timeout", k.id)
			w.resets(k, syscall.ETIMEDOUT)
		}
	}
	for sid, m := range w.mems {
		if away := w.served0 - m.since; m.conn == nil && away > w.limits.ResumeWindow+w.slack()+tick {
			w.fail("P3", "session %d has been away for %v and is remembered", sid, away)
		}
	}
	for sid, g := range w.graves {
		if w.served0 >= g.until+w.slack() {
			delete(w.graves, sid)
			w.ledger(sid).left = false
		}
	}
}
