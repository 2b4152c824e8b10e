package bucket_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
)

var (
	faultCount = flag.Int("bucket.faults", 4, "how many faults TestTheLedgerOfChanges has")
	faultSeed  = flag.Uint64("bucket.seed", 1, "what they and the changes are drawn from")
)

// requestTime is how long the nodes of the ledger wait for JetStream: some of what they ask is
// never answered.
const requestTime = 500 * time.Millisecond

// ledger is three nodes whose apps are changed all the time, and what came of each change.
type ledger struct {
	*mesh
	paths    map[string]string // of the databases
	key      string            // text of the key file
	restores bool              // are among the faults

	mu      sync.Mutex
	late    int            // changes that are still to come
	arrived *sync.Cond     // told when one has
	made    map[string]int // changes of each app that were acknowledged
	unknown map[string]int // that may have been made
	lost    int            // new apps that may have been made
	revoked map[string]bool
	counts  map[string]int // of outcomes, to see that there were some
}

func (l *ledger) begin(name string) {
	n := l.start(name, options{path: l.paths[name], requestTime: requestTime})
	n.untilState(bucket.Live)
}

// running is a node that runs; nil: it does not.
func (l *ledger) running(name string) *node {
	l.mesh.mu.Lock()
	defer l.mesh.mu.Unlock()
	return l.nodes[name]
}

// between keeps some changes on their way to the bucket, or what it answers.
func (l *ledger) between() {
	account := l.server.Running().GlobalAccount()
	err := account.AddWeightedMappings(subject("app.*"), server.NewMapDest(subject("app.$1"), 80),
		server.NewMapDest("held.$1", 20))
	if err != nil {
		l.t.Error(err)
	}
}

// mistreat is done to what is kept.
func (l *ledger) mistreat(held *nats.Msg, conn *nats.Conn, random *rand.Rand) {
	id, _ := strings.CutPrefix(held.Subject, "held.")
	m := &nats.Msg{Subject: subject("app." + id), Reply: held.Reply, Header: held.Header, Data: held.Data}
	switch random.IntN(4) {
	case 0: // lost
	case 1: // its answer is lost
		m.Reply = ""
		conn.PublishMsg(m)
	case 2: // late
		l.mu.Lock()
		l.late++
		l.mu.Unlock()
		time.AfterFunc(time.Duration(random.Int64N(int64(2*requestTime))), func() {
			conn.PublishMsg(m)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.late--
			l.arrived.Broadcast()
		})
	case 3: // refused for a moment
		held.Respond([]byte(`{"error":{"code":503,"err_code":10008,"description":"unavailable"},"stream":"","seq":0}`))
	}
}

// waitLate waits until no change is late.
func (l *ledger) waitLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.late > 0 {
		l.arrived.Wait()
	}
}

// fault lets something fail and mends it again.
func (l *ledger) fault(random *rand.Rand) string {
	pause := func() { time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond) } // how long something fails
	name := fmt.Sprintf("web%d", 1+random.IntN(3))
	n := l.running(name)
	switch random.IntN(8) {
	case 0:
		l.server.Stop()
		pause()
		l.server.Start()
		l.between()
		return "NATS was down"
	case 1:
		n.stop()
		pause()
		l.begin(name)
		return name + " was stopped"
	case 2:
		n.conn.ForceReconnect()
		return name + " was cut"
	case 3:
		conn, js := l.server.connect()
		defer conn.Close()
		for _, consumer := range consumerNames(l.t, js) {
			js.DeleteConsumer(context.Background(), stream, consumer)
		}
		return "watches were deleted"
	case 4:
		l.mesh.mu.Lock()
		l.deaf[name] = true
		l.mesh.mu.Unlock()
		pause()
		l.mesh.mu.Lock()
		delete(l.deaf, name)
		l.mesh.mu.Unlock()
		return name + " heard nothing"
	case 5:
		conn, js := l.server.connect()
		defer conn.Close()
		for _, consumer := range consumerNames(l.t, js) {
			js.PauseConsumer(context.Background(), stream, consumer, time.Now().Add(time.Second))
		}
		pause()
		return "watches were silent"
	case 6:
		l.changeKey(pause)
		return "the cluster's key was changed"
	}
	if l.restores {
		if err := n.bucket.Restore(context.Background()); err != nil {
			return fmt.Sprintf("%s did not restore: %v", name, err)
		}
		return name + " restored"
	}
	pause()
	return "nothing"
}

// changeKey gives all nodes another key, as an administrator does.
func (l *ledger) changeKey(pause func()) {
	old, new := l.key, sealtest.Text(l.t)
	var nodes []*node
	for name := range l.paths {
		nodes = append(nodes, l.running(name))
	}
	for _, texts := range [][]string{{old, new}, {new, old}, {new}} {
		for _, n := range nodes {
			n.useKeys(sealtest.Parse(l.t, texts...))
			if texts[0] == new && len(texts) == 2 {
				pause()
			}
		}
		l.waitLate() // what was sealed before that
		for _, n := range nodes {
			n.until("only one key is needed", func() bool { return n.bucket.Status().Sealing.Done() })
		}
	}
	l.key, l.mesh.keys = new, sealtest.Parse(l.t, new)
}

// change makes one change at a node, and notes what came of it.
func (l *ledger) change(n *node, random *rand.Rand) {
	l.mu.Lock()
	ids := slices.Sorted(maps.Keys(l.made))
	l.mu.Unlock()
	if len(ids) < 4 {
		a, err := n.apps.Create("new")
		id := ""
		if err == nil {
			id = a.ID
		}
		l.note("create", id, err, nil)
		return
	}
	id := ids[random.IntN(len(ids))]
	old, there := n.apps.Get(id)
	if !there {
		file := fmt.Sprintf("#again\n%s\n%s\n%s\n", id, strings.Repeat(strings.ReplaceAll(uuid.NewString(), "-", ""), 2), clientKey)
		report, err := n.apps.Import(strings.NewReader(file))
		if err == nil && len(report.Imported) == 0 {
			return // it is there by now
		}
		l.note("import", id, err, nil)
		return
	}
	keys := make(map[string]bool)
	for _, k := range old.ServerKeys {
		keys[k.Key] = true
	}
	switch random.IntN(8) {
	case 0:
		l.note("remove", id, n.apps.Remove(id), keys)
	case 1, 2:
		a, err := n.apps.RotateServerKey(id, 0)
		if err == nil {
			delete(keys, a.ServerKeys[0].Key)
		}
		l.note("rotate", id, err, keys)
	case 3:
		_, err := n.apps.RotateServerKey(id, time.Hour)
		l.note("rotate with grace", id, err, nil)
	default:
		_, err := n.apps.Rename(id, uuid.NewString())
		l.note("rename", id, err, nil)
	}
}

func (l *ledger) note(what, id string, err error, revokes map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.counts["made"]++
		l.made[id]++
		maps.Copy(l.revoked, revokes)
	case errors.Is(err, app.ErrOutcomeUnknown) && id == "":
		l.counts["unknown"]++
		l.lost++
	case errors.Is(err, app.ErrOutcomeUnknown):
		l.counts["unknown"]++
		l.unknown[id]++
	case errors.Is(err, app.ErrNotAgreed), errors.Is(err, app.ErrConflict):
		l.counts["refused"]++
	case errors.Is(err, app.ErrNotFound), errors.Is(err, app.ErrClosed), errors.Is(err, app.ErrTooManyKeys):
		l.counts["not begun"]++
	default:
		l.t.Errorf("%s: %v", what, err)
	}
}

// Whatever fails, no change that was acknowledged is lost or made twice, none that was refused
// is made, versions only grow, and at rest all nodes have the same apps, without the keys that
// were revoked.
func TestTheLedgerOfChanges(t *testing.T) {
	t.Run("exact", func(t *testing.T) { playLedger(t, false) })
	t.Run("with restores", func(t *testing.T) { playLedger(t, true) })
}

func playLedger(t *testing.T, restores bool) {
	nothingLeft(t)
	l := &ledger{mesh: newMesh(t, startNATS(t, nil)), paths: make(map[string]string), restores: restores,
		made: make(map[string]int), unknown: make(map[string]int), revoked: make(map[string]bool),
		counts: make(map[string]int)}
	l.arrived = sync.NewCond(&l.mu)
	l.key = sealtest.Text(t)
	l.mesh.keys = sealtest.Parse(t, l.key)
	names := []string{"web1", "web2", "web3"}
	for _, name := range names {
		l.paths[name] = filepath.Join(t.TempDir(), "pns4ones.db")
		l.begin(name)
	}
	conn, js := l.server.connect(nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	mistreats := rand.New(rand.NewPCG(*faultSeed, 2))
	if _, err := conn.Subscribe("held.*", func(m *nats.Msg) { l.mistreat(m, conn, mistreats) }); err != nil {
		t.Fatal(err)
	}
	l.between()

	ending := make(chan struct{})
	var work sync.WaitGroup
	for i, name := range append(names, names...) {
		work.Go(func() {
			random := rand.New(rand.NewPCG(*faultSeed, uint64(10+i)))
			for !ended(ending) {
				if n := l.running(name); n != nil {
					l.change(n, random)
				}
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
			}
		})
	}
	for _, name := range names {
		work.Go(func() { l.watchVersions(name, ending) })
	}
	random := rand.New(rand.NewPCG(*faultSeed, 1))
	for i := range *faultCount {
		t.Logf("fault %d: %s", i, l.fault(random))
		time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
	}
	l.server.Running().GlobalAccount().RemoveMapping(subject("app.*"))
	close(ending)
	work.Wait()
	l.waitLate()
	// Behind all that came late, on the same connection.
	last := publish(t, js, "end", nil, nil)
	l.check(names, last)
	t.Logf("%v, %d keys revoked, %d apps", l.counts, len(l.revoked), len(l.made))
	if l.counts["made"] == 0 {
		t.Errorf("no change was made: %v", l.counts)
	}
}

func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// watchVersions sees that versions only grow at a node, over its lives.
func (l *ledger) watchVersions(name string, ending <-chan struct{}) {
	seen := make(map[string]uint64)
	for !ended(ending) {
		n := l.running(name)
		if n == nil {
			continue
		}
		for _, c := range n.apps.Known() {
			if c.Version < seen[c.ID] {
				l.t.Errorf("%s: app %s went from version %d to %d", name, c.ID, seen[c.ID], c.Version)
			}
			seen[c.ID] = c.Version
		}
		time.Sleep(time.Millisecond)
	}
}

// check compares the nodes when each has all up to the last revision.
func (l *ledger) check(names []string, last uint64) {
	for _, name := range names {
		n := l.running(name)
		n.until("it has all, and is at rest", func() bool {
			if n.bucket.Revision() < last || !n.bucket.HasAll() {
				return false
			}
			s := n.bucket.Status()
			return s.State == bucket.Live && s.Problem == nil && s.Unapplied == 0 && s.RolledBack == nil
		})
	}
	first := l.running(names[0])
	for _, name := range names {
		n := l.running(name)
		for id := range l.made {
			here, isHere := n.apps.Get(id)
			there, isThere := first.apps.Get(id)
			if v, of := n.apps.Version(id), first.apps.Version(id); v != of || isHere != isThere ||
				isHere && !app.Same(here, there, time.Now()) {
				l.t.Errorf("%s and %s differ in app %s, of the versions %d and %d", name, first.name, id, v, of)
			}
		}
		for key := range l.revoked {
			if _, err := n.apps.Authorize(key, time.Hour); err == nil {
				l.t.Errorf("%s: a revoked key works", name)
			}
		}
	}
	for _, c := range first.apps.Known() {
		made, unknown := l.made[c.ID], l.unknown[c.ID]
		if made == 0 {
			l.lost--
			continue
		}
		if version := int(c.Version); version < made || !l.restores && version > made+unknown {
			l.t.Errorf("app %s has version %d after %d changes that were made and %d that may have been", c.ID, version,
				made, unknown)
		}
	}
	if l.lost < 0 {
		l.t.Errorf("there are %d apps more than were made", -l.lost)
	}
}
