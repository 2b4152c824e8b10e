package hub

import (
	"maps"
	"slices"
	"testing"
)

// waitingFrame is a frame of that many bytes, of a message that never ends.
func waitingFrame(size int) *frame {
	d := &delivery{}
	d.open.Store(publishing)
	return &frame{key: &key{tenant: &tenant{budget: new(budget)}}, delivery: d, bytes: make([]byte, size)}
}

// TestAQueueThatIsNeverEmptyDoesNotGrow: a peer may always be a frame behind.
func TestAQueueThatIsNeverEmptyDoesNotGrow(t *testing.T) {
	t.Parallel()
	var o outbox
	f := waitingFrame(400)
	o.put(f, 1<<20)
	o.begin()
	for range 10_000 {
		o.put(f, 1<<20)
		o.advance(len(o.gather(nil, false)), 0, nil)
		if o.waiting() != len(f.bytes) {
			t.Fatalf("%d bytes wait, want those of one frame", o.waiting())
		}
	}
	if cap(o.queue) > 10*keptQueueSlots {
		t.Fatalf("room for %d frames, for one", cap(o.queue))
	}
}

// TestWhoWritesAnOutbox goes through the table of outbox.
func TestWhoWritesAnOutbox(t *testing.T) {
	t.Parallel()
	const size, full = 10, 15
	f := waitingFrame(size)
	make := map[outboxState]func(*outbox){
		outIdle:    func(o *outbox) {},
		outListed:  func(o *outbox) { o.put(f, full) },
		outWriting: func(o *outbox) { o.put(f, full); o.begin() },
		outBlocked: func(o *outbox) { o.put(f, full); o.begin(); o.gather(nil, false); o.advance(1, 0, nil); o.block() },
		outDropped: func(o *outbox) { o.put(f, full); o.begin(); o.drop() },
	}
	put := func(o *outbox) any { return o.put(f, 10*full) }
	putMore := func(o *outbox) any { return o.put(f, full) }
	begin := func(o *outbox) any { return o.begin() }
	gather := func(o *outbox) any { return len(o.gather(nil, false)) }
	gatherFrozen := func(o *outbox) any { return len(o.gather(nil, true)) }
	gatherAll := func(o *outbox) any { o.advance(len(o.gather(nil, false)), 0, nil); return len(o.gather(nil, false)) }
	block := func(o *outbox) any { o.block(); return nil }
	pass := func(o *outbox) any { return o.pass() }
	passAll := func(o *outbox) any { o.advance(len(o.gather(nil, false)), 0, nil); return o.pass() }
	drop := func(o *outbox) any { return o.drop() }
	for _, c := range []struct {
		from   outboxState
		name   string
		do     func(*outbox) any
		says   any
		to     outboxState
		frames int // left in the queue
	}{
		{outIdle, "put", put, wakeable, outListed, 1},
		{outListed, "put", put, queued, outListed, 2},
		{outWriting, "put", put, queued, outWriting, 2},
		{outBlocked, "put", put, queued, outBlocked, 2},
		{outDropped, "put", put, notFor, outDropped, 0},
		{outIdle, "put, though it is larger than the queue", func(o *outbox) any { return o.put(f, 1) }, wakeable, outListed,
			1},
		{outListed, "put into a full one", putMore, crowded, outListed, 1},
		{outWriting, "put into a full one", putMore, crowded, outWriting, 1},
		{outBlocked, "put into a full one", putMore, tooSlow, outBlocked, 1},
		{outDropped, "put into a full one", putMore, notFor, outDropped, 0},
		{outIdle, "begin", begin, false, outIdle, 0},
		{outListed, "begin", begin, true, outWriting, 1},
		{outWriting, "begin", begin, false, outWriting, 1},
		{outBlocked, "begin", begin, false, outBlocked, 1},
		{outDropped, "begin", begin, false, outDropped, 0},
		{outWriting, "gather", gather, size, outWriting, 1},
		{outBlocked, "gather", gather, size - 1, outBlocked, 1},
		{outDropped, "gather", gather, 0, outDropped, 0},
		{outWriting, "gather when frozen", gatherFrozen, 0, outIdle, 1},
		{outBlocked, "gather when frozen", gatherFrozen, 0, outIdle, 1},
		{outWriting, "gather until all is written", gatherAll, 0, outIdle, 0},
		{outBlocked, "gather until all is written", gatherAll, 0, outIdle, 0},
		{outWriting, "block", block, nil, outBlocked, 1},
		{outDropped, "block", block, nil, outDropped, 0},
		{outWriting, "pass", pass, true, outListed, 1},
		{outBlocked, "pass", pass, true, outListed, 1},
		{outDropped, "pass", pass, false, outDropped, 0},
		{outWriting, "pass when all is written", passAll, false, outIdle, 0},
		{outBlocked, "pass when all is written", passAll, false, outIdle, 0},
		{outIdle, "drop", drop, false, outDropped, 0},
		{outListed, "drop", drop, true, outDropped, 0},
		{outWriting, "drop", drop, false, outDropped, 0},
		{outBlocked, "drop", drop, false, outDropped, 0},
	} {
		var o outbox
		make[c.from](&o)
		if o.state != c.from {
			t.Fatalf("the outbox is %d, want %d", o.state, c.from)
		}
		says := c.do(&o)
		if says != c.says || o.state != c.to || len(o.queue)-o.head != c.frames {
			t.Errorf("%d, %s: says %v, is %d with %d frames; want %v, %d with %d",
				c.from, c.name, says, o.state, len(o.queue)-o.head, c.says, c.to, c.frames)
		}
	}
	if states := slices.Sorted(maps.Keys(make)); len(states) != int(outDropped)+1 {
		t.Errorf("states %v are gone through", states)
	}
}

// TestWhatIsBeingWrittenAsTheSessionEndsIsCounted: a frame is delivered or lost, whenever
// the session ends.
func TestWhatIsBeingWrittenAsTheSessionEndsIsCounted(t *testing.T) {
	t.Parallel()
	const size, frames, gathered = 10, 5, 3
	for _, c := range []struct {
		name                      string
		written, delivered, ended int
	}{
		{"nothing of it", 0, 0, 0},
		{"less than a frame", 4, 0, 0},
		{"a frame and a half", 15, 1, 1},
		{"all", gathered * size, gathered, gathered},
	} {
		var o outbox
		tenant := &tenant{budget: new(budget)}
		deliveries := [frames]delivery{}
		for i := range deliveries {
			deliveries[i].open.Store(1)
			o.put(&frame{key: &key{tenant: tenant}, delivery: &deliveries[i], bytes: make([]byte, size)}, 1<<20)
		}
		o.begin()
		o.gather(make([]byte, 0, gathered*size), false)
		o.drop()
		for i, want := range [frames]int64{1, 1, 1, 0, 0} {
			if open := deliveries[i].open.Load(); open != want {
				t.Errorf("%s: message %d has %d open copies at the end of the session, want %d", c.name, i, open, want)
			}
		}
		delivered, ended := o.advance(c.written, 0, nil)
		if delivered != c.delivered || len(ended) != c.ended || o.delivered != uint64(c.delivered) ||
			tenant.counters.delivered.Load() != uint64(c.delivered) {
			t.Errorf("%s: %d frames delivered (%d by the app's count), %d messages ended; want %d, %d",
				c.name, delivered, tenant.counters.delivered.Load(), len(ended), c.delivered, c.ended)
		}
		for i := range deliveries {
			if open := deliveries[i].open.Load(); open != 0 {
				t.Errorf("%s: message %d has %d open copies, in nobody's queue", c.name, i, open)
			}
		}
		if o.queue != nil || o.waiting() != 0 || o.gather(nil, false) != nil {
			t.Errorf("%s: %d frames are left", c.name, len(o.queue)-o.head)
		}
	}
}

// TestAQueueWhoseFramesAreDroppedGivesItsRoomBack: those under another key, before anybody has
// come to write them.
func TestAQueueWhoseFramesAreDroppedGivesItsRoomBack(t *testing.T) {
	t.Parallel()
	var o outbox
	for range 100 {
		o.put(waitingFrame(400), 1<<20)
	}
	o.dropForeign(new(key))
	if n := o.takes(); n != 0 || o.waiting() != 0 {
		t.Errorf("%d bytes wait in %d", o.waiting(), n)
	}
	if o.begin(); o.gather(nil, false) != nil || o.state != outIdle {
		t.Error("there is something to write")
	}
}

// TestASessionThatIsListedIsNotListedAgain: neither is one that somebody writes.
func TestASessionThatIsListedIsNotListedAgain(t *testing.T) {
	t.Parallel()
	var o outbox
	if o.list() {
		t.Error("an empty one is to be written")
	}
	o.restore([]*frame{waitingFrame(400)}, 0)
	o.state = outIdle
	if !o.list() || o.list() {
		t.Errorf("it is %d", o.state)
	}
	o.begin()
	if o.list() || o.state != outWriting {
		t.Errorf("it is %d", o.state)
	}
}
