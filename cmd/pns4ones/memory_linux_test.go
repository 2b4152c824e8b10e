package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestLongQueuesAreHandedOverInLittleMemory has sessions that do not read, each with a
// message of its own of nearly 1 MiB. Both processes and what travels between them take
// hardly more memory at an upgrade than the one took before it.
//
// The system must not take the messages itself. By hand, where its buffers are small:
//
//	ip netns add small && ip netns exec small sh -c 'ip link set lo up &&
//	    sysctl -qw net.ipv4.tcp_wmem="4096 16384 32768" net.ipv4.tcp_rmem="4096 16384 32768" &&
//	    go test ./cmd/pns4ones -v -run TestLongQueues -fire.sessions 1000'
func TestLongQueuesAreHandedOverInLittleMemory(t *testing.T) {
	if text, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_wmem"); !strings.Contains(strings.Join(strings.Fields(string(text)),
		" "), " 32768") {
		t.Skip("needs a network whose buffers are small")
	}
	i := install(t)
	i.env = append(i.env, "PNS4ONES_WRITE_TIMEOUT=10m") // until all is there
	daemon := i.start(exec.Command(i.program))
	group := newMemoryGroup(t, daemon.Process.Pid)
	l := newLedger(t, i.client)
	key, err := wire.ParseClientKey(l.app.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	sender := l.newSender(0)
	for n := range *fireSessions {
		user := "user" + strconv.Itoa(n)
		conn, err := wire.Dial(context.Background(), l.service, wire.Registration{AppID: l.app.ID, IbID: infobase,
			UserID: user}, key)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		await(t, "it is registered", func() bool {
			body := `{"Recipient":{"Type":"user","IbId":"ib","UserId":"` + user + `"},"Message":{"Topic":"` +
				strconv.Itoa(n) +
				strings.Repeat("x", 1000000) + `"}}`
			if i.status().Sessions != n+1 {
				return false
			}
			told, err := sender.post(body)
			return err == nil && told.status == 200
		})
	}
	queued := 0
	page, err := i.client.Sessions(context.Background(), control.SessionQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range page.Sessions {
		queued += s.Queued
	}
	before := group.usage(t)
	group.forgetPeak(t)
	i.upgrade()
	peak := group.peak(t)
	t.Logf("%d sessions, %d MiB queued: %d MiB before, %d MiB at most, %.2f times; not served for %v", *fireSessions,
		queued>>20, before>>20, peak>>20,
		float64(peak)/float64(before), i.notServed())
	if *fireSessions >= 1000 && peak > before*12/10 {
		t.Error("that is too much")
	}
	status := i.status()
	if h := status.LastHandover; h.Lost != 0 || h.Sessions != *fireSessions {
		t.Errorf("%+v", h)
	}
	syscall.Kill(status.PID, syscall.SIGKILL) // so that the group is empty
}

// memoryGroup measures the memory of a process and of those that it starts (control
// groups, version 1).
type memoryGroup string

func newMemoryGroup(t *testing.T, pid int) memoryGroup {
	t.Helper()
	folder := filepath.Join("/sys/fs/cgroup/memory", "pns4ones"+strconv.Itoa(pid))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Skip("no control group can be made here: ", err)
	}
	t.Cleanup(func() { await(t, "the group is empty", func() bool { return os.Remove(folder) == nil }) })
	if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
	return memoryGroup(folder)
}

func (g memoryGroup) read(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(g), file))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// usage is what the group takes now; a moment later, for the garbage of the test before.
func (g memoryGroup) usage(t *testing.T) int {
	time.Sleep(time.Second)
	return g.read(t, "memory.usage_in_bytes")
}

func (g memoryGroup) peak(t *testing.T) int { return g.read(t, "memory.max_usage_in_bytes") }

func (g memoryGroup) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(g), "memory.max_usage_in_bytes"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
}
