package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
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

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// How much the tests under fire do. By hand, for minutes:
//
//	go test ./cmd/pns4ones -run UnderFire -fire.sessions 5000 -fire.rounds 20 -timeout 1h
var (
	fireSessions = flag.Int("fire.sessions", 100, "how many 1C sessions there are")
	fireRounds   = flag.Int("fire.rounds", 3, "how often a thing is repeated")
	fireTime     = flag.Duration("fire.time", 300*time.Millisecond, "how long each nuisance goes on")
	fireSoak     = flag.Duration("fire.soak", 0, "how long TestSoak goes on")
	fireControl  = flag.String("fire.control", "",
		"the control socket of a daemon that runs, for TestWhateverHappensToTheDaemon")
	fireTable  = flag.Bool("fire.table", false, "try every fault at every step of a hand-over, not a sample")
	fireLanded = flag.String("fire.landed", "",
		"the daemon of the version that handed over in the form before, for the tests that begin or end with it")
	fireProgram = flag.String("fire.program", "", "the daemon, if not the one that is in this test")
)

// installation is a program on disk, a folder for its data, and an app with
// sessions and a sender.
type installation struct {
	t       *testing.T
	folder  string
	program string
	env     []string
	client  *control.Client
	log     *os.File // of all processes
}

func install(t *testing.T) *installation {
	t.Helper()
	folder, err := os.MkdirTemp("", "pns") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	i := &installation{t: t, folder: folder, program: filepath.Join(folder, "pns4ones")}
	if i.log, err = os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.log.Close() })
	i.putProgram(thisProgram(t))
	i.env = append(os.Environ(), "PNS4ONES_LANG=en", "PNS4ONES_LISTEN=127.0.0.1:0", "PNS4ONES_SERVICE=127.0.0.1:0",
		"GORACE=atexit_sleep_ms=0",
		"CONFIGURATION_DIRECTORY="+filepath.Join(folder, "settings"), "PNS4ONES_DATA_DIR="+folder,
		"PNS4ONES_CONTROL="+filepath.Join(folder, "control.sock"), "PNS4ONES_LOG_LEVEL=Information",
		faultVariable+"="+i.planPath())
	i.client = control.NewClient(filepath.Join(folder, "control.sock"))
	t.Cleanup(i.client.Close)
	// Whichever processes there are by now, and whether they answer or not.
	t.Cleanup(func() {
		for _, pid := range i.processes() {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("the daemons said:\n%s", i.said())
		}
	})
	return i
}

// thisProgram is the file of the daemon that is tested.
func thisProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if *fireProgram != "" {
		self = *fireProgram
	}
	return self
}

// putProgram puts a copy of a file into the place of the program.
func (i *installation) putProgram(path string) {
	i.t.Helper()
	i.replaceProgram(func(to *os.File) {
		from, err := os.Open(path)
		if err != nil {
			i.t.Fatal(err)
		}
		defer from.Close()
		if _, err := io.Copy(to, from); err != nil {
			i.t.Fatal(err)
		}
	})
}

// said is what the daemons have logged.
func (i *installation) said() string {
	text, err := os.ReadFile(i.log.Name())
	if err != nil {
		i.t.Error(err)
	}
	return string(text)
}

// replaceProgram puts another file into the place of the program, as a package does.
func (i *installation) replaceProgram(write func(*os.File)) {
	i.t.Helper()
	// A process that another test starts meanwhile would have the file open for writing,
	// and nobody could run it.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(i.program+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		i.t.Fatal(err)
	}
	write(f)
	if err := f.Close(); err != nil {
		i.t.Fatal(err)
	}
	if err := os.Rename(i.program+".new", i.program); err != nil {
		i.t.Fatal(err)
	}
}

// start starts the daemon and returns when it answers.
func (i *installation) start(cmd *exec.Cmd) *exec.Cmd {
	i.t.Helper()
	cmd.Env, cmd.Stdout, cmd.Stderr = append(i.env, cmd.Env...), i.log, i.log
	if err := cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { cmd.Process.Kill() })
	await(i.t, "the daemon answers", func() bool {
		var ended unix.Siginfo
		if unix.Waitid(unix.P_PID, cmd.Process.Pid, &ended, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT,
			nil); ended.Signo != 0 {
			i.t.Fatal("the daemon has ended")
		}
		status, err := i.client.Status(context.Background())
		return err == nil && status.PID == cmd.Process.Pid
	})
	return cmd
}

func (i *installation) status() control.Status {
	i.t.Helper()
	status, err := i.client.Status(context.Background())
	if err != nil {
		i.t.Fatal(err)
	}
	return status
}

// upgrade has the program on disk take over, and returns when it, or the one that ran,
// serves.
func (i *installation) upgrade() {
	i.t.Helper()
	before := i.status()
	if _, err := i.client.Upgrade(context.Background()); err != nil {
		i.t.Fatal(err)
	}
	var now control.Status
	await(i.t, "another process answers", func() (ok bool) {
		var err error
		now, err = i.client.Status(context.Background())
		return err == nil && now.PID != before.PID
	})
	if now.Sessions != before.Sessions || now.Service != before.Service || now.Listen != before.Listen {
		i.t.Fatalf("it was %+v and is %+v", before, now)
	}
}

// stop ends the daemon as a service manager does, without anybody after it.
func (i *installation) stop(daemon *exec.Cmd) {
	i.t.Helper()
	daemon.Process.Signal(syscall.SIGTERM)
	if err := daemon.Wait(); err != nil {
		i.t.Errorf("the daemon ended with %v", err)
	}
}

// serviceManager is as much of systemd as keeps descriptors (sd_notify(3)).
type serviceManager struct {
	t      *testing.T
	socket *net.UnixConn

	listening sync.Mutex // held while no message is heeded

	mu      sync.Mutex
	stored  []storedFile
	removed []storedFile
	mainPID int // that it was told to follow; 0: it was told nothing
	seen    int // the latest of readAll's messages
}

// storedFile is a descriptor in the store. There may be several of a name.
type storedFile struct {
	name string
	file *os.File
}

// startUnderSystemd starts the daemon under a service manager, which it returns with it.
func (i *installation) startUnderSystemd(t *testing.T) (*serviceManager, *exec.Cmd) {
	t.Helper()
	m := newServiceManager(t, i)
	return m, i.start(m.next(i.program))
}

// storeMax is FileDescriptorStoreMax of the unit: systemd drops what comes beyond it.
const storeMax = 4

func newServiceManager(t *testing.T, i *installation) *serviceManager {
	t.Helper()
	path := filepath.Join(i.folder, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "NOTIFY_SOCKET="+path)
	m := &serviceManager{t: t, socket: socket}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m.read() {
		}
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
		for _, s := range slices.Concat(m.removed, m.stored) {
			s.file.Close()
		}
	})
	return m
}

// read takes a message, and reports whether there will be more.
func (m *serviceManager) read() bool {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*16))
	n, rn, _, _, err := m.socket.ReadMsgUnix(text, rights)
	if err != nil {
		return false
	}
	m.listening.Lock()
	defer m.listening.Unlock()
	var files []*os.File
	messages, _ := unix.ParseSocketControlMessage(rights[:rn])
	for _, message := range messages {
		fds, _ := unix.ParseUnixRights(&message)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "stored"))
		}
	}
	values := make(map[string]string)
	for lines := bufio.NewScanner(bytes.NewReader(text[:n])); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "=")
		values[name] = value
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if pid, err := strconv.Atoi(values["MAINPID"]); err == nil {
		m.mainPID = pid
	}
	if seen, err := strconv.Atoi(values["SEEN"]); err == nil {
		m.seen = seen
	}
	name := values["FDNAME"]
	switch {
	case values["FDSTORE"] == "1" && len(files) == 1 && len(m.stored) < storeMax:
		m.stored = append(m.stored, storedFile{name, files[0]})
		return true
	case values["FDSTOREREMOVE"] == "1":
		m.stored = slices.DeleteFunc(m.stored, func(s storedFile) bool {
			if s.name == name {
				// The command that was started with it may still be looking at it.
				m.removed = append(m.removed, s)
			}
			return s.name == name
		})
	}
	for _, f := range files {
		f.Close()
	}
	return true
}

// follows is the process that it was told to follow.
func (m *serviceManager) follows() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mainPID
}

// busyFor has no message heeded for a time.
func (m *serviceManager) busyFor(d time.Duration) {
	m.listening.Lock()
	time.AfterFunc(d, m.listening.Unlock)
}

// readAll returns when all is read that was said before.
func (m *serviceManager) readAll() {
	m.t.Helper()
	conn, err := net.Dial("unixgram", m.socket.LocalAddr().String())
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	m.mu.Lock()
	number := m.seen + 1
	m.mu.Unlock()
	if _, err := fmt.Fprintf(conn, "SEEN=%d", number); err != nil {
		m.t.Fatal(err)
	}
	await(m.t, "systemd has read its messages", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.seen == number
	})
}

// next is the command of a service that is started with what is in the store. As systemd
// does, it reads what was said before it looks at a process that has ended.
func (m *serviceManager) next(program string) *exec.Cmd {
	m.t.Helper()
	m.readAll()
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, program)
	var names []string
	for _, s := range m.stored {
		names = append(names, s.name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.file)
	}
	cmd.Env = []string{"LISTEN_FDS=" + strconv.Itoa(len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
	return cmd
}

func (m *serviceManager) storedFiles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored)
}
