package netsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/app/names"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// What users and infobases are called each node keeps in its own database. Who changes it
// tells the nodes that are there (package control/server). One that was away, or did not take
// it, finds it here: each node asks each live one since when it has what names, at once when it
// is live and then now and then, and takes over what is newer.

const (
	namesEach     = time.Minute            // a live node is asked
	namesAgain    = 5 * time.Second        // it is asked again if it did not answer
	namesSoon     = 500 * time.Millisecond // likewise, if it never has
	namesPatience = 30 * time.Second       // for all that it answers
	namesMoment   = 5 * time.Second        // for what the nodes have that are there, before some are changed
	maxTimesBytes = 16 << 20               // of the list of what it has
)

// namesTaker takes over names from the other nodes, from one after the other.
type namesTaker struct {
	st   *stay
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	asked map[seal.Epoch]namesAsked // live peers
	busy  chan struct{}             // closed when nobody is asked any more; nil: nobody is
	ended bool
}

// namesAsked is when a live peer is to be asked, the zero time is at once, and whether it has answered.
type namesAsked struct {
	due      time.Time
	answered bool
}

func newNamesTaker(st *stay) *namesTaker {
	t := &namesTaker{st: st, asked: make(map[seal.Epoch]namesAsked)}
	t.ctx, t.stop = context.WithCancel(context.Background())
	return t
}

// look begins to ask a peer that is due. It is called about once a second.
func (t *namesTaker) look(peers []cluster.Peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy != nil || t.ended {
		return
	}
	now := time.Now()
	live := make(map[seal.Epoch]namesAsked)
	var next *cluster.Peer
	for i, p := range peers {
		if p.State != cluster.PeerLive {
			continue
		}
		live[p.Epoch] = t.asked[p.Epoch]
		if next == nil || live[p.Epoch].due.Before(live[next.Epoch].due) {
			next = &peers[i]
		}
	}
	t.asked = live
	if next == nil || now.Before(live[next.Epoch].due) {
		return
	}
	t.busy = make(chan struct{})
	go t.ask(next.Name, next.Epoch)
}

// errOlderNames: this node cannot tell yet whether it has the newest names.
var errOlderNames = errors.New("this node does not know yet whether another one has newer names: try again in a moment")

// takeNames returns when this node has taken over the names of the nodes that are there, with an error if
// that takes longer than a moment: a node that has just come back has an older table, and whatever is
// changed in that would hold everywhere, in place of what was changed on the others meanwhile.
func (m *membership) takeNames(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, namesMoment)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		switch st := m.current(); {
		case st != nil && st.names.haveAllAnswered(), st == nil && m.cannotJoin():
			return nil
		}
		wake(m.wake)
		select {
		case <-look.C:
		case <-ctx.Done():
			return errOlderNames
		}
	}
}

// haveAllAnswered reports whether all nodes that are there have answered since they are.
func (t *namesTaker) haveAllAnswered() bool {
	status := t.st.node.Status()
	switch status.State {
	case cluster.StateCutOff, cluster.StateRefused:
		return true // nobody can be
	case cluster.StateJoining:
		return false // there may be others
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !slices.ContainsFunc(status.Peers, func(p cluster.Peer) bool {
		return p.State == cluster.PeerLive && !t.asked[p.Epoch].answered
	})
}

// ask takes over from a node what it has newer, and notes when it is to be asked again.
func (t *namesTaker) ask(node string, epoch seal.Epoch) {
	ctx, cancel := context.WithTimeout(t.ctx, namesPatience)
	defer cancel()
	err := t.take(ctx, node)
	if err != nil {
		t.st.m.server.logger.Debug("names could not be taken over from a node", slog.String("node", node),
			slog.Any("error", err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	answered := err == nil || errors.Is(err, errAppNotHere) || errors.Is(err, errNothingNow)
	asked := namesAsked{answered: answered || t.asked[epoch].answered}
	pause := namesSoon
	switch {
	case err == nil:
		pause = namesEach
	case asked.answered:
		pause = namesAgain
	}
	asked.due = time.Now().Add(pause)
	t.asked[epoch] = asked
	close(t.busy)
	t.busy = nil
}

// end ends it and waits for it.
func (t *namesTaker) end() {
	t.stop()
	t.mu.Lock()
	t.ended = true
	busy := t.busy
	t.mu.Unlock()
	if busy != nil {
		<-busy
	}
}

// errAppNotHere: there is nobody whose names could be changed here. The app comes in a moment, or when an
// administrator has decided whose apps hold.
var errAppNotHere = errors.New("it is not here yet")

// take takes over from a node what it has newer.
func (t *namesTaker) take(ctx context.Context, node string) error {
	var times []control.NamesTime
	err := t.get(ctx, node, "/v1/names", func(answer io.Reader) error {
		return json.NewDecoder(io.LimitReader(answer, maxTimesBytes)).Decode(&times)
	})
	switch {
	case errors.Is(err, errNotThere): // its version knows nothing of this
		return nil
	case err != nil:
		return fmt.Errorf("asking what names it has: %w", err)
	}
	for _, there := range times {
		here, known := t.st.m.server.apps.Get(there.AppID)
		switch {
		case !known:
			err = fmt.Errorf("app %s: %w", there.AppID, errAppNotHere)
		case there.At > here.NamesAt():
			if err := t.takeOf(ctx, node, there); err != nil {
				return fmt.Errorf("app %s: %w", there.AppID, err)
			}
		}
	}
	return err
}

// takeOf takes over the names of one app.
func (t *namesTaker) takeOf(ctx context.Context, node string, there control.NamesTime) error {
	var file names.File
	if there.Names > 0 {
		err := t.get(ctx, node, "/v1/apps/"+there.AppID+"/names/file", func(answer io.Reader) (err error) {
			file, err = names.Read(answer)
			return err
		})
		if err != nil {
			return err
		}
	}
	s := t.st.m.server
	taken, err := s.apps.TakeNames(there.AppID, there.At, file.Names)
	if err == nil && taken {
		s.logger.Info("names were taken over from another node", slog.String("node", node),
			slog.String("app", there.AppID), slog.Int("names", len(file.Names)))
	}
	return err
}

// errNothingNow: a node is there and cannot give its names, for its database is away, perhaps. That keeps nobody
// from changing them here.
var errNothingNow = errors.New("it cannot give them now")

// errNotThere: a node does not have what it was asked for.
var errNotThere = errors.New("it has no such thing")

// get has a node answer a request of this one, and not of a person.
func (t *namesTaker) get(ctx context.Context, node, path string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://pns"+path+"?node="+url.QueryEscape(node), nil)
	if err != nil {
		return err
	}
	response, err := t.st.roundTrip(ctx, node, caller{}, request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return read(response.Body)
	case http.StatusNotFound:
		return errNotThere
	case http.StatusServiceUnavailable:
		return errNothingNow
	}
	return fmt.Errorf("it answered %s", response.Status)
}
