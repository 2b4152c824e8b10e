package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestUpgradesLoseNothing(t *testing.T) {
	i := install(t)
	first := i.start(exec.Command(i.program))
	l := newLedger(t, i.client)
	l.open(*fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()
	for range *fireRounds {
		i.upgrade()
	}
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
	l := newLedger(t, i.client)
	l.open(*fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()

	before := i.status()
	i.replaceProgram(script("echo 'pns4ones.toml:3: something is wrong' >&2; exit 1"))
	if _, err := i.client.Upgrade(context.Background()); err == nil || !strings.Contains(err.Error(), "something is wrong") {
		t.Errorf("refused with %v", err)
	}
	if now := i.status(); now.PID != before.PID {
		t.Error("it was upgraded to what refuses the settings")
	}

	goesOn := func() {
		t.Helper()
		before := i.status()
		if _, err := i.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		await(t, "the version that ran goes on", func() bool {
			now, err := i.client.Status(context.Background())
			return err == nil && now.UpgradeFailed != "" && now.PID == before.PID && now.Sessions == before.Sessions && now.Listen == before.Listen
		})
	}
	// It passes the check, and then crashes, says something else, or ends later.
	for _, text := range []string{"exit 3", "kill -SEGV $$", "printf nonsense >&3", "sleep 0.1; exit 0"} {
		i.replaceProgram(script("case \"$*\" in *-check*) exit 0;; esac\n" + text))
		goesOn()
	}

	// The program is good, but its settings are not, which only a start shows.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	i.replaceProgram(script(`case "$*" in *-check*) exit 0;; esac; PNS4ONES_METRICS_LISTEN=` + taken.Addr().String() + ` exec -a pns4ones ` + good + ` "$@"`))
	goesOn()

	// And then a good one.
	if err := os.Rename(good, i.program); err != nil {
		t.Fatal(err)
	}
	i.upgrade()
	stop()
	l.settle()
	l.check()
	if !strings.Contains(i.said(), "this version goes on") {
		t.Error("nobody said that the upgrade failed")
	}
}

func TestSystemdRestartsLoseNothing(t *testing.T) {
	i := install(t)
	systemd := newServiceManager(t, i)
	daemon := i.start(systemd.next(i.program))
	l := newLedger(t, i.client)
	l.open(*fireSessions)
	stop := l.sendAllAround(2, 0)
	defer stop()
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
		await(t, "the store is empty", func() bool { return systemd.storedFiles() == 0 })
	}
	stop()
	l.settle()
	l.check()
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
