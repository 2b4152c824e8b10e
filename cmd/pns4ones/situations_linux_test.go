package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Each test here is a situation in which a restart or an upgrade once lost the sessions of
// everybody, or could.

// situation lets a test run beside others. Without -fire.table only some of them run,
// others at each run: all of them take half a minute.
func situation(t *testing.T) {
	t.Helper()
	if !*fireTable && rand.N(3) > 0 {
		t.Skip("not in the sample of this run; -fire.table runs all")
	}
	t.Parallel()
}

// moments is how many random moments are tried: 20 with -fire.table.
func moments() int {
	if *fireTable {
		return 20
	}
	return 2
}

// end stops the process that serves, and waits until none is left.
func (i *installation) end() {
	i.t.Helper()
	syscall.Kill(i.status().PID, syscall.SIGTERM)
	i.awaitNone()
}

func (i *installation) awaitNone() {
	i.t.Helper()
	await(i.t, "no process is left", func() bool { return len(i.processes()) == 0 })
}

// goOn ends the wait of a step that was planned to.
func (i *installation) goOn(plan string) {
	i.t.Helper()
	if err := os.WriteFile(plan+goesOn, nil, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// awaitStep waits until a daemon has come to the step that was planned.
func (i *installation) awaitStep(plan string) {
	i.t.Helper()
	await(i.t, "it has come to the step", func() bool { _, err := os.Stat(plan); return err != nil })
}

// refusedUpgrade asks for an upgrade, which has to be refused without a trace.
func (i *installation) refusedUpgrade() error {
	i.t.Helper()
	before := i.status()
	_, err := i.client.Upgrade(context.Background())
	if err == nil {
		i.t.Fatal("the upgrade is not refused")
	}
	i.t.Logf("refused: %v", err)
	now := i.status()
	if now.PID != before.PID || now.Sessions != before.Sessions || len(i.processes()) != 1 {
		i.t.Errorf("it was %+v and is %+v, with the processes %v", before, now, i.processes())
	}
	if (before.LastHandover == nil) != (now.LastHandover == nil) || now.LastHandover != nil &&
		*now.LastHandover != *before.LastHandover {
		i.t.Errorf("the last hand-over was %+v and is %+v", before.LastHandover, now.LastHandover)
	}
	return err
}

// TestKeysEndAmidAnUpgrade has keys end, and apps come and go, when the successor has got
// copies of all connections already: sessions are closed at once all the same.
func TestKeysEndAmidAnUpgrade(t *testing.T) {
	situation(t)
	i := install(t)
	plan := i.plan("U.O.gate", faultWait)
	i.start(exec.Command(i.program))
	l, rotated, graced, removed := newLedger(t, i.client), newLedger(t, i.client), newLedger(t, i.client), newLedger(t,
		i.client)
	for _, l := range []*ledger{l, rotated, graced, removed} {
		l.open(20)
	}
	upgraded := make(chan error, 1)
	go func() {
		_, err := i.client.Upgrade(context.Background())
		upgraded <- err
	}()
	i.awaitStep(plan)
	client := control.NewClient(filepath.Join(i.folder, "control.sock"))
	defer client.Close()
	ctx := context.Background()
	_, err := client.RotateClientKey(ctx, rotated.app.ID, 0)
	_, err2 := client.RotateClientKey(ctx, graced.app.ID, 100*time.Millisecond)
	_, err3 := client.RemoveApp(ctx, removed.app.ID)
	created, err4 := client.CreateApp(ctx, "amid")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	await(t, "their sessions are closed", func() bool {
		return len(rotated.alive())+len(graced.alive())+len(removed.alive()) == 0
	})
	before := i.status()
	i.goOn(plan)
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	await(t, "another process answers", func() bool {
		now, err := client.Status(ctx)
		return err == nil && now.PID != before.PID
	})
	if _, err := client.App(ctx, created.ID); err != nil {
		t.Error(err)
	}
	if now := i.status(); now.Sessions != len(l.sessions) {
		t.Errorf("%d sessions, want %d", now.Sessions, len(l.sessions))
	}
	l.settle()
	l.check()
}

// TestAppsChangeAllThrough has apps created, their keys rotated and ended, and them
// removed, while the daemon is upgraded and restarted: sessions of another app do not
// notice, and what was acknowledged holds.
func TestAppsChangeAllThrough(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(1, time.Millisecond)
	defer stop()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var changing sync.WaitGroup
	changers := make([]changer, 3)
	for n := range changers {
		changing.Go(func() { changers[n].change(ctx, i, l.service) })
	}
	for range *fireRounds {
		i.upgradeSoon()
		i.end()
		i.start(systemd.next(i.program))
	}
	cancel()
	changing.Wait()
	stop()
	l.settle()
	l.check()

	apps, err := i.client.Apps(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, a := range apps {
		there[a.ID] = true
	}
	changes := 0
	for _, c := range changers {
		changes += c.changes
		for _, id := range c.created {
			if !there[id] {
				t.Errorf("app %s was created and is gone", id)
			}
		}
		for _, id := range c.removed {
			if there[id] {
				t.Errorf("app %s was removed and is there", id)
			}
		}
	}
	if changes == 0 {
		t.Error("nothing was changed")
	}
	t.Logf("%d changes", changes)
}

// upgradeSoon upgrades, as soon as that is not refused for a change under way.
func (i *installation) upgradeSoon() {
	i.t.Helper()
	before := i.status()
	await(i.t, "an upgrade begins", func() bool { _, err := i.client.Upgrade(context.Background()); return err == nil })
	await(i.t, "another process answers", func() bool {
		now, err := i.client.Status(context.Background())
		return err == nil && now.PID != before.PID
	})
}

// changer changes apps of its own and notes what was acknowledged.
type changer struct {
	created, removed []string
	changes          int
}

func (c *changer) change(ctx context.Context, i *installation, service string) {
	client := control.NewClient(filepath.Join(i.folder, "control.sock"))
	defer client.Close()
	background := context.Background()
	for ctx.Err() == nil {
		a, err := client.CreateApp(background, "changing")
		if err != nil {
			time.Sleep(time.Millisecond) // refused, or nobody serves: the next one may be taken
			continue
		}
		if key, err := wire.ParseClientKey(a.ClientKey); err == nil {
			registration := wire.Registration{AppID: a.ID, IbID: infobase, UserID: "x"}
			if conn, err := wire.Dial(background, service, registration, key); err == nil {
				defer conn.Close()
			}
		}
		_, err1 := client.RotateClientKey(background, a.ID, 50*time.Millisecond)
		_, err2 := client.RotateClientKey(background, a.ID, 0)
		c.changes++
		if (err1 != nil || err2 != nil) && len(c.created) < 100 {
			c.created = append(c.created, a.ID)
			continue
		}
		if _, err := client.RemoveApp(background, a.ID); err == nil {
			c.removed = append(c.removed, a.ID)
		}
	}
}

// databaseTrouble is something that may be wrong with the database.
type databaseTrouble struct {
	name string
	make func(t *testing.T, path string)
}

var databaseTroubles = []databaseTrouble{
	{"it is missing", func(t *testing.T, path string) {}},
	{"it is damaged", func(t *testing.T, path string) {
		if err := os.WriteFile(path, slices.Repeat([]byte("no database "), 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{"it is empty", func(t *testing.T, path string) {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}},
	{"everybody may read it", func(t *testing.T, path string) {
		content, err := os.ReadFile(path + ".away")
		if err == nil {
			err = errors.Join(os.WriteFile(path, content, 0o600), os.Chmod(path, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}},
	{"it is another one", func(t *testing.T, path string) {
		another, err := app.Open(path, app.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(another.EnsureIdentity(), another.Close()); err != nil {
			t.Fatal(err)
		}
	}},
}

// trouble puts something wrong into the place of the database; the daemon that runs does
// not notice. mend undoes it.
func (i *installation) trouble(trouble databaseTrouble) (path string, mend func()) {
	i.t.Helper()
	path = filepath.Join(i.folder, "pns4ones.db")
	if err := os.Rename(path, path+".away"); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Chmod(i.folder, 0o755); err != nil { // or nobody could read what is in it
		i.t.Fatal(err)
	}
	trouble.make(i.t, path)
	return path, func() {
		i.t.Helper()
		if err := os.Rename(path+".away", path); err != nil {
			i.t.Fatal(err)
		}
	}
}

// TestAnUpgradeLooksAtTheDatabase refuses one that could not open it.
func TestAnUpgradeLooksAtTheDatabase(t *testing.T) {
	situation(t)
	i := install(t)
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	i.awaitIdentity()
	for _, trouble := range databaseTroubles {
		t.Log(trouble.name)
		_, mend := i.trouble(trouble)
		i.refusedUpgrade()
		mend()
	}
	i.upgrade()
	l.settle()
	l.check()
}

// awaitIdentity waits until the database has got its identity, after the start.
func (i *installation) awaitIdentity() {
	i.t.Helper()
	path := filepath.Join(i.folder, "pns4ones.db")
	await(i.t, "the database has an identity", func() bool {
		seen, err := app.Look(path)
		return err == nil && !seen.Identity.IsZero()
	})
}

// TestARestartWithoutItsDatabase serves from memory until it can be opened, and makes no
// new one.
func TestARestartWithoutItsDatabase(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	i.awaitIdentity()
	ctx := context.Background()
	for _, trouble := range databaseTroubles {
		t.Log(trouble.name)
		i.end()
		path, mend := i.trouble(trouble)
		i.start(systemd.next(i.program))
		if why := i.status().DatabaseUnavailable; why == "" {
			t.Errorf("%s: the database is said to be open", trouble.name)
		}
		_, err := i.client.CreateApp(ctx, "from memory")
		wantCode(t, trouble.name, err, control.CodeDatabaseUnavailable)
		_, err = i.client.RotateClientKey(ctx, l.app.ID, 0)
		wantCode(t, trouble.name, err, control.CodeDatabaseUnavailable)
		l.settle()
		i.refusedUpgrade()
		if _, err := os.Stat(path); trouble.name == "it is missing" && err == nil {
			t.Error("a new database was made")
		}
		if trouble.name == "it is damaged" { // a second restart works as the first one
			i.end()
			i.start(systemd.next(i.program))
			l.settle()
		}
		mend()
		i.awaitDatabase()
		if _, err := i.client.CreateApp(ctx, "after "+trouble.name); err != nil {
			t.Error(err)
		}
	}
	l.settle()
	l.check()
}

// bySettings has listen, service, data_dir and control come from the settings, which a
// successor reads anew.
func (i *installation) bySettings(more string) {
	i.t.Helper()
	i.env = slices.DeleteFunc(i.env, func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"PNS4ONES_LISTEN", "PNS4ONES_SERVICE", "PNS4ONES_DATA_DIR", "PNS4ONES_CONTROL"},
			name)
	})
	settings := map[string]string{"listen": "127.0.0.1:0", "service": "127.0.0.1:0", "data_dir": i.folder,
		"control": filepath.Join(i.folder, "control.sock")}
	for line := range strings.Lines(more) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		settings[name] = value
	}
	var text strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&text, "%s = %q\n", name, value)
	}
	folder := filepath.Join(i.folder, "settings")
	if err := errors.Join(os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "pns4ones.toml"),
		[]byte(text.String()), 0o600)); err != nil {
		i.t.Fatal(err)
	}
}

// TestOtherFoldersAtAHandOver has data_dir or control name another place by then.
func TestOtherFoldersAtAHandOver(t *testing.T) {
	situation(t)
	i := install(t)
	i.bySettings("")
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	i.awaitIdentity()

	elsewhere := filepath.Join(i.folder, "elsewhere")
	i.bySettings("data_dir=" + elsewhere)
	i.refusedUpgrade()
	i.end()
	i.start(systemd.next(i.program))
	if i.status().DatabaseUnavailable == "" {
		t.Error("the database is said to be open")
	}
	if _, err := os.Stat(filepath.Join(elsewhere, "pns4ones.db")); err == nil {
		t.Error("a new database was made")
	}
	l.settle()
	i.bySettings("")
	i.end()
	i.start(systemd.next(i.program))
	i.awaitDatabase()

	// A file lies where the folder of the control channel would be.
	away := filepath.Join(i.folder, "log", "control.sock")
	i.bySettings("control=" + away)
	i.refusedUpgrade()
	i.end()
	unreachable := systemd.next(i.program)
	unreachable.Env, unreachable.Stdout, unreachable.Stderr = append(i.env, unreachable.Env...), i.log, i.log
	if err := unreachable.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unreachable.Process.Kill() })
	await(t, "it tries to open the control channel", func() bool {
		return strings.Contains(i.said(), "the control channel cannot be opened")
	})
	i.bySettings("")
	unreachable.Process.Signal(syscall.SIGTERM)
	unreachable.Wait()
	i.start(systemd.next(i.program))
	l.settle()
	l.check()
}

// TestFewerDescriptorsAtAnUpgrade is refused, also with ports that have changed.
func TestFewerDescriptorsAtAnUpgrade(t *testing.T) {
	situation(t)
	i := install(t)
	good := i.program + ".good"
	if err := os.Link(i.program, good); err != nil {
		t.Fatal(err)
	}
	i.bySettings("")
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, 200)
	i.replaceProgram(func(f *os.File) {
		fmt.Fprintf(f, "#!/bin/bash\nulimit -n 150\nexec -a pns4ones %s \"$@\"\n", good)
	})
	i.refusedUpgrade()
	i.bySettings("listen=localhost:0\nservice=localhost:0")
	if err := i.refusedUpgrade(); !strings.Contains(err.Error(), "LimitNOFILE") {
		t.Error("it does not say what to change")
	}
	l.settle()
	l.check()
}

// TestFewerDescriptorsAtARestart loses those that do not fit, says so, and serves the
// others.
func TestFewerDescriptorsAtARestart(t *testing.T) {
	situation(t)
	i := install(t)
	i.bySettings("")
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, 200)
	i.end()
	i.bySettings("listen=localhost:0\nservice=localhost:0")
	poor := systemd.next(i.program)
	poor.Args[2] = "ulimit -n 150; " + poor.Args[2]
	i.start(poor)
	status := i.status()
	last := status.LastHandover
	switch {
	case last == nil || !last.Done || last.Sessions != status.Sessions || last.Lost != 200-status.Sessions ||
		last.Lost == 0:
		t.Errorf("%d sessions, and the last hand-over is %+v", status.Sessions, last)
	case status.Sessions < 50:
		t.Errorf("only %d sessions fit", status.Sessions)
	}
	if !strings.Contains(last.Why, "LimitNOFILE") || !strings.Contains(i.said(), "LimitNOFILE") {
		t.Errorf("it does not say what to change: %s", last.Why)
	}
	await(t, "the others have ended", func() bool { return len(l.alive()) == status.Sessions })
	l.refind()
	l.settle()
	l.report(l.balance(func(*listener) bool { return true }))
}

// TestEveryDescriptorInUse is how things are at an upgrade and at a restart: whoever has a
// session does not notice.
func TestEveryDescriptorInUse(t *testing.T) {
	situation(t)
	i := install(t)
	systemd := newServiceManager(t, i)
	poor := func() *exec.Cmd {
		cmd := systemd.next(i.program)
		cmd.Args[2] = "ulimit -n 300; " + cmd.Args[2]
		return cmd
	}
	i.start(poor())
	l := openLedger(t, i.client, 100)
	stop := l.sendAllAround(1, time.Millisecond)
	defer stop()
	var crowd []net.Conn
	defer func() {
		for _, conn := range crowd {
			conn.Close()
		}
	}()
	fill := func() {
		t.Helper()
		before := strings.Count(i.said(), "cannot accept connections")
		for range 300 {
			conn, err := net.DialTimeout("tcp", l.service, patience)
			if err != nil {
				t.Fatal(err)
			}
			crowd = append(crowd, conn)
		}
		await(t, "every descriptor is in use", func() bool {
			return strings.Count(i.said(), "cannot accept connections") > before
		})
	}
	fill()
	i.upgrade()
	i.awaitOneProcess()
	i.end()
	i.start(poor())
	if last := i.status().LastHandover; last == nil || last.Lost != 0 {
		t.Errorf("the last hand-over is %+v", last)
	}
	stop()
	l.settle()
	b := l.balance(func(*listener) bool { return false })
	l.report(b)
}

// awaitOneProcess waits until one process serves and no other one runs.
func (i *installation) awaitOneProcess() {
	i.t.Helper()
	await(i.t, "one process serves", func() bool {
		pids := i.processes()
		now, err := i.client.Status(context.Background())
		return err == nil && len(pids) == 1 && pids[0] == now.PID
	})
}

// TestMetricsAreNeverRefused scrapes all through restarts and upgrades: whoever connects
// waits until somebody answers.
func TestMetricsAreNeverRefused(t *testing.T) {
	situation(t)
	i := install(t)
	i.env = append(i.env, "PNS4ONES_METRICS_LISTEN=127.0.0.1:0")
	systemd, _ := i.startUnderSystemd(t)
	address := i.status().MetricsListen
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var scraping sync.WaitGroup
	scrapes, failed := 0, 0
	scraping.Go(func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		for ctx.Err() == nil {
			scrapes++
			response, err := client.Get("http://" + address + "/metrics")
			if errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("scrape %d: %v", scrapes, err)
				return
			} else if err != nil {
				failed++ // cut off amid its answer
				continue
			}
			response.Body.Close()
		}
	})
	for range *fireRounds {
		i.upgrade()
		i.end()
		i.start(systemd.next(i.program))
		if now := i.status().MetricsListen; now != address {
			t.Fatalf("metrics were at %s and are at %s", address, now)
		}
	}
	cancel()
	scraping.Wait()
	t.Logf("%d scrapes, %d cut off", scrapes, failed)
}

// TestTheRecordOfAHandOver is in the status of whoever serves afterwards.
func TestTheRecordOfAHandOver(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, first := i.startUnderSystemd(t)
	l := openLedger(t, i.client, 20)
	before := i.status()
	id, err := i.client.Upgrade(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	await(t, "another process answers", func() bool {
		now, err := i.client.Status(context.Background())
		return err == nil && now.PID != before.PID
	})
	now := i.status()
	last := now.LastHandover
	if last == nil || last.ID != id || last.Way != control.WayUpgrade || last.FromVersion != before.Version ||
		last.ToVersion != now.Version ||
		last.FromPID != before.PID || last.ToPID != now.PID || last.Seconds <= 0 || last.Sessions != 20 ||
		last.Lost != 0 || !last.Done || last.Why != "" {
		t.Errorf("after upgrade %s the last hand-over is %+v", id, last)
	}
	// systemd looks at the status only if it does not follow the other one.
	if first.Wait(); first.ProcessState.ExitCode() != 1 {
		t.Errorf("the process before ended with %v", first.ProcessState)
	}
	if systemd.follows() != now.PID {
		t.Errorf("systemd follows %d, and %d serves", systemd.follows(), now.PID)
	}

	// One that fails late leaves a record of that.
	i.plan("U.N.ready", faultKill)
	id, err = i.client.Upgrade(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the upgrade has failed", func() bool {
		status, err := i.client.Status(context.Background())
		return err == nil && status.UpgradeFailed != ""
	})
	again := i.status()
	last = again.LastHandover
	if again.PID != now.PID || last == nil || last.ID != id || last.Done || last.Why == "" || last.Lost != 0 ||
		last.FromPID != now.PID {
		t.Errorf("after upgrade %s, which failed, the last hand-over of %d is %+v", id, again.PID, last)
	}
	i.replaceProgram(func(f *os.File) { fmt.Fprint(f, "#!/bin/sh\nexit 1\n") })
	i.refusedUpgrade()
	i.putProgram(thisProgram(t))

	i.end()
	i.start(systemd.next(i.program))
	last = i.status().LastHandover
	if last == nil || last.Way != control.WayRestart || last.FromPID != now.PID || last.ToPID != i.status().PID ||
		last.Sessions != 20 || last.Lost != 0 || !last.Done {
		t.Errorf("after a restart the last hand-over is %+v", last)
	}
	l.settle()
	l.check()
}

// TestTheSuccessorDiesAtOnce leaves nobody; systemd starts the service again, for the
// process that it follows is gone, and so it does if it did not come to follow it.
func TestTheSuccessorDiesAtOnce(t *testing.T) {
	situation(t)
	for _, step := range []string{"U.O.mainpid", "U.O.barrier"} {
		i := install(t)
		systemd := newServiceManager(t, i)
		plan := i.plan(step, faultWait)
		first := i.start(systemd.next(i.program))
		if _, err := i.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		i.awaitStep(plan)
		for _, pid := range i.processes() {
			if pid != first.Process.Pid {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		i.goOn(plan)
		if first.Wait(); first.ProcessState.ExitCode() != 1 {
			t.Errorf("%s: the process before ended with %v", step, first.ProcessState)
		}
		i.awaitNone()
		i.start(systemd.next(i.program))
		l := openLedger(t, i.client, 1)
		l.settle()
		l.check()
	}
}

// TestTwoRestartsAtOnce ends the process that starts, too, at any moment.
func TestTwoRestartsAtOnce(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	for range moments() {
		i.end()
		short := systemd.next(i.program)
		short.Env, short.Stdout, short.Stderr = append(i.env, short.Env...), i.log, i.log
		if err := short.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rand.N(200 * time.Millisecond)) // any moment will do
		short.Process.Signal(syscall.SIGTERM)
		short.Wait()
		i.start(systemd.next(i.program))
		if now := i.status(); now.Sessions != len(l.sessions) {
			t.Fatalf("%d sessions are left", now.Sessions)
		}
	}
	l.settle()
	l.check()
}

// TestBothProcessesOfAnUpgradeAreStopped at any moment: then the sessions are in the store.
func TestBothProcessesOfAnUpgradeAreStopped(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	for range moments() {
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			i.client.Upgrade(context.Background()) // may be refused, or cut off
		}()
		time.Sleep(rand.N(300 * time.Millisecond)) // any moment will do
		for _, pid := range i.processes() {
			syscall.Kill(pid, syscall.SIGTERM)
		}
		<-asked
		// systemd signals whatever is left of the service, too.
		await(t, "no process is left", func() bool {
			for _, pid := range i.processes() {
				syscall.Kill(pid, syscall.SIGTERM)
			}
			return len(i.processes()) == 0
		})
		i.start(systemd.next(i.program))
		if now := i.status(); now.Sessions != len(l.sessions) {
			t.Fatalf("%d sessions are left", now.Sessions)
		}
	}
	l.settle()
	l.check()
}

// TestSystemdIsBusy and reads its messages late: nobody ends before it has.
func TestSystemdIsBusy(t *testing.T) {
	situation(t)
	systemdIsBusy(t, time.Second)
}

// TestSystemdIsBusyForLong is the same as long as a daemon-reload takes on a large machine.
func TestSystemdIsBusyForLong(t *testing.T) {
	if !*fireTable {
		t.Skip("takes half a minute; -fire.table runs it")
	}
	for _, busy := range []time.Duration{4 * time.Second, 9 * time.Second} {
		t.Run(busy.String(), func(t *testing.T) {
			t.Parallel()
			systemdIsBusy(t, busy, patientVariable+"=1")
		})
	}
}

func systemdIsBusy(t *testing.T, busy time.Duration, env ...string) {
	i := install(t)
	i.env = append(i.env, env...)
	systemd, first := i.startUnderSystemd(t)
	l := openLedger(t, i.client, 20)
	systemd.busyFor(busy)
	i.upgrade()
	first.Wait()
	if now := i.status(); systemd.follows() != now.PID {
		t.Errorf("systemd follows %d, and %d serves", systemd.follows(), now.PID)
	}
	systemd.busyFor(busy)
	i.end()
	if n := systemd.storedFiles(); n != 2 {
		t.Errorf("%d descriptors are in the store", n)
	}
	i.start(systemd.next(i.program))
	l.settle()
	l.check()
}

// TestAnOrdinaryUser runs the daemon, which the limits of descriptors under way bind as
// they do not bind root.
func TestAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	situation(t)
	sessions := 2000
	if *fireTable {
		sessions = 18_000
	}
	i := install(t)
	systemd := newServiceManager(t, i)
	i.env = append(i.env, "HOME="+i.folder)
	const nobody = 65534
	for _, path := range []string{i.folder, i.program, i.log.Name(), filepath.Join(i.folder, "notify")} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	next := func() *exec.Cmd {
		cmd := systemd.next(i.program)
		cmd.Args[2] = "ulimit -n " + strconv.Itoa(sessions+500) + "; " + cmd.Args[2]
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	i.start(next())
	l := openLedger(t, i.client, sessions)
	stop := l.sendAllAround(1, 10*time.Millisecond)
	defer stop()
	i.upgrade()
	i.end()
	i.start(next())
	i.upgrade()
	stop()
	l.settle()
	// On a machine that does much else a message to all of them takes more than the 500 ms
	// that requests under way have: then its sender gets no answer, and nothing is lost.
	l.report(l.balance(func(*listener) bool { return false }))
}

// TestTheControlChannelIsMadeAgain when somebody has removed its file, or its folder; until
// then, and at an upgrade meanwhile, those who are connected go on.
func TestTheControlChannelIsMadeAgain(t *testing.T) {
	situation(t)
	i := install(t)
	folder := filepath.Join(i.folder, "run")
	path := filepath.Join(folder, "control.sock")
	i.env = append(i.env, "PNS4ONES_CONTROL="+path)
	i.client = control.NewClient(path)
	defer func() { i.client.Close() }()
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, 20)
	for _, remove := range []func(string) error{os.Remove, func(string) error { return os.RemoveAll(folder) }} {
		i.client.Close() // what is idle
		if err := remove(path); err != nil {
			t.Fatal(err)
		}
		await(t, "the channel is there again", func() bool {
			_, err := i.client.Status(context.Background())
			return err == nil
		})
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	before := i.status() // on a connection that there was
	if _, err := i.client.Upgrade(context.Background()); err != nil {
		t.Fatal(err)
	}
	await(t, "another process answers", func() bool {
		i.client.Close()
		now, err := i.client.Status(context.Background())
		return err == nil && now.PID != before.PID && now.Sessions == before.Sessions
	})
	l.settle()
	l.check()
}

// TestKeysThatAreGoneAfterARestart close their sessions, which are counted, and whose ends
// are told, apart from those that were lost.
func TestKeysThatAreGoneAfterARestart(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l, gone := newLedger(t, i.client), newLedger(t, i.client)
	l.open(20)
	gone.open(30)
	i.end()
	apps, err := app.Open(filepath.Join(i.folder, "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = apps.RotateClientKey(gone.app.ID, 0)
	if err := errors.Join(err, apps.Close()); err != nil {
		t.Fatal(err)
	}
	i.start(systemd.next(i.program))
	last := i.status().LastHandover
	if last == nil || last.Sessions != 20 || last.Revoked != 30 || last.Lost != 0 {
		t.Errorf("of 20 sessions and 30 under the key the record is %+v", last)
	}
	await(t, "their ends are in the log", func() bool { return strings.Count(i.said(), "reason=key_revoked") == 30 })
	if n := i.status().Closed["key_revoked"]; n != 30 {
		t.Errorf("%d are counted as closed", n)
	}
	l.settle()
	l.check()
}

// TestASuccessorThatIsStartedTooLate is ended, and the next upgrade works.
func TestASuccessorThatIsStartedTooLate(t *testing.T) {
	situation(t)
	i := install(t)
	systemd := newServiceManager(t, i)
	plan := i.plan("U.O.spawn", faultWait)
	i.start(systemd.next(i.program))
	l := openLedger(t, i.client, 20)
	i.refusedUpgrade()
	before := i.status()
	i.goOn(plan)
	i.upgrade()
	i.awaitOneProcess()
	if now := i.status(); now.PID == before.PID || now.LastHandover.FromPID != before.PID {
		t.Errorf("it was %d and is %+v", before.PID, now)
	}
	l.settle()
	l.check()
}

// TestADatabaseThatIsOpenTooLate is let go of by the process that serves without it until it
// has opened it once more.
func TestADatabaseThatIsOpenTooLate(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, 20)
	i.end()
	plan := i.plan("N.open", faultWait)
	i.start(systemd.next(i.program))
	if !strings.Contains(i.said(), "the disk does not answer") {
		t.Error("it does not say why it serves from memory")
	}
	l.settle()
	i.goOn(plan)
	i.awaitDatabase()
	if _, err := i.client.CreateApp(context.Background(), "afterwards"); err != nil {
		t.Error(err)
	}
	i.upgrade()
	l.settle()
	l.check()
}

// TestAFreezeThatIsHeldUp ends the successor in time, and goes on as soon as it can.
func TestAFreezeThatIsHeldUp(t *testing.T) {
	situation(t)
	i := install(t)
	systemd := newServiceManager(t, i)
	plan := i.plan("U.O.freeze", faultWait)
	daemon := i.start(systemd.next(i.program))
	l := openLedger(t, i.client, 20)
	id, err := i.client.Upgrade(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	i.awaitStep(plan)
	await(t, "the successor has ended", func() bool { return slices.Equal(i.processes(), []int{daemon.Process.Pid}) })
	i.goOn(plan)
	await(t, "the upgrade has failed", func() bool {
		last := i.status().LastHandover
		return last != nil && last.ID == id && !last.Done
	})
	if last := i.status().LastHandover; last.Sessions != 20 || last.Why == "" {
		t.Errorf("the last hand-over is %+v", last)
	}
	i.upgrade()
	l.settle()
	l.check()
}

// TestAKeyEndsAtTheVeryRestart has the grace of a key end within a few milliseconds of a
// restart: its sessions end, and those of others stay.
func TestAKeyEndsAtTheVeryRestart(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, daemon := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	for range moments() {
		ending := openLedger(t, i.client, 50)
		const grace = time.Second
		if _, err := i.client.RotateClientKey(context.Background(), ending.app.ID, grace); err != nil {
			t.Fatal(err)
		}
		time.Sleep(grace - 20*time.Millisecond + rand.N(20*time.Millisecond)) // any moment around the end will do
		daemon.Process.Signal(syscall.SIGTERM)
		daemon.Wait()
		daemon = i.start(systemd.next(i.program))
		await(t, "the sessions under the key have ended", func() bool { return len(ending.alive()) == 0 })
		if n := len(l.alive()); n != len(l.sessions) || i.status().Sessions != n {
			t.Fatalf("of %d other sessions %d are left, and the daemon has %d", len(l.sessions), n, i.status().Sessions)
		}
	}
	l.settle()
	l.check()
}

// TestASuccessorThatSaysReadyAndDies says so in the words of the version before.
func TestASuccessorThatSaysReadyAndDies(t *testing.T) {
	situation(t)
	i := install(t)
	systemd, daemon := i.startUnderSystemd(t)
	l := openLedger(t, i.client, 20)
	i.replaceProgram(func(f *os.File) {
		fmt.Fprint(f, "#!/bin/bash\ncase \"$*\" in *-check*) exit 0;; esac\nprintf ready >&3; exit 0\n")
	})
	i.client.Upgrade(context.Background()) // which is refused
	await(t, "the daemon serves alone", func() bool {
		status, err := i.client.Status(context.Background())
		return err == nil && status.PID == daemon.Process.Pid && slices.Equal(i.processes(), []int{status.PID})
	})
	if pid := systemd.follows(); pid != 0 && pid != daemon.Process.Pid {
		t.Errorf("systemd follows %d", pid)
	}
	l.settle()
	l.check()
}
