package netsvc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/listen"
)

// This file is the process that hands over: O in the drawings of handover.go. The numbers
// in its comments are theirs.

// Reasons to refuse an upgrade, beside those of the successor.
var (
	errUpgradeRuns = errors.New("an upgrade is under way already")
	errEnding      = errors.New("this service is being stopped")
	errBusyDisk    = errors.New("a change of an app waits for the disk: try again when it is done")
	errNotFrozen   = errors.New("requests under way did not come to their end")
)

// maxCommitAge is how long a change may have waited for the disk when an upgrade begins.
const maxCommitAge = 200 * time.Millisecond

// hander hands the sessions of a server over.
type hander struct {
	server *Server
	*Succession

	mu      sync.Mutex
	ending  bool                    // no upgrade begins any more
	upgrade context.CancelCauseFunc // stops the upgrade under way; nil: there is none
	ended   chan struct{}           // closed when that has come to its end
	taken   chan struct{}           // closed when a successor owns the sessions
	isTaken bool

	// Of the attempt under way; one at a time.
	goesOn  bool                // the successor will be the same node of the cluster
	ends    bool                // nobody will be the node: the service is stopped
	cluster *cluster.HandedOver // nil: there is no node
}

func newHander(s *Server) *hander {
	return &hander{server: s, Succession: s.options.Succession, taken: make(chan struct{})}
}

// Upgrade hands over to the program on disk. It returns when that has begun: what can be
// refused is refused before, and nothing has happened then. The record of the hand-over
// with this id says what came of it.
func (h *hander) Upgrade(ctx context.Context) (id string, err error) {
	u, err := h.begin()
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { u.cancel(context.Cause(ctx)) }) // who asked has gone
	err = u.prepare()
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		u.giveUp()
		u.finished()
		return "", err
	}
	go func() {
		defer u.finished()
		u.handOver()
	}()
	return u.record.ID, nil
}

// upgrade is one attempt to hand over to a successor.
type upgrade struct {
	*hander
	ctx    context.Context // ends when the service is to be stopped
	cancel context.CancelCauseFunc
	next   *successor
	passed map[uint64]bool // connections that the successor has
	record control.Handover
}

func (h *hander) begin() (*upgrade, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.server
	switch {
	case h.ending || h.isTaken:
		return nil, errEnding
	case h.upgrade != nil:
		return nil, errUpgradeRuns
	case s.apps.Unavailable() != nil:
		return nil, fmt.Errorf("%w: a restart hands the sessions over, an upgrade cannot", app.ErrUnavailable)
	case s.apps.CommitAge() > maxCommitAge:
		return nil, errBusyDisk
	}
	u := &upgrade{hander: h, passed: make(map[uint64]bool)}
	u.ctx, u.cancel = context.WithCancelCause(context.Background())
	u.record = control.Handover{ID: rand.Text(), Way: control.WayUpgrade, FromVersion: s.options.Version,
		FromPID: os.Getpid()}
	h.upgrade, h.ended = u.cancel, make(chan struct{})
	return u, nil
}

// finished lets another upgrade begin.
func (u *upgrade) finished() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.cancel(nil)
	u.upgrade = nil
	close(u.ended)
}

// stop ends an upgrade that is under way: until the successor owns the sessions, this
// process takes them back. It reports whether a successor owns them.
func (h *hander) stop() (taken bool) {
	h.mu.Lock()
	h.ending = true
	cancel, ended := h.upgrade, h.ended
	h.mu.Unlock()
	if cancel != nil {
		cancel(errEnding)
		<-ended
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.isTaken
}

// prepare does steps 1 to 4: all of them while the sessions are served.
func (u *upgrade) prepare() (err error) {
	s := u.server
	if err := u.check(u.ctx); err != nil {
		return err
	}
	until := time.Now().Add(u.deadlines.Hello)
	if u.next, err = u.spawn(until); err != nil {
		return err
	}
	u.record.ToPID = u.next.process.Pid
	s.http.Leaving(true) // a while before the freeze
	greeting := word{Say: sayGreeting, Format: documentFormat, Version: s.options.Version, Identity: s.apps.Identity(),
		Node: s.membership.identity()}
	files := []syscall.Conn{u.next.turnOut}
	s.shutControl(true) // the successor has the one of now
	saved, sockets := s.sockets()
	greeting.Sockets = saved
	u.next.link.SetDeadline(until)
	// hear says why it ended
	if err := say(u.next.link, greeting, append(files, sockets...)...); err != nil && !isEnd(err) {
		return fmt.Errorf("%s: %w", u.program, err)
	}
	hello, err := u.hear(sayHello, until)
	if err != nil {
		return fmt.Errorf("%s cannot take over: %w", u.program, err)
	}
	u.record.ToVersion = hello.Version
	u.goesOn = hello.Node != ""
	if err := u.passEarly(hello.Limit); err != nil {
		return err
	}
	s.membership.aboutToHandOver()
	if err := u.at("U.O.gate"); err != nil {
		return err
	}
	if err := u.closeGate(); err != nil {
		return errBusyDisk
	}
	return context.Cause(u.ctx)
}

// spawn starts the successor (1). One that is started too late is ended again.
func (u *upgrade) spawn(until time.Time) (*successor, error) {
	return bounded(until, func() (*successor, error) {
		if err := u.at("U.O.spawn"); err != nil {
			return nil, err
		}
		return u.start()
	}, func(late *successor) { late.end(u.deadlines.End) })
}

// hear returns what the successor says, unless it does not in time, ends, or this service
// is to be stopped.
func (u *upgrade) hear(what string, until time.Time) (word, error) {
	u.next.link.SetDeadline(until)
	defer context.AfterFunc(u.ctx, func() { u.next.link.SetDeadline(time.Unix(1, 0)) })()
	w, files, err := hear(u.next.link, what)
	closeFiles(files)
	switch {
	case err == nil:
		return w, nil
	case u.ctx.Err() != nil:
		return w, context.Cause(u.ctx)
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return w, errors.New("it ended before it was ready; see what it said")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return w, errors.New("it does not answer in time")
	}
	return w, err
}

// passEarly passes the connections that there are by now (3). What fails here is done
// later.
func (u *upgrade) passEarly(limit uint64) error {
	var connections []handover.Connection
	u.server.hub.Connections(func(id uint64, conn net.Conn) {
		connections = append(connections, handover.Connection{Number: id, Conn: conn})
	})
	// A program with the same limit takes all that this one has, even if only the reserve is left.
	if need := uint64(len(connections) + listen.Reserved()); limit < need {
		return fmt.Errorf("%s may have %d files open, and needs %d: raise the limit (LimitNOFILE of the unit, ulimit -n)",
			u.program, limit, need)
	}
	until := time.Now().Add(u.deadlines.Turn)
	if u.reach("U.O.early", until) == nil {
		u.passed = u.next.passEarly(connections, until)
	}
	return nil
}

// passEarly passes connections, and returns the numbers of those that were.
func (n *successor) passEarly(connections []handover.Connection, until time.Time) map[uint64]bool {
	trays, failed, err := handover.Pack(connections)
	if err != nil {
		return nil
	}
	defer closeFiles(trays)
	text, _ := json.Marshal(contents{Say: sayEarly, Format: documentFormat, Trays: len(trays)})
	files := make([]syscall.Conn, len(trays))
	for i, f := range trays {
		files[i] = f
	}
	n.link.SetDeadline(until)
	if err := n.link.Send(text, files...); err != nil {
		return nil // a message arrives whole or not at all
	}
	passed := make(map[uint64]bool, len(connections))
	for _, c := range connections {
		passed[c.Number] = true
	}
	for _, number := range failed { // closed meanwhile
		delete(passed, number)
	}
	return passed
}

// closeGate has new changes of apps refused, and waits for the one under way (4).
func (h *hander) closeGate() error {
	ctx, cancel := context.WithTimeout(context.Background(), h.deadlines.Gate)
	defer cancel()
	return h.server.apps.Pause(ctx)
}

// giveUp ends a successor before anything was frozen.
func (u *upgrade) giveUp() {
	if u.next != nil {
		u.next.end(u.deadlines.End)
	}
	u.server.http.Leaving(false)
	u.server.shutControl(false)
	wake(u.server.controlAway)
	u.server.apps.Resume() // the gate may be shut already
}

// handOver does the rest: steps 5 to 10.
func (u *upgrade) handOver() {
	u.record.At = time.Now()
	until := u.record.At.Add(u.deadlines.Ready)
	frozen := make(chan *hub.State, 1)
	go func() { frozen <- u.freeze("U.O.freeze", false) }()
	var state *hub.State
	select {
	case state = <-frozen:
	case <-time.After(u.deadlines.Ready):
		// Whatever holds it up, nothing can be taken back before.
		u.next.end(u.deadlines.End)
		state = <-frozen
		u.record.Sessions = state.Registered()
		u.takeBack(errNotFrozen)
		return
	}
	u.record.Sessions = state.Registered()
	err := u.pass(state, until)
	if err == nil {
		err = u.yield()
	}
	if err == nil {
		u.leave()
		return
	}
	u.takeBack(err)
}

// pass gives the successor all that it needs, and returns when it is ready (6 to 8).
func (u *upgrade) pass(state *hub.State, until time.Time) error {
	u.next.link.SetDeadline(until) // that of hello may be over
	if err := u.reach("U.O.send", until); err != nil {
		return err
	}
	parcel, err := u.pack(state, u.record, u.passed, until)
	if err != nil {
		return err
	}
	err = parcel.send(u.next.link)
	parcel.close()
	if err != nil {
		return err
	}
	got, err := u.hear(sayGot, until)
	if err != nil {
		return err
	}
	if got.Sessions < len(state.Sessions) {
		return fmt.Errorf("%d of %d connections did not arrive", len(state.Sessions)-got.Sessions, len(state.Sessions))
	}
	if err := u.closeDatabase(earliest(time.Now().Add(u.deadlines.Database), until)); err != nil {
		return fmt.Errorf("closing the database: %w", err)
	}
	if err := say(u.next.link, word{Say: sayClosed}); err != nil {
		return err
	}
	ready, err := u.hear(sayReady, until)
	switch {
	case err != nil:
		return err
	case ready.Format != documentFormat:
		return fmt.Errorf("it takes over in format %d, and this version hands over in %d", ready.Format, documentFormat)
	case ready.Sessions < len(state.Sessions):
		return fmt.Errorf("it has %d of %d connections", ready.Sessions, len(state.Sessions))
	}
	return nil
}

// closeDatabase lets go of the file, for the next process to open it (7).
func (h *hander) closeDatabase(until time.Time) error {
	if err := h.reach("O.close", until); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	return h.server.apps.Release(ctx)
}

// pack makes the parcel of this server. A successor has got the sockets that listen
// already: then passed is not nil, and says which connections it has got, too.
func (h *hander) pack(state *hub.State, record control.Handover, passed map[uint64]bool, until time.Time) (*parcel,
	error) {
	s := h.server
	apps, err := app.EncodeApps(s.apps.List())
	if err != nil {
		return nil, err
	}
	d := document{
		Format: documentFormat, Version: s.options.Version, Identity: s.apps.Identity(), Apps: apps, Record: record,
		hub:   state,
		Names: app.EncodeNames(s.apps.List(), maxNamesBytes), Unmet: s.history.AllUnmet(),
		Timeline: s.stats.Timeline().Save(),
		Cluster:  h.cluster,
	}
	var sockets []syscall.Conn
	if passed == nil {
		d.Sockets, sockets = s.sockets()
	}
	return d.pack(sockets, passed, until)
}

// yield gives the successor the right to serve (9). After an error it is this process's.
func (u *upgrade) yield() error {
	if err := context.Cause(u.ctx); err != nil {
		return err
	}
	until := time.Now().Add(u.deadlines.Turn)
	err := u.reach("U.O.turn", until)
	if err == nil {
		err = u.next.giveTurn()
	}
	if err != nil {
		return err
	}
	// From here on a SIGTERM goes to the successor too: it is the one to hand over.
	u.next.link.SetDeadline(until)
	if _, _, err := hear(u.next.link, sayMine); err != nil && u.next.takeTurnBack() {
		return errors.New("it does not take over")
	}
	return nil
}

// leave ends this process's part: systemd follows the successor, which owns the sessions,
// even if it is dead by now (10).
func (u *upgrade) leave() {
	s := u.server
	until := time.Now().Add(u.deadlines.Term)
	for range 2 {
		try := earliest(time.Now().Add(u.deadlines.Database), until)
		err := u.reach("U.O.mainpid", try)
		if err == nil {
			err = u.systemd.MainPID(u.next.process.Pid, try)
		}
		if err == nil {
			break
		}
		s.logger.Warn("systemd was not told which process it has to follow", slog.Any("error", err))
	}
	u.awaitSystemd("U.O.barrier", until)
	u.mu.Lock()
	u.isTaken = true
	u.mu.Unlock()
	u.next.close()
	close(u.taken)
}

// awaitSystemd returns when systemd has read what it was told. Unless nobody is there, it
// tries until the time is over.
func (h *hander) awaitSystemd(step string, until time.Time) {
	for {
		err := h.reach(step, until)
		if err == nil {
			err = h.systemd.Barrier(until)
		}
		if err == nil {
			return
		}
		nobody := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
		if nobody || !time.Now().Before(until) {
			h.server.logger.Warn("systemd does not hear", slog.Any("error", err))
			return
		}
		time.Sleep(min(100*time.Millisecond, time.Until(until)))
	}
}

// takeBack goes on with the sessions: first serves, from memory if it has to, then applies
// what fell into the freeze, then opens the database.
func (u *upgrade) takeBack(why error) {
	s := u.server
	u.next.end(u.deadlines.End)
	u.record.Why, u.record.Seconds = why.Error(), time.Since(u.record.At).Seconds()
	s.recordHandOver(u.record)
	s.notUpgraded.Store(&why)
	s.thaw()
	s.logger.Error("the upgrade failed, this version goes on: nothing was lost", slog.String("to", u.record.ToVersion),
		slog.Int("sessions", u.record.Sessions), slog.Any("error", why))
}

// recordHandOver notes what became of a hand-over, for status, metrics and log.
func (s *Server) recordHandOver(h control.Handover) { s.handedOver.Store(&h) }
