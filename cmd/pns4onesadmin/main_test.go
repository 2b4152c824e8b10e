package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

var update = flag.Bool("update", false, "write what scripts compare with anew")

// patience bounds how long a script waits for what must happen soon.
const patience = 30 * time.Second

// built is the folder of the daemon, which TestMain makes and removes.
var built string

// buildDaemon builds the daemon once, for the first test that needs it.
var buildDaemon = sync.OnceValues(func() (string, error) {
	path := filepath.Join(built, "pns4ones")
	out, err := exec.Command("go", "build", "-o", path, "../pns4ones").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the daemon: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	testscript.Main(cleanUp{m}, map[string]func(){
		commandName: func() {
			settled = 10 * time.Second
			os.Exit(mainStatus())
		},
	})
}

// cleanUp runs the tests and removes the daemon if they built it.
type cleanUp struct{ m *testing.M }

func (c cleanUp) Run() int {
	var err error
	if built, err = os.MkdirTemp("", "pns4ones"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built)
	return c.m.Run()
}

// TestScripts runs the scripts with the real programs; see the commands below
// for those that are not testscript's own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			// Under the race detector a process would sleep for a second as it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("PNS4ONES_LANG", "en")
			env.Setenv("PNS4ONES_LISTEN", "127.0.0.1:0")
			env.Setenv("PNS4ONES_SERVICE", "127.0.0.1:0")
			env.Setenv("PNS4ONES_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			// A socket's path is short.
			folder, err := os.MkdirTemp("", "pns")
			if err != nil {
				return err
			}
			env.Defer(func() { os.RemoveAll(folder) })
			env.Setenv("PNS4ONES_CONTROL", filepath.Join(folder, "control.sock"))
			env.Values[daemonKey{}] = new(process)
			env.Values[pretenderKey{}] = new(pretender)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"daemon":   startDaemon,
			"pretend":  pretend,
			"answer":   answerFrom,
			"exits":    exits,
			"sessions": waitForSessions,
			"field":    setField,
			"waitfor":  waitForText,
			"damage":   damageMetaPage,
			"write":    writeBytes,
		},
	})
}

var portPattern = regexp.MustCompile(`^  Senders: +127\.0\.0\.1:(\d+)`)

// writeBytes writes a file: «write FILE TEXT [TIMES]», with the escapes of Go in the text.
func writeBytes(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("write: expected a file and a text")
	}
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	times := 1
	if len(args) > 2 {
		times, err = strconv.Atoi(args[2])
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(text, times)), 0o600))
}

// daemonKey is where a script's *process is.
type daemonKey struct{}

// process is the daemon that a script has started last.
type process struct{ cmd *exec.Cmd }

// startDaemon starts the daemon and returns when it serves; it sets SENDERS to
// the senders' address. The daemon ends with the script, at «daemon stop», or at
// «daemon crash», which leaves its socket behind.
func startDaemon(ts *testscript.TestScript, _ bool, args []string) {
	running := ts.Value(daemonKey{}).(*process)
	switch {
	case slices.Equal(args, []string{"stop"}):
		ts.Check(running.cmd.Process.Signal(os.Interrupt))
		ts.Check(running.cmd.Wait())
		return
	case slices.Equal(args, []string{"crash"}):
		ts.Check(running.cmd.Process.Kill())
		running.cmd.Wait() // the kill is what it reports
		return
	}
	path, err := buildDaemon()
	ts.Check(err)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	for _, name := range []string{"PNS4ONES_LANG", "PNS4ONES_LISTEN", "PNS4ONES_SERVICE", "PNS4ONES_DATA_DIR",
		"PNS4ONES_CONTROL", "HOME"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	running.cmd = cmd
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if m := portPattern.FindStringSubmatch(lines.Text()); m != nil {
			ts.Setenv("SENDERS", "http://127.0.0.1:"+m[1])
		}
		if regexp.MustCompile(`^  Control:`).MatchString(lines.Text()) {
			go io.Copy(io.Discard, stdout) // let it write on
			return
		}
	}
	ts.Fatalf("the daemon did not start")
}

// pretend answers at the control channel as a daemon does that is upgraded once, until
// the end of the script or the next «pretend»: pretend UPGRADE BEFORE AFTER [NODE=UPGRADE],
// the files with the answer to the upgrade, of which one node of a cluster may have its own,
// and with the status before and after it. Each node is upgraded by itself.
func pretend(ts *testscript.TestScript, _ bool, args []string) {
	upgrade, before, after := ts.ReadFile(args[0]), ts.ReadFile(args[1]), ts.ReadFile(args[2])
	ownUpgrade := make(map[string]string)
	for _, arg := range args[3:] {
		node, file, _ := strings.Cut(arg, "=")
		ownUpgrade[node] = ts.ReadFile(file)
	}
	path := ts.Getenv("PNS4ONES_CONTROL")
	running := ts.Value(pretenderKey{}).(*pretender)
	running.stop()
	ln, err := net.Listen("unix", path)
	ts.Check(err)
	var upgraded sync.Map // names of nodes
	answers := http.NewServeMux()
	answers.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		if _, is := upgraded.Load(r.FormValue("node")); is {
			io.WriteString(w, after)
		} else {
			io.WriteString(w, before)
		}
	})
	answers.HandleFunc("POST /v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		node := r.FormValue("node")
		answer := cmp.Or(ownUpgrade[node], upgrade)
		if strings.Contains(answer, `"error"`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			upgraded.Store(node, true)
		}
		io.WriteString(w, answer)
	})
	running.server = &http.Server{Handler: answers}
	running.serving.Go(func() { running.server.Serve(ln) })
	ts.Defer(running.stop)
}

// answerFrom answers at the control channel from a file until the end of the script or the next
// «pretend» or «answer»: answer FILE, with lines of a method, a path, a status and what is
// answered. The path of a request to another node begins with its name: /web2/v1/status.
// What no line is about is not found.
func answerFrom(ts *testscript.TestScript, _ bool, args []string) {
	answers := http.NewServeMux()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 4)
		status, err := strconv.Atoi(fields[2])
		ts.Check(err)
		answers.HandleFunc(fields[0]+" "+fields[1], func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			io.WriteString(w, fields[3])
		})
	}
	running := ts.Value(pretenderKey{}).(*pretender)
	running.stop()
	ln, err := net.Listen("unix", ts.Getenv("PNS4ONES_CONTROL"))
	ts.Check(err)
	running.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if node := r.URL.Query().Get("node"); node != "" {
			r.URL.Path = "/" + node + r.URL.Path
		}
		answers.ServeHTTP(w, r)
	})}
	running.serving.Go(func() { running.server.Serve(ln) })
	ts.Defer(running.stop)
}

// pretenderKey is where a script's *pretender is.
type pretenderKey struct{}

// pretender is what serves for pretend.
type pretender struct {
	server  *http.Server // nil: nothing serves
	serving sync.WaitGroup
}

func (p *pretender) stop() {
	if p.server != nil {
		p.server.Close()
		p.serving.Wait()
		p.server = nil
	}
}

// exits runs a command and checks its exit status: exits STATUS COMMAND ARG…
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// waitForSessions waits until the daemon has that many sessions.
func waitForSessions(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	client := control.NewClient(ts.Getenv("PNS4ONES_CONTROL"))
	defer client.Close()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		status, err := client.Status(context.Background())
		ts.Check(err)
		if status.Sessions == want {
			return
		}
	}
	ts.Fatalf("not within %v: %d sessions", patience, want)
}

// waitForText waits until a file that a background command writes matches:
// waitfor FILE PATTERN.
func waitForText(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	var text []byte
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); runtime.Gosched() {
		// The file is missing until the command has started.
		if text, err = os.ReadFile(ts.MkAbs(args[0])); err == nil && pattern.Match(text) {
			return
		}
	}
	ts.Fatalf("not within %v: %s in %s: %s", patience, args[1], args[0], text)
}

// setField takes a field of the JSON object on stdout into a variable: field NAME
// VARIABLE. Of a list it takes the first object.
func setField(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile("stdout")
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		var list []map[string]any
		ts.Check(json.Unmarshal([]byte(text), &list))
		object = list[0]
	}
	value, ok := object[args[0]]
	if !ok {
		ts.Fatalf("no field %s in %s", args[0], text)
	}
	ts.Setenv(args[1], fmt.Sprint(value))
}

// damageMetaPage damages the meta page of a database that was written last, as a bad
// disk would: damage FILE.
func damageMetaPage(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	content, err := os.ReadFile(path)
	ts.Check(err)
	pageSize := os.Getpagesize()
	const transaction = 64 // where its number is
	newer := 0
	if binary.NativeEndian.Uint64(content[pageSize+transaction:]) > binary.NativeEndian.Uint64(content[transaction:]) {
		newer = pageSize
	}
	content[newer+transaction-8] ^= 1
	ts.Check(os.WriteFile(path, content, 0o600))
}
