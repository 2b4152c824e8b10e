package main

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestUpgradesDuringUpgrades asks for several at once: whatever becomes of each request,
// nothing is lost.
func TestUpgradesDuringUpgrades(t *testing.T) {
	i := install(t)
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	for range *fireRounds {
		before := i.status()
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				client := control.NewClient(filepath.Join(i.folder, "control.sock"))
				defer client.Close()
				client.Upgrade(context.Background()) // one of them at least is too late
			})
		}
		asking.Wait()
		await(t, "another process answers", func() bool {
			now, err := i.client.Status(context.Background())
			return err == nil && now.PID != before.PID
		})
	}
	stop()
	l.settle()
	l.check()
}

// TestKillsDuringUpgrades kills the old or the new process at any moment of an upgrade.
// Sessions may be lost then; but none gets what is not for it, or twice, nothing hangs,
// and the daemon can be started again.
func TestKillsDuringUpgrades(t *testing.T) {
	kept, lost := 0, 0
	for round := range 2 * *fireRounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			b := killDuringUpgrade(t, round%2 == 1, rand.N(100*time.Millisecond))
			kept, lost = kept+b.sessions-b.ended, lost+b.ended
		})
	}
	t.Logf("%d kills: %d sessions kept, %d lost", 2**fireRounds, kept, lost)
}

func killDuringUpgrade(t *testing.T, killNew bool, after time.Duration) balance {
	i := install(t)
	old := i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	if _, err := i.client.Upgrade(context.Background()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after) // any moment will do
	if victim := childOf(old.Process.Pid); killNew && victim != 0 {
		syscall.Kill(victim, syscall.SIGKILL)
	} else {
		old.Process.Kill()
	}
	i.awaitQuiet()
	stop()
	if _, err := i.client.Status(context.Background()); err != nil {
		i.start(exec.Command(i.program))
	}
	l.refind()
	l.settle()
	b := l.balance(func(*listener) bool { return true })
	l.report(b)
	l.open(1)
	l.settle()
	return b
}

// childOf is a process that another one has started; 0: none.
func childOf(pid int) int {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	first, _, _ := strings.Cut(string(text), " ")
	child, _ := strconv.Atoi(first)
	return child
}

// awaitQuiet waits until a process of the installation serves, or none is left.
func (i *installation) awaitQuiet() {
	i.t.Helper()
	await(i.t, "a process serves or none is left", func() bool {
		if _, err := i.client.Status(context.Background()); err == nil {
			return true
		}
		return len(i.processes()) == 0
	})
}

// processes are those of the installation that run.
func (i *installation) processes() (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range all {
		environ, _ := os.ReadFile(folder + "/environ")
		if strings.Contains(string(environ), faultVariable+"="+i.planPath()+"\x00") {
			pid, _ := strconv.Atoi(filepath.Base(folder))
			pids = append(pids, pid)
		}
	}
	return pids
}

// refind tells the senders and later sessions where the daemon is that was started anew.
func (l *ledger) refind() {
	l.t.Helper()
	status, err := l.client.Status(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	l.listen, l.service = status.Listen, status.Service
}

// TestOutOfDescriptors has more connect than the process may have files open. Those who
// are connected do not notice; those who come later are let in when there is room.
func TestOutOfDescriptors(t *testing.T) {
	i := install(t)
	daemon := exec.Command("/bin/sh", "-c", `ulimit -n 250; exec "$0"`, i.program)
	i.start(daemon)
	l := openLedger(t, i.client, 100)
	stop := l.sendAllAround(1, time.Millisecond)
	defer stop()
	var crowd []net.Conn
	for range 300 {
		conn, err := net.DialTimeout("tcp", l.service, patience)
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, conn)
	}
	await(t, "the log tells of it", func() bool { return strings.Contains(i.said(), "cannot accept connections") })
	for _, conn := range crowd {
		conn.Close()
	}
	stop()
	l.open(20)
	l.settle()
	l.check()
	i.stop(daemon)
}

// TestDiskFull changes keys while nothing can be written. The change is refused, nobody
// notices, and it works when there is room again.
func TestDiskFull(t *testing.T) {
	i := install(t)
	if err := unix.Mount("tmpfs", i.folder, "tmpfs", 0, "size=512k"); err != nil {
		t.Skip("needs a file system of its own: ", err)
	}
	t.Cleanup(func() { unix.Unmount(i.folder, unix.MNT_DETACH) })
	i.program = os.Args[0]
	daemon := exec.Command(i.program)
	daemon.Args[0] = "pns4ones"
	i.start(daemon)
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	ctx := context.Background()

	refused := func(what, why string) {
		t.Helper()
		// A small change may still fit into the pages of the database.
		for n := range 1000 {
			if _, err := i.client.CreateApp(ctx, what+strconv.Itoa(n)); err != nil {
				var answer *control.Error
				if !errors.As(err, &answer) || answer.Code != control.CodeNotStored ||
					!strings.Contains(err.Error(), why) {
					t.Errorf("%s: refused with %v", what, err)
				}
				t.Logf("%s: %v", what, err)
				return
			}
		}
		t.Errorf("%s: everything could be written", what)
	}
	filler := filepath.Join(i.folder, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
	refused("disk full", "no space")
	os.Remove(filler)
	if _, err := i.client.RotateServerKey(ctx, l.app.ID, time.Hour); err != nil {
		t.Errorf("with room again: %v", err)
	}
	stop()
	l.settle()
	l.check()
	i.stop(daemon)

	// A start on a disk that became read-only says so.
	i.log.Close()
	if err := unix.Mount("", i.folder, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	again := exec.Command(i.program)
	again.Args[0], again.Env = "pns4ones", i.env
	out, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "read-only file system") {
		t.Errorf("on a read-only disk it says %v: %s", err, out)
	}
	t.Logf("on a read-only disk: %s", out)
}

// TestLittleMemory gives the daemon a limit far below what its slow sessions could make
// it hold. Those are closed; the others do not notice.
func TestLittleMemory(t *testing.T) {
	i := install(t)
	i.env = append(i.env, "GOMEMLIMIT=64MiB", "PNS4ONES_SESSION_QUEUE_SIZE=256KiB", "PNS4ONES_WRITE_TIMEOUT=2s")
	daemon := i.start(exec.Command(i.program))
	confined := confine(t, daemon.Process.Pid, 160<<20)
	f := newFire(t, i)
	f.open(*fireSessions)
	stop := f.sendAllAround(2, time.Millisecond)
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(2**fireTime, cancel)
	stall(ctx, f)
	stop()
	f.settle()
	f.check()
	t.Logf("at most %d MiB of memory; the system would have killed it above 160 MiB: %t",
		memory(t, daemon.Process.Pid, "VmHWM:")>>20, confined)
	i.stop(daemon)
}

// confine has the system kill a process that takes more memory, if that can be had here.
func confine(t *testing.T, pid, limit int) bool {
	t.Helper()
	for _, group := range []struct{ root, limit string }{
		{"/sys/fs/cgroup", "memory.max"},
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, // version 1
	} {
		folder := filepath.Join(group.root, "pns4ones"+strconv.Itoa(pid))
		if _, err := os.Stat(filepath.Join(group.root, "cgroup.procs")); err != nil || os.Mkdir(folder, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			await(t, "the group is empty", func() bool { return os.Remove(folder) == nil })
		})
		write := func(file string, number int) error {
			return os.WriteFile(filepath.Join(folder, file), []byte(strconv.Itoa(number)), 0)
		}
		if write(group.limit, limit) == nil && write("cgroup.procs", pid) == nil {
			return true
		}
	}
	return false
}

// memory is a size of a process in bytes (proc(5)): resident now, or at most.
func memory(t testing.TB, pid int, which string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), which)
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}

// TestPeersVanish takes away the network of sessions, so that no word of their end comes:
// the daemon finds out by itself, and meanwhile nobody else notices.
func TestPeersVanish(t *testing.T) {
	network := newNetwork(t)
	i := install(t)
	i.env = append(i.env, "PNS4ONES_SERVICE=*:0", "PNS4ONES_PEER_TIMEOUT=3s")
	daemon := i.start(exec.Command(i.program))
	f := newFire(t, i)
	f.open(*fireSessions)
	files := openFiles(t, daemon.Process.Pid)
	stop := f.sendAllAround(2, time.Millisecond)
	defer stop()

	_, port, _ := net.SplitHostPort(f.service)
	var vanishing []net.Conn
	for range 20 {
		conn := network.dial(net.JoinHostPort(network.ours, port))
		if _, err := conn.Write(f.registration()); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(patience))
		f.answered(context.Background(),
			f.post(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"nuisance"},"Message":{"Topic":"x"}}`), 200)
		vanishing = append(vanishing, conn)
	}
	await(t, "they are registered", func() bool { return i.status().Sessions == *fireSessions+len(vanishing) })
	network.down()
	// What is sent to them fills the system's buffers, which would else take their time.
	f.answered(context.Background(), f.large(), 200)
	await(t, "the daemon has found out", func() bool { return i.status().Sessions == *fireSessions })
	await(t, "it has let go of them", func() bool { return openFiles(t, daemon.Process.Pid) <= files+4 })
	var count map[string]int
	await(t, "the log has the reason of each end", func() bool {
		reasons := i.endsOfSessions()
		count = make(map[string]int)
		for _, conn := range vanishing {
			count[reasons[conn.LocalAddr().String()]]++
		}
		return count[""] == 0
	})
	t.Logf("%d vanished; the reasons in the log: %v", len(vanishing), count)
	stop()
	f.settle()
	f.check()
	i.stop(daemon)
}

// TestSoak lets the daemon run, with sessions that come and go, and an upgrade now and
// then, and checks that nothing grows.
func TestSoak(t *testing.T) {
	i := install(t)
	i.env = append(i.env, "PNS4ONES_METRICS_LISTEN=127.0.0.1:0")
	i.start(exec.Command(i.program))
	f := newFire(t, i)
	f.open(*fireSessions)
	stop := f.sendAllAround(1, 20*time.Millisecond)
	defer stop()
	end := time.Now().Add(*fireSoak)
	settled := i.size()
	for round := 1; time.Now().Before(end) || round <= 3; round++ {
		for range 50 {
			c, err := wire.Dial(context.Background(), f.service, wire.Registration{AppID: f.app.ID, IbID: infobase,
				UserID: "nuisance"}, f.key)
			if err != nil {
				t.Fatal(err)
			}
			f.answered(context.Background(),
				f.post(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"nuisance"},"Message":{"Topic":"x"}}`), 200)
			c.Close()
		}
		await(t, "they are gone", func() bool { return i.status().Sessions == *fireSessions })
		time.Sleep(*fireTime)
		now := i.size()
		if now.files > settled.files+10 || now.goroutines > settled.goroutines+20 {
			t.Errorf("round %d: %+v, after %+v", round, now, settled)
		}
		if round%500 == 0 {
			t.Logf("round %d: %+v", round, now)
			i.upgrade()
			settled = i.size()
		}
		if round%50 == 0 {
			f.token = f.newSender(0).token // before the earlier one ends
		}
	}
	stop()
	f.settle()
	f.check()
	f.reportFaults()
}

// size is what a daemon that runs takes.
type size struct{ files, goroutines, memory int }

func (i *installation) size() (now size) {
	i.t.Helper()
	pid := i.status().PID
	now.goroutines = int(i.metric("go_goroutines"))
	now.files, now.memory = openFiles(i.t, pid), memory(i.t, pid, "VmRSS:")
	return now
}

// metric is what the daemon measures under a name, with labels; 0: nothing.
func (i *installation) metric(name string) (value float64) {
	i.t.Helper()
	response, err := http.Get("http://" + i.status().MetricsListen + "/metrics")
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if number, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			value, _ = strconv.ParseFloat(number, 64)
		}
	}
	return value
}
