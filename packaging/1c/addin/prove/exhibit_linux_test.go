package prove

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// exhibit is an add-in that is shown: in one host after the other, since a host may
// die of it. What is seen of each are the results of Connect and GetLastError with what
// the row notes, then the events, and the death of the host.
type exhibit struct {
	t    *testing.T
	d    *daemon
	file string

	seen []string // of the hosts before

	command *exec.Cmd
	in      io.WriteCloser
	steps   int  // that were given to it
	dead    bool // it has died of one

	mu     sync.Mutex
	more   *sync.Cond
	done   int // steps that it has done
	said   []string
	events []string
	over   bool // it says no more
}

func (x *exhibit) ours() bool { return x.file == library }

// begin starts a host with an object.
func (x *exhibit) begin() {
	x.t.Helper()
	x.kill()
	x.more = sync.NewCond(&x.mu)
	x.steps, x.dead, x.done, x.said, x.events, x.over = 0, false, 0, nil, nil, false
	x.command = command(program, x.file, "-")
	x.command.Env = os.Environ()
	if releasedLibraries != "" && !x.ours() {
		x.command.Env = append(x.command.Env, "LD_LIBRARY_PATH="+releasedLibraries)
	}
	var err error
	if x.in, err = x.command.StdinPipe(); err != nil {
		x.t.Fatal(err)
	}
	out, err := x.command.StdoutPipe()
	if err != nil {
		x.t.Fatal(err)
	}
	if err := x.command.Start(); err != nil {
		x.t.Fatal(err)
	}
	go x.read(out)
	x.step("new", "1")
}

func (x *exhibit) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			event
			result
		}
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue // what the system says of a host that dies
		}
		x.mu.Lock()
		switch {
		case line.Event != "":
			x.events = append(x.events, line.Data)
		case line.Did != "":
			x.done++
			switch line.Did {
			case "connect":
				x.said = append(x.said, string(line.Result))
			case "error":
				text := "null"
				if json.Unmarshal(line.Result, &text) == nil && text != "null" {
					text = "«" + text + "»"
				}
				x.said = append(x.said, text)
			}
		}
		x.more.Broadcast()
		x.mu.Unlock()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.more.Broadcast()
}

func (x *exhibit) note(format string, arguments ...any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.said = append(x.said, fmt.Sprintf(format, arguments...))
}

// await waits for what the host says, and reports whether that came before its death.
func (x *exhibit) await(come func() bool) bool {
	x.t.Helper()
	process := x.command.Process
	late := time.AfterFunc(2*patience, func() { process.Kill() })
	defer late.Stop()
	x.mu.Lock()
	defer x.mu.Unlock()
	for !come() && !x.over {
		x.more.Wait()
	}
	x.dead = !come()
	return !x.dead
}

// step runs one, and reports whether the host has outlived it.
func (x *exhibit) step(words ...string) bool {
	x.t.Helper()
	io.WriteString(x.in, strings.Join(words, "\t")+"\n") // to a dead host it fails
	x.steps++
	steps := x.steps
	return x.await(func() bool { return x.done >= steps })
}

func (x *exhibit) connect(host, port, app, user, key string) bool {
	x.t.Helper()
	return x.step("connect", "1", host, port, app, ib, user, "Отдел", key)
}

// toDaemon connects the object to the daemon and waits for its session.
func (x *exhibit) toDaemon(user string) bool {
	x.t.Helper()
	before := x.d.sessions()
	if !x.connect("127.0.0.1", x.d.tcp, x.d.ID, user, x.d.ClientKey) || !x.connected() {
		return false
	}
	x.d.eventually("a session", func() bool { return x.d.sessions() > before })
	return true
}

// connected reports whether the last Connect said so.
func (x *exhibit) connected() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.said[len(x.said)-1] == "true"
}

// event waits for the first one of the host.
func (x *exhibit) event() bool {
	x.t.Helper()
	return x.await(func() bool { return len(x.events) > 0 })
}

// kill ends the host, if there is one, and keeps what was seen of it.
func (x *exhibit) kill() {
	if x.command == nil {
		return
	}
	dead := x.dead
	x.command.Process.Kill()
	x.await(func() bool { return false })
	x.command.Wait()
	x.command = nil
	x.seen = append(x.seen, x.said...)
	for _, data := range x.events {
		x.seen = append(x.seen, "event:"+data)
	}
	if dead {
		x.seen = append(x.seen, "died")
	}
}

// givenUp is longer than ours takes for its first tries: whoever has not come by then
// will not.
const givenUp = 5 * time.Second

// tries notes whether the add-in comes (again) to a listener.
func (x *exhibit) tries(ln net.Listener) {
	x.t.Helper()
	wait := givenUp
	if x.ours() {
		wait = patience
	}
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(wait))
	conn, err := ln.Accept()
	if err != nil {
		x.note("no more tries")
		return
	}
	x.t.Cleanup(func() { conn.Close() })
	x.note("tries again")
}
