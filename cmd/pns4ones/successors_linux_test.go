package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
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

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// installation is a program on disk, a folder for its data, and an app with
// sessions and a sender.
type installation struct {
	t       *testing.T
	folder  string
	program string
	env     []string
	client  *control.Client
	app     control.App
	listen  string   // where senders connect
	log     *os.File // of all processes

	mu       sync.Mutex
	received [][]string // by session
	ended    []error    // by session; nil: it goes on
	messages int
	token    string
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
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i.replaceProgram(func(to *os.File) {
		from, err := os.Open(self)
		if err != nil {
			t.Fatal(err)
		}
		defer from.Close()
		if _, err := io.Copy(to, from); err != nil {
			t.Fatal(err)
		}
	})
	i.env = append(os.Environ(), "PNS4ONES_LANG=en", "PNS4ONES_LISTEN=127.0.0.1:0", "PNS4ONES_SERVICE=127.0.0.1:0", "GORACE=atexit_sleep_ms=0",
		"PNS4ONES_DATA_DIR="+folder, "PNS4ONES_CONTROL="+filepath.Join(folder, "control.sock"), "PNS4ONES_LOG_LEVEL=Information")
	i.client = control.NewClient(filepath.Join(folder, "control.sock"))
	t.Cleanup(i.client.Close)
	// Whichever process it is by now.
	t.Cleanup(func() {
		if status, err := i.client.Status(context.Background()); err == nil {
			syscall.Kill(status.PID, syscall.SIGKILL)
		}
		if t.Failed() {
			t.Logf("the daemons said:\n%s", i.said())
		}
	})
	return i
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
	i.await("the daemon answers", func() bool {
		_, err := i.client.Status(context.Background())
		return err == nil
	})
	return cmd
}

func (i *installation) await(what string, holds func() bool) {
	i.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			i.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// open opens sessions and authorises the sender.
func (i *installation) open(sessions int) {
	i.t.Helper()
	ctx := context.Background()
	var err error
	if i.app, err = i.client.CreateApp(ctx, "app"); err != nil {
		i.t.Fatal(err)
	}
	key, err := wire.ParseClientKey(i.app.ClientKey)
	if err != nil {
		i.t.Fatal(err)
	}
	status := i.status()
	i.listen = status.Listen
	i.received, i.ended = make([][]string, sessions), make([]error, sessions)
	var reading sync.WaitGroup
	i.t.Cleanup(reading.Wait)
	for n := range sessions {
		c, err := wire.Dial(ctx, status.Service, wire.Registration{AppID: i.app.ID, IbID: "ib", UserID: strconv.Itoa(n)}, key)
		if err != nil {
			i.t.Fatal(err)
		}
		reading.Go(func() {
			for {
				text, err := c.Receive()
				i.mu.Lock()
				if err != nil {
					i.ended[n] = err
					i.mu.Unlock()
					return
				}
				i.received[n] = append(i.received[n], string(text))
				i.mu.Unlock()
			}
		})
		i.t.Cleanup(func() { c.Close() })
	}
	i.await("all sessions are registered", func() bool { return i.status().Sessions == sessions })
	i.authorise()
}

func (i *installation) status() control.Status {
	i.t.Helper()
	status, err := i.client.Status(context.Background())
	if err != nil {
		i.t.Fatal(err)
	}
	return status
}

func (i *installation) authorise() {
	i.t.Helper()
	response, err := http.Get("http://" + i.listen + "/auth?server_key=" + i.app.ServerKey)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Token == "" {
		i.t.Fatalf("no token: %v", err)
	}
	i.token = answer.Token
}

// sendUntil sends messages to all sessions, each with a connection of its own as
// the 1C extension does, until done is closed. Each must be accepted for all
// sessions: a sender that connects at the wrong moment waits.
func (i *installation) sendUntil(done <-chan struct{}) error {
	sender := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	for {
		select {
		case <-done:
			return nil
		default:
		}
		body := fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":"%d"}}`, i.messages)
		request, err := http.NewRequest("POST", "http://"+i.listen+"/sendmessage", strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+i.token)
		response, err := sender.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if reached := response.Header.Get("X-Delivered-Sessions"); response.StatusCode != http.StatusOK || reached != strconv.Itoa(len(i.received)) {
			return fmt.Errorf("message %d: status %d, %s sessions", i.messages, response.StatusCode, reached)
		}
		i.messages++
	}
}

// check compares what the sessions have received with what was sent.
func (i *installation) check() {
	i.t.Helper()
	for n := range i.received {
		i.await(fmt.Sprintf("session %d has all", n), func() bool {
			i.mu.Lock()
			defer i.mu.Unlock()
			return len(i.received[n]) >= i.messages || i.ended[n] != nil
		})
		i.mu.Lock()
		received, ended := slices.Clone(i.received[n]), i.ended[n]
		i.mu.Unlock()
		for k, text := range received {
			if want := fmt.Sprintf(`{"topic":"%d"}`, k); text != want {
				i.t.Fatalf("session %d: message %d is %s, want %s", n, k, text, want)
			}
		}
		if ended != nil || len(received) != i.messages {
			i.t.Errorf("session %d: %d of %d messages, %v", n, len(received), i.messages, ended)
		}
	}
}

func TestUpgradesLoseNothing(t *testing.T) {
	i := install(t)
	first := i.start(exec.Command(i.program))
	i.open(50)
	done := make(chan struct{})
	sending := make(chan error, 1)
	go func() { sending <- i.sendUntil(done) }()
	for range 5 {
		before := i.status()
		if err := i.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		i.await("another process answers", func() bool {
			status, err := i.client.Status(context.Background())
			return err == nil && status.PID != before.PID
		})
		if now := i.status(); now.Sessions != before.Sessions || now.Service != before.Service || now.Listen != before.Listen {
			t.Fatalf("it was %+v and is %+v", before, now)
		}
	}
	close(done)
	if err := <-sending; err != nil {
		t.Error(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("the first process: %v", err)
	}
	if i.messages < 10 {
		t.Errorf("only %d messages were sent", i.messages)
	}
	i.check()
}

func TestAProgramThatCannotTakeOverDoesNot(t *testing.T) {
	script := func(text string) func(*os.File) {
		return func(f *os.File) { io.WriteString(f, "#!/bin/sh\n"+text) }
	}
	i := install(t)
	i.start(exec.Command(i.program))
	i.open(10)
	done := make(chan struct{})
	sending := make(chan error, 1)
	go func() { sending <- i.sendUntil(done) }()

	before := i.status()
	i.replaceProgram(script("echo 'pns4ones.toml:3: something is wrong' >&2; exit 1"))
	if err := i.client.Upgrade(context.Background()); err == nil || !strings.Contains(err.Error(), "something is wrong") {
		t.Errorf("refused with %v", err)
	}
	if now := i.status(); now.PID != before.PID {
		t.Error("it was upgraded to what refuses the settings")
	}

	// It passes the check, and then crashes, says something else, or ends later.
	for _, text := range []string{"exit 3", "kill -SEGV $$", "printf nonsense >&3", "sleep 0.1; exit 0"} {
		before := i.status()
		i.replaceProgram(script("case \"$*\" in *-check*) exit 0;; esac\n" + text))
		if err := i.client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		i.await("the version that ran goes on", func() bool {
			status, err := i.client.Status(context.Background())
			return err == nil && status.PID != before.PID && status.Sessions == before.Sessions
		})
	}
	close(done)
	if err := <-sending; err != nil {
		t.Error(err)
	}
	i.check()
	if !strings.Contains(i.said(), "this version goes on") {
		t.Error("nobody said that the upgrade failed")
	}
}

// serviceManager is as much of systemd as keeps descriptors (sd_notify(3)).
type serviceManager struct {
	t      *testing.T
	socket *net.UnixConn

	mu      sync.Mutex
	stored  map[string]*os.File
	removed []*os.File
}

func newServiceManager(t *testing.T, i *installation) *serviceManager {
	t.Helper()
	path := filepath.Join(i.folder, "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	i.env = append(i.env, "NOTIFY_SOCKET="+path)
	m := &serviceManager{t: t, socket: socket, stored: make(map[string]*os.File)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m.read() {
		}
	}()
	t.Cleanup(func() {
		socket.Close()
		<-ended
		for _, f := range slices.AppendSeq(m.removed, maps.Values(m.stored)) {
			f.Close()
		}
	})
	return m
}

func (m *serviceManager) read() bool {
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*16))
	n, rn, _, _, err := m.socket.ReadMsgUnix(text, rights)
	if err != nil {
		return false
	}
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
	switch name := values["FDNAME"]; {
	case values["FDSTORE"] == "1" && len(files) == 1:
		m.stored[name] = files[0]
		return true
	case values["FDSTOREREMOVE"] == "1" && m.stored[name] != nil:
		// The command that was started with it may still be looking at it.
		m.removed = append(m.removed, m.stored[name])
		delete(m.stored, name)
	}
	for _, f := range files {
		f.Close()
	}
	return true
}

// next is the command of a service that is started with what is in the store.
func (m *serviceManager) next(program string) *exec.Cmd {
	m.mu.Lock()
	defer m.mu.Unlock()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, program)
	var names []string
	for name, f := range m.stored {
		names = append(names, name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.Env = []string{"LISTEN_FDS=" + strconv.Itoa(len(names)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}
	return cmd
}

func (m *serviceManager) storedFiles() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.stored)
}

func TestSystemdRestartsLoseNothing(t *testing.T) {
	i := install(t)
	systemd := newServiceManager(t, i)
	daemon := i.start(systemd.next(i.program))
	i.open(50)
	done := make(chan struct{})
	sending := make(chan error, 1)
	go func() { sending <- i.sendUntil(done) }()
	for range 3 {
		daemon.Process.Signal(syscall.SIGTERM)
		if err := daemon.Wait(); err != nil {
			t.Fatalf("it ended with %v", err)
		}
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
		if now := i.status(); now.Sessions != 50 {
			t.Fatalf("%d sessions are left", now.Sessions)
		}
		i.await("the store is empty", func() bool { return systemd.storedFiles() == 0 })
	}
	close(done)
	if err := <-sending; err != nil {
		t.Error(err)
	}
	i.check()
}
