package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestUpgradesLoseNothing(t *testing.T) {
	i := install(t)
	first := i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()
	var notServed []time.Duration
	for range *fireRounds {
		i.upgrade()
		notServed = append(notServed, i.notServed())
	}
	t.Logf("not served for %v", notServed)
	stop()
	l.settle()
	if err := first.Wait(); err != nil {
		t.Errorf("the first process: %v", err)
	}
	if b := l.check(); b.accepted < 2**fireRounds {
		t.Errorf("only %d messages were sent", b.accepted)
	}
}

func TestAProgramThatCannotTakeOverDoesNot(t *testing.T) {
	script := func(text string) func(*os.File) {
		return func(f *os.File) { io.WriteString(f, "#!/bin/bash\n"+text) }
	}
	i := install(t)
	good := i.program + ".good"
	if err := os.Link(i.program, good); err != nil {
		t.Fatal(err)
	}
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()

	before := i.status()
	i.replaceProgram(script("echo 'pns4ones.toml:3: something is wrong' >&2; exit 1"))
	if _, err := i.client.Upgrade(context.Background()); err == nil ||
		!strings.Contains(err.Error(), "something is wrong") {
		t.Errorf("refused with %v", err)
	}
	if now := i.status(); now.PID != before.PID {
		t.Error("it was upgraded to what refuses the settings")
	}

	refused := func() {
		t.Helper()
		before := i.status()
		_, err := i.client.Upgrade(context.Background())
		if err == nil {
			t.Error("it was not refused")
		}
		t.Logf("refused: %v", err)
		now := i.status()
		if now.PID != before.PID || now.Sessions != before.Sessions || now.Listen != before.Listen {
			t.Errorf("it was %+v and is %+v", before, now)
		}
	}
	// It passes the check, and then crashes, says something else, or ends later.
	for _, text := range []string{"exit 3", "kill -SEGV $$", "printf nonsense >&3", "sleep 0.1; exit 0"} {
		i.replaceProgram(script("case \"$*\" in *-check*) exit 0;; esac\n" + text))
		refused()
	}

	// The program is good, but its settings are not, which only a start shows.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	i.replaceProgram(script(`case "$*" in *-check*) exit 0;; esac; PNS4ONES_METRICS_LISTEN=` + taken.Addr().String() +
		` exec -a pns4ones ` + good + ` "$@"`))
	refused()

	// It may have fewer files open than there are sessions, and would have other ports.
	i.replaceProgram(script(`case "$*" in *-check*) exit 0;; esac; ulimit -n 100; PNS4ONES_SERVICE=127.0.0.1:0 exec -a pns4ones ` + good + ` "$@"`))
	refused()

	// And then a good one.
	if err := os.Rename(good, i.program); err != nil {
		t.Fatal(err)
	}
	i.upgrade()
	stop()
	l.settle()
	l.check()
}

// TestASlowUpgradeHasItsTime has as much time go by before the freeze as a successor has
// for its hello: what comes after has a deadline of its own.
func TestASlowUpgradeHasItsTime(t *testing.T) {
	situation(t)
	i := install(t)
	plan := i.plan("U.O.gate", faultWait)
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	before := i.status()
	asked := make(chan error, 1)
	go func() {
		_, err := i.client.Upgrade(context.Background())
		asked <- err
	}()
	i.awaitStep(plan)
	<-time.After(impatient.Hello)
	i.goOn(plan)
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
	await(t, "the hand-over has ended", func() bool {
		status, err := i.client.Status(context.Background())
		return err == nil && status.LastHandover != nil
	})
	if now := i.status(); now.PID == before.PID {
		t.Errorf("it was not upgraded: %s", now.LastHandover.Why)
	}
	l.settle()
	l.check()
}

// TestAnUpgradeThatFailsUnderAScript kills the script, for that is what was started. The
// daemon that it runs has got everything, and must not take over for all that.
func TestAnUpgradeThatFailsUnderAScript(t *testing.T) {
	i := install(t)
	good := i.program + ".good"
	if err := os.Link(i.program, good); err != nil {
		t.Fatal(err)
	}
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	before := i.status()
	i.replaceProgram(func(f *os.File) {
		io.WriteString(f,
			"#!/bin/bash\ncase \"$*\" in *-check*) exit 0;; esac\n(exec -a pns4ones "+good+" \"$@\")\n:\n")
	})
	for _, step := range []string{"N.open", "O.close"} {
		t.Log(step)
		i.plan(step, faultError)
		if _, err := i.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		await(t, "one process is left, and serves", func() bool {
			status, err := i.client.Status(context.Background())
			return err == nil && status.LastHandover != nil && len(i.processes()) == 1
		})
		if now := i.status(); now.PID != before.PID || now.Sessions != before.Sessions {
			t.Errorf("it was %+v and is %+v", before, now)
		}
	}
	stop()
	l.settle()
	l.check()
}

func TestSystemdRestartsLoseNothing(t *testing.T) {
	i := install(t)
	systemd, daemon := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()
	var notServed []time.Duration
	for range *fireRounds {
		i.stop(daemon)
		if n := systemd.storedFiles(); n != 2 {
			t.Fatalf("%d descriptors are in the store", n)
		}
		// One that does not start leaves them to the next one.
		broken := systemd.next(i.program)
		broken.Env = append(append(append([]string{}, i.env...), broken.Env...), "PNS4ONES_LISTEN=nonsense::")
		if out, err := broken.CombinedOutput(); err == nil {
			t.Fatalf("it started with bad settings: %s", out)
		}
		daemon = i.start(systemd.next(i.program))
		if now := i.status(); now.Sessions != len(l.sessions) {
			t.Fatalf("%d sessions are left", now.Sessions)
		}
		notServed = append(notServed, i.notServed())
		await(t, "the store is empty", func() bool { return systemd.storedFiles() == 0 })
	}
	t.Logf("not served for %v", notServed)
	stop()
	l.settle()
	l.check()
}

// stepFault is a row of the table of what goes wrong at a step of a hand-over.
type stepFault struct {
	step, kind string
	lost       bool // the sessions were the killed process's alone
}

// upgradeFaults are those of an upgrade: O is the process that hands over, N its successor.
func upgradeFaults() (faults []stepFault) {
	for _, step := range []string{
		"U.O.spawn", "U.O.early", "U.O.gate", "U.O.send", "O.close", "U.O.turn", "U.O.mainpid", "U.O.barrier",
		"U.N.look", "U.N.ports", "U.N.receive", "U.N.got", "N.open", "U.N.ready", "U.N.take",
	} {
		for _, kind := range []string{faultError, faultHang, faultKill} {
			if step == "U.O.gate" && kind == faultHang {
				continue // no work is done there that could hang
			}
			// Until it has sent the document, O alone knows who the sessions are.
			alone := slices.Contains([]string{"U.O.spawn", "U.O.early", "U.O.gate", "U.O.send"}, step)
			faults = append(faults, stepFault{step, kind, alone && kind == faultKill})
		}
	}
	return faults
}

// restartFaults are those of a restart: O ends, N is started by systemd.
func restartFaults() (faults []stepFault) {
	for _, step := range []string{"R.O.store", "O.close", "R.O.barrier", "R.N.settings", "N.open", "R.N.read",
		"R.N.ports"} {
		for _, kind := range []string{faultError, faultHang, faultKill} {
			// Who has the sessions alone: O before they are in the store, N after it has read it.
			alone := step == "R.O.store" || step == "R.N.ports"
			faults = append(faults,
				stepFault{step, kind, alone && (kind == faultKill || step == "R.N.ports" && kind == faultHang)})
		}
	}
	return faults
}

// aSample is some of the faults, another one at each run; all of them with -fire.table.
func aSample(t *testing.T, faults []stepFault, n int) []stepFault {
	if *fireTable {
		return faults
	}
	rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
	return faults[:min(n, len(faults))]
}

// TestEveryFaultOfAnUpgrade has each step fail, hang or be the last one of its process:
// nobody is lost but the sessions of a process that was killed and had them alone.
func TestEveryFaultOfAnUpgrade(t *testing.T) {
	for _, fault := range aSample(t, upgradeFaults(), 3) {
		t.Run(fault.step+" "+fault.kind, func(t *testing.T) {
			i := install(t)
			systemd := newServiceManager(t, i)
			plan := i.plan(fault.step, fault.kind)
			daemon := i.start(systemd.next(i.program))
			l := openLedger(t, i.client, *fireSessions)
			stop := l.sendAllAround(2, time.Millisecond)
			defer stop()
			i.client.Upgrade(context.Background()) // may be refused
			await(t, "it has come to the step", func() bool { _, err := os.Stat(plan); return err != nil })
			i.awaitOutcome(daemon, systemd)
			i.verdict(l, stop, fault, daemon, systemd)
		})
	}
}

// TestEveryFaultOfARestart is the same for the way through systemd's store.
func TestEveryFaultOfARestart(t *testing.T) {
	for _, fault := range aSample(t, restartFaults(), 2) {
		t.Run(fault.step+" "+fault.kind, func(t *testing.T) {
			i := install(t)
			systemd, daemon := i.startUnderSystemd(t)
			l := openLedger(t, i.client, *fireSessions)
			stop := l.sendAllAround(2, time.Millisecond)
			defer stop()
			plan := i.plan(fault.step, fault.kind)
			daemon.Process.Signal(syscall.SIGTERM)
			daemon.Wait()
			for starts := 0; ; starts++ { // systemd starts it again and again
				if starts == 3 {
					t.Fatal("it does not start")
				}
				daemon = systemd.next(i.program)
				if i.serves(daemon) {
					break
				}
			}
			if _, err := os.Stat(plan); err == nil {
				t.Error("it never came to the step")
			}
			i.verdict(l, stop, fault, daemon, systemd)
		})
	}
}

// notServed is how long nobody served the sessions at the last hand-over.
func (i *installation) notServed() time.Duration {
	i.t.Helper()
	h := i.status().LastHandover
	if h == nil {
		i.t.Fatal("there is no record of the hand-over")
	}
	return time.Duration(h.Seconds * float64(time.Second)).Round(time.Millisecond)
}

// plan has a step of the daemons that are started from now on go wrong, once.
func (i *installation) plan(step, kind string) (plan string) {
	i.t.Helper()
	plan = i.planPath()
	if err := os.WriteFile(plan, []byte(step+" "+kind), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return plan
}

func (i *installation) planPath() string { return filepath.Join(i.folder, "fault") }

// awaitOutcome waits until a process of the installation serves, and no other one runs.
func (i *installation) awaitOutcome(daemon *exec.Cmd, systemd *serviceManager) {
	i.t.Helper()
	go daemon.Wait()
	await(i.t, "one process serves, or none is left", func() bool {
		pids := i.processes()
		if len(pids) == 0 {
			return true
		}
		status, err := i.client.Status(context.Background())
		return err == nil && len(pids) == 1 && status.PID == pids[0]
	})
}

// serves starts the daemon, and reports whether it comes to serve.
func (i *installation) serves(daemon *exec.Cmd) bool {
	i.t.Helper()
	daemon.Env, daemon.Stdout, daemon.Stderr = append(i.env, daemon.Env...), i.log, i.log
	if err := daemon.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { daemon.Process.Kill() })
	ended := make(chan struct{})
	go func() {
		daemon.Wait()
		close(ended)
	}()
	// As systemd kills a start that takes too long: only after the fault that is planned for it,
	// for without one a start takes as long as the machine makes it.
	_, err := os.Stat(i.planPath())
	planned, deadline := err == nil, time.Now().Add(patience)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(i.planPath()); planned && err != nil {
			planned, deadline = false, time.Now().Add(4*time.Second)
		}
		select {
		case <-ended:
			return false
		default:
		}
		if _, err := i.client.Status(context.Background()); err == nil {
			return true
		}
	}
	daemon.Process.Kill()
	<-ended
	return false
}

// verdict is the ledger's.
func (i *installation) verdict(l *ledger, stop func(), fault stepFault, daemon *exec.Cmd, systemd *serviceManager) {
	i.t.Helper()
	if _, err := i.client.Status(context.Background()); err != nil {
		if !fault.lost {
			i.t.Errorf("nobody serves: %v", err)
		}
		// What systemd does with a service that has failed.
		if !i.serves(systemd.next(i.program)) {
			i.t.Fatal("it does not start again")
		}
	}
	stop()
	l.refind()
	l.settle()
	b := l.balance(func(*listener) bool { return fault.lost })
	l.report(b)
	switch {
	case fault.lost && b.ended != b.sessions:
		i.t.Errorf("%d of %d sessions ended", b.ended, b.sessions)
	case !fault.lost && b.doubtful > 0:
		// A request may be cut off by the end of the process that was killed, no more.
		if fault.kind != faultKill {
			i.t.Errorf("%d messages were not answered, among them: %s", b.doubtful, l.aDoubt())
		}
	}
	l.open(1)
	l.settle()
	if pids := i.processes(); len(pids) != 1 {
		i.t.Errorf("%d processes are left", len(pids))
	}
}

// TestWhateverHappensToTheDaemon holds sessions of a daemon and sends, until its input
// ends, for scripts that restart the daemon meanwhile.
func TestWhateverHappensToTheDaemon(t *testing.T) {
	if *fireControl == "" {
		t.Skip("for a daemon that runs, given by -fire.control")
	}
	client := control.NewClient(*fireControl)
	defer client.Close()
	l := newLedger(t, client)
	l.open(*fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	t.Log("ready")
	io.Copy(io.Discard, os.Stdin)
	stop()
	l.settle()
	l.check()
}
