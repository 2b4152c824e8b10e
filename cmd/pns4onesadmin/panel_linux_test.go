package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/terminaltest"
)

// terminal is a pseudo-terminal with a program in it.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	out    bytes.Buffer // what the program has written
}

// inTerminal starts the admin program in a terminal of 80 by 24.
func inTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	return start(t, env, commandName, args...)
}

// start starts a program in a terminal of 80 by 24.
func start(t *testing.T, env []string, name string, args ...string) *terminal {
	t.Helper()
	master, slave := terminaltest.Open(t)
	defer slave.Close()
	term := &terminal{t: t, master: master, cmd: exec.Command(name, args...)}
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	term.cmd.Env = append(append(os.Environ(), "GORACE=atexit_sleep_ms=0", "LC_ALL=C.UTF-8", "NO_COLOR="), env...)
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		term.cmd.Wait()
	})
	return term
}

// read reads what the program writes, until it has written all of the texts; with
// none, until it ends.
func (term *terminal) read(texts ...string) {
	term.t.Helper()
	term.master.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	for {
		missing := len(texts) == 0
		for _, text := range texts {
			missing = missing || !strings.Contains(ansi.Strip(term.out.String()), text) &&
				!strings.Contains(term.out.String(), text)
		}
		if !missing {
			return
		}
		n, err := term.master.Read(buf)
		term.out.Write(buf[:n])
		if err != nil {
			if len(texts) > 0 {
				term.t.Fatalf("the terminal never showed %q: %v\n%q", texts, err, term.out.String())
			}
			return // the other side is closed: the program has ended
		}
	}
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// ends waits for the program's end.
func (term *terminal) ends() (status int) {
	term.t.Helper()
	term.read()
	term.cmd.Wait()
	return term.cmd.ProcessState.ExitCode()
}

// TestOnlyThePanelAsksTheTerminal is about the question for the background, which
// Bubble Tea would ask as soon as it is linked.
func TestOnlyThePanelAsksTheTerminal(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--help"}, {"list", "--control", "/nonexistent/control.sock"}} {
		term := inTerminal(t, []string{"TERM=xterm-256color"}, args...)
		term.ends()
		if got := term.out.String(); got == "" || strings.Contains(got, "\x1b") {
			t.Errorf("%s wrote %q", args, got)
		}
	}
}

// TestThePanelOpensAndLeavesTheTerminalAsItWas drives the panel in a terminal
// that answers questions late, wrongly or not at all.
func TestThePanelOpensAndLeavesTheTerminalAsItWas(t *testing.T) {
	t.Parallel()
	control := daemonForPanel(t)
	for _, tt := range []struct {
		name, answer string
		args         []string
	}{
		{"light", "\x1b]11;rgb:ffff/ffff/f0f0\x1b\\\x1b[?62;22c", nil},
		{"knows only what it is", "\x1b[?6c", nil},
		{"is told", "", []string{"--background", "light"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			term := inTerminal(t, []string{"TERM=xterm-256color", "PNS4ONES_LANG=en"},
				append([]string{"--control", control, "tui"}, tt.args...)...)
			if tt.answer != "" {
				term.read("\x1b]11;?")
				term.press(tt.answer)
			}
			term.read("[1 Overview]", "● connected", "\x1b[?1049h")
			if asked := strings.Contains(term.out.String(), "\x1b]11;?"); asked != (tt.answer != "") {
				t.Errorf("asked for the background: %t", asked)
			}
			if strings.Contains(term.out.String(), "\x1b[?1002h") {
				t.Error("the mouse is taken unasked")
			}
			term.press("q")
			if status := term.ends(); status != 0 {
				t.Errorf("status %d", status)
			}
			if got := term.out.String(); !strings.Contains(got, "\x1b[?1049l") || !strings.Contains(got, "\x1b[?25h") {
				t.Errorf("the terminal is left as %q", got[max(len(got)-100, 0):])
			}
		})
	}
}

// TestThePanelEndsWithItsTerminal starts it with SIGHUP ignored, as nohup and many
// wrappers do: no signal says that the terminal is gone.
func TestThePanelEndsWithItsTerminal(t *testing.T) {
	t.Parallel()
	path := daemonForPanel(t)
	term := start(t, []string{"TERM=xterm-256color", "PNS4ONES_LANG=en"},
		"sh", "-c", `trap "" HUP; exec "$@"`, "sh", commandName, "--control", path, "tui", "--background", "dark")
	term.read("[1 Overview]", "● connected")
	term.press("4")
	term.read("[4 ")
	term.master.Close()
	ended := make(chan error, 1)
	go func() { ended <- term.cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the panel ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the panel outlives its terminal")
	}
	client := control.NewClient(path)
	defer client.Close()
	for late := time.After(patience); ; {
		status, err := client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status.Followers == 0 {
			return
		}
		select {
		case <-late:
			t.Fatalf("%d streams are still followed", status.Followers)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// daemonForPanel starts a daemon, and returns its control channel.
func daemonForPanel(t *testing.T) string {
	t.Helper()
	path, err := buildDaemon()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "pns") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "control.sock")
	cmd := exec.Command(path, "-listen", "127.0.0.1:0", "-service", "127.0.0.1:0", "-data_dir",
		filepath.Join(folder, "data"), "-control", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	client := control.NewClient(socket)
	client.Wait = patience
	defer client.Close()
	if _, err := client.Status(context.Background()); err != nil {
		t.Fatal(err)
	}
	return socket
}
