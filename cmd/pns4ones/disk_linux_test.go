package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// disk is a file system of its own, which can be made to stall.
type disk struct {
	t      *testing.T
	folder string
}

// newDisk makes one and has the installation keep its database there.
func newDisk(t *testing.T, i *installation) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a disk of its own")
	}
	d := &disk{t: t, folder: filepath.Join(i.folder, "disk")}
	if err := os.Mkdir(d.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(i.folder, "image")
	for _, command := range [][]string{
		{"truncate", "--size=16M", image},
		{"mkfs.ext4", "-q", "-F", image},
		{"mount", "-o", "loop", image, d.folder},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no disk of its own can be made here: %s: %s%v", command[0], out, err)
		}
	}
	t.Cleanup(func() {
		d.freeze("-u") // an error says that it is thawed already
		if err := unix.Unmount(d.folder, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	i.env = append(i.env, "PNS4ONES_DATA_DIR="+filepath.Join(d.folder, "data"))
	return d
}

func (d *disk) freeze(how string) error {
	return exec.Command("fsfreeze", how, d.folder).Run()
}

// stall has every write wait until resume.
func (d *disk) stall() {
	d.t.Helper()
	if err := d.freeze("-f"); err != nil {
		d.t.Skip("the disk cannot be made to stall here: ", err)
	}
}

func (d *disk) resume() {
	d.t.Helper()
	if err := d.freeze("-u"); err != nil {
		d.t.Fatal(err)
	}
}

// awaitStuck waits until the process waits for the disk.
func awaitStuck(t *testing.T, pid int) {
	t.Helper()
	await(t, "the process waits for the disk", func() bool {
		threads, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/stat")
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(state, "D") {
				return true
			}
		}
		return false
	})
}

// wantCode checks what a request was refused with.
func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	var refusal *control.Error
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%s: refused with %v, want %s", what, err, code)
	}
}

// TestAChangeWaitsForTheDisk has one do so at an upgrade, which is refused, and then at a
// restart: the sessions come first, and what the disk has in the end holds.
func TestAChangeWaitsForTheDisk(t *testing.T) {
	situation(t)
	i := install(t)
	d := newDisk(t, i)
	systemd, daemon := i.startUnderSystemd(t)
	l, changing := newLedger(t, i.client), newLedger(t, i.client)
	l.open(*fireSessions)
	changing.open(1)
	before := changing.app.ClientKey

	d.stall()
	answered := make(chan error, 1)
	go func() {
		client := control.NewClient(filepath.Join(i.folder, "control.sock"))
		defer client.Close()
		_, err := client.RotateClientKey(context.Background(), changing.app.ID, 0)
		answered <- err
	}()
	awaitStuck(t, daemon.Process.Pid)
	if _, err := i.client.Upgrade(context.Background()); err == nil {
		t.Error("it is upgraded meanwhile")
	}
	daemon.Process.Signal(syscall.SIGTERM)
	wantCode(t, "the change", <-answered, control.CodeOutcomeUnknown)
	await(t, "the sessions are in the store", func() bool { return systemd.storedFiles() == 2 })

	// The process cannot end as long as it is stuck, and has the database locked.
	i.start(systemd.next(i.program))
	stop := l.sendAllAround(1, time.Millisecond)
	defer stop()
	if i.status().DatabaseUnavailable == "" {
		t.Error("it says that the database is open")
	}
	_, err := i.client.CreateApp(context.Background(), "meanwhile")
	wantCode(t, "another change", err, control.CodeDatabaseUnavailable)
	d.resume()
	daemon.Wait() // it was told that it cannot be followed any more, whatever its status
	i.awaitDatabase()

	now, err := i.client.App(context.Background(), changing.app.ID)
	if err != nil {
		t.Fatal(err)
	}
	if now.ClientKey != before {
		await(t, "the sessions of the old key are closed", func() bool { return len(changing.alive()) == 0 })
	} else if len(changing.alive()) == 0 {
		t.Error("the key is as it was, and its session was closed")
	}
	if _, err := i.client.CreateApp(context.Background(), "afterwards"); err != nil {
		t.Error(err)
	}
	stop()
	l.settle()
	l.check()
}

// awaitDatabase waits until the daemon has its database.
func (i *installation) awaitDatabase() {
	i.t.Helper()
	await(i.t, "the database is open", func() bool {
		status, err := i.client.Status(context.Background())
		return err == nil && status.DatabaseUnavailable == ""
	})
}

// TestAKeyEndsWhileTheDiskStalls closes the sessions of an old key by the clock, and takes
// the key out of the file when the disk can; a restart in between loses nobody else.
func TestAKeyEndsWhileTheDiskStalls(t *testing.T) {
	situation(t)
	i := install(t)
	d := newDisk(t, i)
	systemd, daemon := i.startUnderSystemd(t)
	l, ending, later := newLedger(t, i.client), newLedger(t, i.client), newLedger(t, i.client)
	for _, l := range []*ledger{l, ending, later} {
		l.open(20)
	}
	for l, grace := range map[*ledger]time.Duration{ending: time.Second, later: 3 * time.Second} {
		if _, err := i.client.RotateClientKey(context.Background(), l.app.ID, grace); err != nil {
			t.Fatal(err)
		}
	}
	d.stall()
	await(t, "its sessions are closed", func() bool { return len(ending.alive()) == 0 })
	awaitStuck(t, daemon.Process.Pid)
	daemon.Process.Signal(syscall.SIGTERM)
	await(t, "the sessions are in the store", func() bool { return systemd.storedFiles() == 2 })
	i.start(systemd.next(i.program))
	await(t, "those of the other key are closed", func() bool { return len(later.alive()) == 0 })
	d.resume()
	daemon.Wait()
	await(t, "the keys are gone from the file", func() bool {
		for _, l := range []*ledger{ending, later} {
			if a, err := i.client.App(context.Background(), l.app.ID); err != nil || a.OldClientKeyUntil != nil {
				return false
			}
		}
		return true
	})
	l.settle()
	l.check()
}

// TestARestartOnAStalledDisk needs nothing from the disk.
func TestARestartOnAStalledDisk(t *testing.T) {
	situation(t)
	i := install(t)
	d := newDisk(t, i)
	systemd, daemon := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	d.stall()
	i.stop(daemon)
	i.start(systemd.next(i.program))
	l.settle()
	l.check()
	d.resume()
	i.awaitDatabase()
	if _, err := i.client.CreateApp(context.Background(), "afterwards"); err != nil {
		t.Error(err)
	}
}

// TestAChangeIsDoneAmidARestart has a change wait for a disk that is slow, so that sessions
// of its app are to be closed when those of all are being handed over.
func TestAChangeIsDoneAmidARestart(t *testing.T) {
	situation(t)
	i := install(t)
	d := newDisk(t, i)
	systemd, daemon := i.startUnderSystemd(t)
	l, changing := newLedger(t, i.client), newLedger(t, i.client)
	l.open(*fireSessions)
	changing.open(20)
	for _, after := range []time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond, 1500 * time.Millisecond} {
		d.stall()
		answered := make(chan error, 1)
		go func() {
			client := control.NewClient(filepath.Join(i.folder, "control.sock"))
			defer client.Close()
			_, err := client.RotateClientKey(context.Background(), changing.app.ID, 0)
			answered <- err
		}()
		awaitStuck(t, daemon.Process.Pid)
		daemon.Process.Signal(syscall.SIGTERM)
		time.Sleep(after) // the disk takes its time
		d.resume()
		err := <-answered
		daemon.Wait()
		daemon = i.start(systemd.next(i.program))
		i.awaitDatabase()
		if n := len(l.alive()); n != len(l.sessions) {
			t.Fatalf("of %d other sessions %d are left when the change took %v more (it was answered %v)",
				len(l.sessions), n, after, err)
		}
		now, err := i.client.App(context.Background(), changing.app.ID)
		if err != nil {
			t.Fatal(err)
		}
		if now.ClientKey != changing.app.ClientKey {
			await(t, "the sessions of the old key are closed", func() bool { return len(changing.alive()) == 0 })
		}
		changing.app = now
		changing.open(20)
	}
	l.settle()
	l.check()
}
