package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// TestQueuesStayWithinTheMemoryThereIs has many sessions that read nothing, to each of which
// large messages go, and the daemon in a control group in which ten times as many bytes as they
// would wait for have no room. It is never killed, and who reads gets everything.
//
// The send buffers are the system's, and count for the group too: they have to be small. It is
// a step of .ci/run (memory), which says:
//
//	unshare --net sh -c 'ip link set lo up; cd /proc/sys/net/ipv4; echo "4096 8192 8192" | tee tcp_wmem tcp_rmem; cd -
//	    go test ./cmd/pns4ones -v -run TestQueuesStay -fire.sessions 10000'
func TestQueuesStayWithinTheMemoryThereIs(t *testing.T) {
	text, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_wmem")
	if !strings.HasSuffix(strings.Join(strings.Fields(string(text)), " "), " 8192") {
		t.Skip("needs a network whose send buffers have 8 KiB")
	}
	limit := 512 << 20 * *fireSessions / 10_000
	i := install(t)
	i.env = append(i.env, "PNS4ONES_WRITE_TIMEOUT=1h", "PNS4ONES_LOG_LEVEL=Warning")
	group := newConfinement(t, limit)
	daemon := i.start(exec.Command("sh", "-c", `echo $$ >"$0" && exec "$@"`,
		filepath.Join(group.folder, "cgroup.procs"), i.program))
	l := newLedger(t, i.client)
	key, err := wire.ParseClientKey(l.app.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(user string) *wire.Client {
		conn, err := wire.Dial(context.Background(), l.service,
			wire.Registration{AppID: l.app.ID, IbID: infobase, UserID: user}, key)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	reader := dial("reader")
	t.Cleanup(func() { reader.Close() })
	silent := make([]*wire.Client, *fireSessions)
	defer func() {
		for _, conn := range silent {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	const rounds, senders, bytes = 2, 4, 64 << 10
	most, reconnected := int64(0), 0
	for range rounds {
		there := connected(t, i.client)
		for n, conn := range silent {
			if conn != nil && there[conn.LocalAddr().String()] {
				continue
			}
			if conn != nil { // it was dropped, and comes back
				conn.Close()
				reconnected++
			}
			silent[n] = dial(strconv.Itoa(n))
		}
		await(t, "all are registered", func() bool { return i.status().Sessions == *fireSessions+1 })
		var next atomic.Int64
		var sending errgroup.Group
		for n := range senders {
			sender := l.newSender(n)
			sending.Go(func() error {
				for user := next.Add(1) - 1; user < int64(*fireSessions); user = next.Add(1) - 1 {
					body := fmt.Sprintf(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"%d"},"Message":{"Topic":"%s"}}`,
						user, strings.Repeat("x", bytes))
					if told, err := sender.post(body); err != nil || told.status != 200 {
						return fmt.Errorf("the daemon answers %d, %w", told.status, err)
					}
				}
				return nil
			})
		}
		sent := make(chan error, 1)
		go func() { sent <- sending.Wait() }()
		sender := l.newSender(senders)
		for done := false; !done; {
			select {
			case err := <-sent:
				if done = true; err != nil {
					t.Fatalf("%v; in the group %d processes were killed", err, group.killed(t))
				}
			case <-time.After(100 * time.Millisecond):
			}
			body := `{"Recipient":{"Type":"user","IbId":"ib","UserId":"reader"},"Message":{"Topic":"x"}}`
			if told, err := sender.post(body); err != nil || told.status != 200 {
				t.Fatalf("the daemon answers %d, %v", told.status, err)
			}
			if _, err := reader.Receive(); err != nil {
				t.Fatalf("who reads does not get everything: %v", err)
			}
			q := i.status().QueueMemory
			most = max(most, q.Bytes)
			if q.Bytes > q.MaxBytes+2*senders*bytes { // each of them may be about to make room for its message
				t.Errorf("the queues take %d bytes of %d", q.Bytes, q.MaxBytes)
			}
		}
	}
	status := i.status()
	memory, sockets := group.peak(t)
	t.Logf("%d sessions, %d messages of %d bytes: queues took at most %d MiB of %d, %d sessions were dropped, "+
		"%d came back; the group at most %d MiB of %d, with sockets of at most %d MiB (control groups of %s)",
		*fireSessions, rounds**fireSessions, bytes, most>>20, status.QueueMemory.MaxBytes>>20, status.QueueMemory.Dropped,
		reconnected, memory>>20, limit>>20, sockets>>20, group.version)
	if status.PID != daemon.Process.Pid || group.killed(t) > 0 {
		t.Errorf("the daemon was killed: %+v", status)
	}
	if memory > limit {
		t.Error("that is more than there is")
	}
	if status.QueueMemory.Dropped == 0 || status.DroppedAsSlow != status.QueueMemory.Dropped {
		t.Errorf("nobody was dropped for the memory: %+v", status)
	}
	// Again, if nobody was dropped for a minute while those that were came back.
	if n := strings.Count(i.said(), "messages that wait take more memory"); n < 1 || n > rounds {
		t.Errorf("it is said %d times that sessions are dropped", n)
	}
	i.stop(daemon)
}

// connected are the addresses of all sessions.
func connected(t *testing.T, client *control.Client) map[string]bool {
	t.Helper()
	there := make(map[string]bool)
	for q := (control.SessionQuery{Limit: 1000}); ; {
		page, err := client.Sessions(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			there[s.Addr] = true
		}
		if q.After = page.Next; q.After == "" {
			return there
		}
	}
}

// confinement is a control group that the system kills a process of when it takes more memory
// than it may.
type confinement struct{ folder, version, limitFile, peakFile, eventsFile string }

var confinements = []confinement{
	{"/sys/fs/cgroup", "version 2", "memory.max", "memory.peak", "memory.events"},
	{"/sys/fs/cgroup/memory", "version 1", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control"},
}

// newConfinement makes a group for a process that has still to begin in it.
func newConfinement(t *testing.T, limit int) confinement {
	t.Helper()
	for _, c := range confinements {
		root := c.folder
		c.folder = filepath.Join(root, "pns4ones-queues-"+strconv.Itoa(os.Getpid()))
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil || os.Mkdir(c.folder, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { await(t, "the group is empty", func() bool { return os.Remove(c.folder) == nil }) })
		if c.write(c.limitFile, limit) != nil {
			continue
		}
		if c.version == "version 1" { // it counts what sockets hold apart, and only under a limit of their own
			if err := c.write("memory.kmem.tcp.limit_in_bytes", limit); err != nil {
				t.Skip("what sockets hold cannot be measured here: ", err)
			}
		}
		return c
	}
	t.Skip("no control group with a bound on memory can be made here")
	return confinement{}
}

func (c confinement) write(file string, n int) error {
	return os.WriteFile(filepath.Join(c.folder, file), []byte(strconv.Itoa(n)), 0)
}

// peak is the most that the group has taken, sockets included, and how much of it these have or
// may have been.
func (c confinement) peak(t *testing.T) (memory, sockets int) {
	t.Helper()
	group := memoryGroup(c.folder)
	memory = group.read(t, c.peakFile)
	if c.version == "version 1" {
		sockets = group.read(t, "memory.kmem.tcp.max_usage_in_bytes")
		return memory + sockets, sockets // at the worst both peaks were at once
	}
	text, err := os.ReadFile(filepath.Join(c.folder, "memory.stat"))
	if err != nil {
		t.Fatal(err)
	}
	if line := regexp.MustCompile(`(?m)^sock (\d+)$`).FindSubmatch(text); line != nil {
		sockets, _ = strconv.Atoi(string(line[1])) // now
	}
	return memory, sockets
}

// killed is how many processes the system has ended for want of memory.
func (c confinement) killed(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.folder, c.eventsFile))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^oom_kill (\d+)$`).FindSubmatch(text)
	if line == nil {
		t.Fatalf("%s has no count of processes killed: %s", c.eventsFile, text)
	}
	n, _ := strconv.Atoi(string(line[1]))
	return n
}
