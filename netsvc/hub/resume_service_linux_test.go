package hub_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// What the service has to make of a registration and of a message, and the steps of a schedule.

// verdicts on a packet
const (
	packetRefused = "is refused"
	packetStale   = "is stale"
	packetOpens   = "begins a session"
	packetResumes = "resumes a session"
	packetAgain   = "changes a session"
	packetEnds    = "ends a session"
)

// expected is what the rules of protocol.md section 4.4 make of a packet.
func (w *modelWorld) expected(k *modelConn, p *modelPacket) string {
	m := w.mems[p.sid]
	grave, buried := w.graves[p.sid]
	switch {
	case p.gen != w.key && p.gen != w.oldKey:
		return packetRefused
	case buried && p.turn <= grave.turn, m != nil && p.turn <= m.turn:
		return packetStale
	case p.mode == wire.ModeAgain && (m == nil || m.conn != k):
		return packetStale
	case p.mode == wire.ModeEnd:
		return packetEnds
	case m != nil && m.conn == k && p.gen != k.gen:
		return packetStale
	case m != nil && m.conn == k:
		return packetAgain
	case m != nil:
		return packetResumes
	}
	return packetOpens
}

// register has the hub read the last part of a packet, and checks what it makes of it.
func (w *modelWorld) register(k *modelConn, p *modelPacket, part []byte) {
	want := w.expected(k, p)
	if grave, buried := w.graves[p.sid]; buried && want == packetStale && w.served0 >= grave.until && w.mems[p.sid] == nil {
		want = "" // forgotten at about this moment: let us see
	}
	w.say("c%d: turn %d received %d from %d of session %d %s", k.id, p.turn, p.received, p.from, p.sid, want)
	if want != packetRefused && want != packetStale && want != "" {
		w.applies(k, p, want)
	}
	k.set(func() { k.incoming = append(k.incoming, part...) })
	synctest.Wait()
	got := ""
	w.eventsMu.Lock()
	for _, e := range w.events {
		switch {
		case e.Kind == hub.RegistrationRefused && e.Reason == string(hub.ReasonStale):
			got = packetStale
		case e.Kind == hub.RegistrationRefused:
			got = packetRefused
		case e.Kind == hub.SessionResumed:
			got = packetResumes
		case e.Kind == hub.SessionOpened, e.Kind == hub.SessionChanged:
			got = packetOpens
			if want == packetAgain {
				got = packetAgain
			}
		}
	}
	w.eventsMu.Unlock()
	if got == "" && k.over() {
		got = packetEnds
	}
	if want == "" {
		if want = got; got == packetOpens || got == packetEnds {
			delete(w.graves, p.sid)
			w.ledger(p.sid).left = false
			w.applies(k, p, want)
		}
	}
	if got != want {
		property := "RULE"
		switch {
		case w.ledger(p.sid).left && got == packetOpens:
			property = "P7"
		case want == packetStale && got == packetResumes:
			property = "P5"
		}
		w.fail(property, "turn %d of session %d on c%d %s, and should be one that %s", p.turn, p.sid, k.id, got, want)
	}
	w.settle()
}

// applies takes note of a packet that the service has to take.
func (w *modelWorld) applies(k *modelConn, p *modelPacket, what string) {
	c, m, l := w.cl, w.mems[p.sid], w.ledger(p.sid)
	if k.has != 0 && k.has != p.sid {
		left := w.mems[k.has]
		left.conn, left.since = nil, w.served0
		k.has = 0
	}
	copied := func(also bool) bool {
		return k.evil && c.sid == p.sid && (p.turn == c.from || p.turn == c.reading || also && c.conn != nil && c.conn.turn == p.turn)
	}
	switch what {
	case packetEnds:
		if m != nil && !l.said {
			w.fail("P3", "session %d is ended by a goodbye that its client never said", p.sid)
		}
		if m != nil {
			m.turn = p.turn
			w.forget(p.sid, "goodbye")
		}
		l.left = true
		w.graves[p.sid] = modelGrave{p.turn, w.served0 + w.limits.ResumeWindow}
	case packetAgain:
		m.turn = p.turn
		if k.evil {
			k.freed = true
			if l.again {
				l.bounds["copied"] = true
			}
		}
	case packetOpens:
		if len(l.offered) > 0 || len(l.bounds) > 0 {
			l.offered, l.again = nil, true
			clear(l.bounds)
		}
		clear(l.frames)
		if copied(true) {
			l.bounds["copied"] = true
		}
		w.mems[p.sid] = &modelMemory{turn: p.turn, conn: k, last: k}
	case packetResumes:
		if w.cutByBytes(m, l) {
			l.bounds["bytes"] = true
		}
		if l.again && copied(false) {
			l.bounds["copied"] = true
		}
		if m.conn != nil {
			m.conn.has = 0
			w.say("c%d is replaced", m.conn.id)
		}
		m.turn, m.conn, m.last = p.turn, k, k
	}
	if what != packetEnds {
		k.has, k.gen = p.sid, p.gen
	}
}

// cutByBytes reports whether resume_bytes allows that a frame is kept no longer: it and those that were begun after it on
// the last connection are more bytes, and more were written after it than the send buffer holds.
func (w *modelWorld) cutByBytes(m *modelMemory, l *ledger) bool {
	begun := 0 // up to here
	for _, at := range l.frames {
		if at.conn == m.last {
			begun = max(begun, at.start+at.size, at.conn.passed)
		}
	}
	for _, at := range l.frames {
		if at.conn == m.last && begun-at.start > w.limits.ResumeBytes && at.conn.passed-at.start-at.size >= 2*at.conn.capped+16<<10 {
			return true
		}
	}
	return false
}

// waiting is the size of what was offered to a session and never written.
func (w *modelWorld) waiting(l *ledger) (frames, size int) {
	for _, id := range l.offered {
		if l.frames[id] == nil && !slices.Contains(l.accepted, id) && !slices.Contains(l.missed, id) {
			frames++
			size += len(w.frame(id, w.key))
		}
	}
	return frames, size
}

func (w *modelWorld) listed(sid int) hub.Session {
	page, err := w.h.Sessions(hub.Query{UserID: strconv.Itoa(sid)})
	if err != nil || len(page.Sessions) != 1 {
		w.fail("P3", "session %d is remembered, and the hub lists %d: %v", sid, len(page.Sessions), err)
	}
	return page.Sessions[0]
}

// post sends a message to all, whose size is so many bytes of the model.
func (w *modelWorld) post(size int) {
	if !w.up || w.state != nil || len(w.mems) == 0 {
		return
	}
	id := len(w.texts) + 1
	w.framesMu.Lock()
	w.texts = append(w.texts, fmt.Sprintf("%06d", id)+strings.Repeat("x", max(size*w.unit-42, 0)))
	w.framesMu.Unlock()
	bytes := len(w.frame(id, w.key))
	type before struct {
		frames, size, going int
		missed              uint64
		away                bool
	}
	all := make(map[int]before)
	for sid, m := range w.mems {
		l := w.ledger(sid)
		if sid != w.cl.sid && len(l.accepted) == 0 && len(l.offered) == 0 {
			l.bounds["ghost"] = true
		}
		b := before{missed: w.listed(sid).Missed, away: m.conn == nil}
		b.frames, b.size = w.waiting(l)
		has, _ := w.h.Remembered(strconv.Itoa(sid))
		for _, f := range has.Going {
			b.going += len(f)
		}
		all[sid] = b
	}
	reach := w.h.Send(appID, toAll("ib"), topic(w.texts[id-1]))
	want := hub.Reach{}
	synctest.Wait()
	for sid, b := range all {
		l := w.ledger(sid)
		l.offered = append(l.offered, id)
		if w.listed(sid).Missed == b.missed {
			want.Sessions++
			if b.away {
				want.Waiting++
			}
			if b.frames > 0 && b.size+bytes > w.limits.QueueBytes {
				w.fail("QUEUE", "m%d is queued for session %d, for which %d bytes waited", id, sid, b.size)
			}
			continue
		}
		w.say("m%d is missed by session %d", id, sid)
		if b.size+b.going+bytes <= w.limits.QueueBytes {
			w.fail("P3", "session %d missed m%d of %d bytes, when %d waited for it", sid, id, bytes, b.size)
		}
		l.missed = append(l.missed, id)
		l.bounds["queue"] = true
	}
	if reach != want {
		w.fail("P3", "m%d reached %+v, and should have reached %+v", id, reach, want)
	}
	w.say("m%d (%d bytes) reaches %+v", id, bytes, reach)
	w.settle()
}

func (w *modelWorld) step(o op) {
	c := w.cl
	var k *modelConn
	if len(w.conns) > 0 {
		k = w.pick(o)
	}
	switch o.name {
	case "post":
		w.post(1 + o.x%w.config.largest)
	case "connect":
		w.connect()
	case "read":
		w.read(1 + o.x%9)
	case "notice":
		w.notice()
	case "tick":
		w.sleeps(1 + o.x%3)
	case "sleep":
		w.sleeps(3 + o.x%12)
	case "abandon":
		w.abandon(o.x&1 == 1)
	case "flow":
		w.flow(9, 20)
	case "rereg":
		if c.conn != nil {
			c.conn.says(w.packet(wire.ModeAgain))
			w.say("client registers again on c%d, turn %d, received %d", c.conn.id, c.turn, c.received)
		}
	case "bye":
		if c.conn != nil {
			c.conn.says(w.packet(wire.ModeEnd))
			w.leaves(true)
		}
	case "restart":
		w.leaves(o.x&1 == 1)
	case "refuse":
		c.refusing = !c.refusing
		w.acceptHeld()
	case "replay":
		w.replay(o)
	case "kill", "start", "freeze", "thaw", "kick", "evict", "rotate", "grace", "newkey":
		w.govern(o)
	default:
		if k != nil {
			w.network(o, k)
		}
	}
}

// leaves has the client end, and another one begin.
func (w *modelWorld) leaves(fin bool) {
	w.say("client of session %d ends", w.cl.sid)
	if k := w.cl.conn; k != nil {
		k.open, k.fin, k.arrived = false, fin, nil
	}
	w.newClient(w.cl.sid + 1)
}

func (w *modelWorld) acceptHeld() {
	if id := w.cl.held; id != 0 && !w.cl.refusing {
		w.cl.held = 0
		w.accept(id)
	}
}

// replay is somebody who plays packets again.
func (w *modelWorld) replay(o op) {
	if len(w.packets) == 0 || !w.up {
		return
	}
	q := w.newConn(true)
	q.says(w.packets[o.x%len(w.packets)])
	if o.y&1 == 1 {
		q.says(w.packets[o.y%len(w.packets)])
	}
	w.say("packets of sessions are played again on c%d", q.id)
	if o.y&2 != 0 {
		w.sread(q, 9)
	}
}

// network is a step of what is between the two.
func (w *modelWorld) network(o op, k *modelConn) {
	switch o.name {
	case "sread":
		w.sread(k, 1+o.x%5)
	case "write":
		w.write(k, 1+o.x%9)
	case "deliver":
		w.deliver(k, 1+o.x%9)
	case "stall":
		if o.x&1 == 1 {
			k.up = !k.up
		} else {
			k.down = !k.down
		}
		w.say("c%d: up %t, down %t", k.id, k.up, k.down)
	case "stall2":
		k.up = !(k.up || k.down)
		k.down = k.up
		w.say("c%d: up and down %t", k.id, k.up)
	case "rst":
		if !k.over() && k.up && k.down {
			w.say("c%d is reset", k.id)
			w.resets(k, syscall.ECONNRESET)
		}
	case "evilend":
		if k.evil {
			k.fin = true
		}
	}
}

// govern is what befalls the service.
func (w *modelWorld) govern(o op) {
	c := w.cl
	serves := w.up && w.state == nil
	m := w.mems[c.sid]
	switch o.name {
	case "kill":
		if w.up {
			w.kill(o.x&1 == 1)
		}
	case "start":
		if !w.up {
			w.say("service starts")
			w.begin()
		}
	case "freeze":
		if serves {
			w.say("hand-over begins")
			w.deaf()
			began := time.Now()
			w.state = w.h.HandOver()
			if took := time.Since(began); took > 0 {
				w.fail("RULE", "a hand-over waits for %v, and so does whoever sends", took)
			}
		}
	case "thaw":
		if w.state != nil {
			w.thaw(o.x%3 == 0)
		}
	case "kick", "evict":
		if m == nil || !serves || o.name == "evict" && m.conn != nil {
			return
		}
		id := w.listed(c.sid).ID
		w.forget(c.sid, o.name)
		w.h.CloseSession(id, time.Time{})
		w.settle()
		if m.conn != nil && !m.conn.over() {
			w.fail("RULE", "c%d of a session that was kicked is open", m.conn.id)
		}
	case "rotate":
		if w.up && w.oldKey == 0 {
			w.oldKey = w.key
			w.key++
			w.say("key %d, %d in grace", w.key, w.oldKey)
			w.setApp()
			w.settle()
		}
	case "grace":
		if w.oldKey == 0 || w.state != nil {
			return
		}
		for _, sid := range slices.Sorted(maps.Keys(w.mems)) {
			if m := w.mems[sid]; m.conn != nil && m.conn.gen == w.oldKey {
				w.forget(sid, "key")
			}
		}
		w.say("grace of key %d ends", w.oldKey)
		w.oldKey = 0
		if w.up {
			w.setApp()
			w.settle()
		}
	case "newkey":
		if c.conn == nil {
			c.gen = w.key
		}
	}
}

// kill ends the process: nothing is said to anybody, and what was written travels on, or is lost.
func (w *modelWorld) kill(drop bool) {
	w.say("service killed")
	for _, sid := range slices.Sorted(maps.Keys(w.mems)) {
		w.forget(sid, "kill")
	}
	for _, k := range w.conns {
		if k.has = 0; !k.over() {
			k.reset = drop
			k.set(func() {
				k.broken = syscall.ECONNRESET
				if drop {
					k.sent = nil
				}
			})
		}
	}
	clear(w.graves)
	for _, l := range w.ledgers {
		l.left = false
	}
	w.deaf()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	w.h.Shutdown(gone)
	w.up, w.state = false, nil
	w.events = nil
}

// thaw ends a hand-over: another process goes on, or the same.
func (w *modelWorld) thaw(same bool) {
	state := w.state
	w.state = nil
	if same {
		w.say("service goes on")
		w.h.TakeBack()
	} else {
		w.say("another process goes on")
		came, old := journey(w.t, state), w.h
		w.begin()
		w.h.TakeOver(came)
		old.Shutdown(context.Background())
	}
	w.settle()
}

// flow has everything go on for a while.
func (w *modelWorld) flow(parts, bytes int) {
	for _, k := range w.conns {
		w.sread(k, parts)
		w.write(k, bytes)
		w.deliver(k, bytes)
	}
	w.read(bytes)
	w.notice()
}

// quiesce ends all faults, waits until nothing is under way, and checks what has come.
func (w *modelWorld) quiesce() {
	w.say("--- faults end ---")
	c := w.cl
	if w.state != nil {
		w.thaw(false)
	}
	if !w.up {
		w.begin()
	}
	c.refusing = false
	w.acceptHeld()
	if c.conn == nil {
		c.gen = w.key
	}
	w.eager = true
	for _, k := range w.conns {
		k.up, k.down = true, true
		if k.evil {
			k.fin = true
		}
		k.set(func() { k.credit = noBound })
	}
	w.settle()
	for range 300 {
		w.flow(20, 50)
		if k := c.conn; k != nil && k.over() && len(k.sent) == 0 && len(k.arrived) == 0 {
			w.abandon(true)
		}
		if c.conn == nil {
			if c.gen != w.key && c.gen != w.oldKey {
				c.gen = w.key
			}
			w.connect()
			continue
		}
		m, k := w.mems[c.sid], c.conn
		if m != nil && m.conn == k && w.listed(c.sid).Queued == 0 && len(k.sent) == 0 && len(k.arrived) == 0 && len(k.toHub) == 0 {
			w.final()
			return
		}
	}
	w.fail("QUIET", "it does not come to rest")
}

// final checks what the session got.
func (w *modelWorld) final() {
	c, l := w.cl, w.ledger(w.cl.sid)
	lost := 0
	for _, id := range l.offered {
		if !slices.Contains(l.accepted, id) {
			lost++
		}
	}
	stated := true // all the bounds that were exceeded are such that what is missed is counted
	for why := range l.bounds {
		stated = stated && slices.Contains([]string{"queue", "bytes", "time"}, why)
	}
	missed := int(w.listed(c.sid).Missed)
	has, _ := w.h.Remembered(strconv.Itoa(c.sid))
	switch {
	case lost > 0 && len(l.bounds) == 0:
		w.fail("P3", "offered %v, accepted %v, no bound was exceeded", l.offered, l.accepted)
	case has.Written != c.received:
		w.fail("P6", "written %d, received %d", has.Written, c.received)
	case stated && lost != missed:
		w.fail("P4", "lost %d, missed %d (%v)", lost, missed, l.bounds)
	}
}
