package app

import (
	"cmp"
	"context"
	"sync"
)

// gate lets in one writer at a time, as long as it is open. Unlike most locks the
// turn is held while the disk works and while Changed is called: that is what makes
// the order on disk, in memory and in Changed the same. A disk may stall, so nobody
// has to wait for the turn for ever: shutting the gate sends away those who wait for
// it, and abandoning frees the caller of the one who has it.
type gate struct {
	turn chan struct{} // full while somebody has the turn

	mu        sync.Mutex
	why       error         // nil while the gate is open
	shut      chan struct{} // closed while the gate is shut
	abandoned chan struct{} // closed from abandon until the gate is opened

	enlisted int           // changes under way that do without the turn for a time
	idle     chan struct{} // closed while there are none
}

func newGate() *gate {
	g := &gate{
		turn:      make(chan struct{}, 1),
		shut:      make(chan struct{}),
		abandoned: make(chan struct{}),
		idle:      make(chan struct{}),
	}
	close(g.idle)
	return g
}

// enter waits for the turn, and returns what is closed once the caller is not to
// wait any longer for what it does in it. The error is why the gate is shut; then
// the turn is not the caller's.
func (g *gate) enter() (abandoned <-chan struct{}, err error) {
	g.mu.Lock()
	why, shut, abandoned := g.why, g.shut, g.abandoned
	g.mu.Unlock()
	if why != nil {
		return nil, why
	}
	select {
	case g.turn <- struct{}{}:
	case <-shut:
		// It may be open again already; who was sent away stays so.
		return nil, cmp.Or(g.reason(), ErrHandingOver)
	}
	if why := g.reason(); why != nil {
		g.leave()
		return nil, why
	}
	return abandoned, nil
}

// take waits for the turn although the gate may be shut. The error is that of ctx.
func (g *gate) take(ctx context.Context) error {
	select {
	case g.turn <- struct{}{}:
		return nil
	default: // a ctx that has ended does not refuse a turn that is free
	}
	select {
	case g.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave ends the turn.
func (g *gate) leave() { <-g.turn }

// close shuts the gate. Those who wait before it and those who come fail with why.
func (g *gate) close(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shutFor(why)
}

func (g *gate) shutFor(why error) {
	g.why = why
	closeOnce(g.shut)
}

// abandon shuts the gate for why, and frees whoever waits for what is done in the
// turn.
func (g *gate) abandon(why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shutFor(why)
	closeOnce(g.abandoned)
}

// open lets in writers again.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = nil
	if isClosed(g.shut) {
		g.shut = make(chan struct{})
	}
	// A change that began before and still goes on waits for this very channel,
	// so it is made anew only when it has told its story.
	if isClosed(g.abandoned) {
		g.abandoned = make(chan struct{})
	}
}

// reason is why the gate is shut; nil if it is open.
func (g *gate) reason() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// enlist lets in a change that first does without the turn, and takes it later whether or
// not the gate is shut by then. It returns what enter returns.
func (g *gate) enlist() (abandoned <-chan struct{}, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why != nil {
		return nil, g.why
	}
	if g.enlisted == 0 {
		g.idle = make(chan struct{})
	}
	g.enlisted++
	return g.abandoned, nil
}

// discharge says that a change which was enlisted has ended.
func (g *gate) discharge() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.enlisted--; g.enlisted == 0 {
		close(g.idle)
	}
}

// discharged waits until no change is enlisted. The error is that of ctx.
func (g *gate) discharged(ctx context.Context) error {
	g.mu.Lock()
	idle := g.idle
	g.mu.Unlock()
	if isClosed(idle) { // also when ctx has ended
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closeOnce closes an event that may have come already; a lock must keep others off.
func closeOnce(event chan struct{}) {
	if !isClosed(event) {
		close(event)
	}
}

func isClosed(event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	default:
		return false
	}
}

// outcome is what became of work.
type outcome[T any] struct {
	value T
	err   error
}

// inTurn waits for the turn and then for work, which is done in a goroutine of its
// own: it goes on, and keeps the turn, when the caller is not to wait any longer and
// gets left. The error may also be why the gate is shut; then work was not begun.
func inTurn[T any](g *gate, left error, work func() (T, error)) (T, error) {
	var none T
	abandoned, err := g.enter()
	if err != nil {
		return none, err
	}
	return await(begin(g, work), abandoned, left)
}

// await waits for an outcome, or until the caller is not to wait any longer and gets left.
func await[T any](done <-chan outcome[T], abandoned <-chan struct{}, left error) (T, error) {
	var none T
	select {
	case o := <-done:
		return o.value, o.err
	case <-abandoned:
	}
	select {
	case o := <-done: // both at once: it is known how it went
		return o.value, o.err
	default:
		return none, left
	}
}

// begin does work in a goroutine that ends the turn, which is the caller's so far.
func begin[T any](g *gate, work func() (T, error)) <-chan outcome[T] {
	done := make(chan outcome[T], 1)
	go func() {
		value, err := work()
		g.leave()
		done <- outcome[T]{value, err}
	}()
	return done
}
