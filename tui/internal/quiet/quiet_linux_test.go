package quiet_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/tui/terminaltest"
)

// patience bounds how long a program may take to write its help.
const patience = 2 * time.Minute

// TestProgramsWriteNothingByBeingLinked runs each program of cmd in a terminal and
// has it write its help: nothing else may come, no question above all.
func TestProgramsWriteNothingByBeingLinked(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob(build(t, "../../../cmd/...") + "/*")
	if err != nil || len(programs) < 3 {
		t.Fatalf("the programs are not there: %q, %v", programs, err)
	}
	for _, program := range programs {
		if got := inTerminal(t, program); len(got) < 100 || bytes.Contains(got, []byte("\x1b")) {
			t.Errorf("%s wrote %q", filepath.Base(program), got)
		}
	}
}

// TestBubbleTeaAsks shows that the test above can fail. When it fails itself, Bubble
// Tea has become quiet, and this package can go.
func TestBubbleTeaAsks(t *testing.T) {
	t.Parallel()
	if got := inTerminal(t, build(t, "./testdata/loud")+"/loud"); !bytes.Contains(got, []byte("\x1b")) {
		t.Errorf("it wrote %q", got)
	}
}

// build builds programs into a folder.
func build(t *testing.T, programs string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	if said, err := exec.Command("go", "build", "-o", folder+"/", programs).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", programs, err, said)
	}
	return folder
}

// inTerminal returns what a program writes to its terminal, up to an escape.
func inTerminal(t *testing.T, program string) []byte {
	t.Helper()
	master, slave := terminaltest.Open(t)
	cmd := exec.Command(program, "-h")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = []string{"TERM=xterm-256color", "HOME=" + t.TempDir()} // without CI, which silences Bubble Tea
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	master.SetReadDeadline(time.Now().Add(patience))
	var all bytes.Buffer
	buf := make([]byte, 4096)
	for !bytes.Contains(all.Bytes(), []byte("\x1b")) {
		n, err := master.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break // the program has ended, which the terminal says with EIO
		}
	}
	return all.Bytes()
}
