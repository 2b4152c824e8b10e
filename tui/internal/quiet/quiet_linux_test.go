package quiet_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long a program may take to write its help.
const patience = 20 * time.Second

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
	master, slave := openTerminal(t)
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

// openTerminal opens both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	// Through the raw connection: Fd would make the reads block for good.
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number := 0
	if controlErr := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}
