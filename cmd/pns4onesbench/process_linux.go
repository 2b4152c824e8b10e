package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a server that is measured, as a process of its own.
type process struct {
	name   string
	cmd    *exec.Cmd
	stderr spoken
	ended  func(cpu time.Duration) // is told the CPU time it had in all
}

// spoken is what a process has said so far. It may be asked while the process speaks.
type spoken struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write takes what the process says.
func (s *spoken) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *spoken) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// startProcess starts a command on the servers' CPU. The caller has locked its
// thread, and may have set pipes.
func (b *bench) startProcess(name string, cmd *exec.Cmd) (*process, error) {
	s := &process{name: name, cmd: cmd, ended: func(cpu time.Duration) { b.serversCPU += cpu }}
	cmd.Stderr = &s.stderr
	// It must not outlive us, however we end. A successor that it hands over to is in its group;
	// that one would, but only if we were killed outright.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := b.placement.onServerCPU(cmd.Start); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return s, nil
}

// endTime is how long a server may take to end when it is asked to.
const endTime = 10 * time.Second

// stop ends the process, and its successor, and waits for them.
func (s *process) stop() {
	late := time.AfterFunc(endTime, func() { s.signal(syscall.SIGKILL) })
	defer late.Stop()
	s.signal(syscall.SIGTERM)
	s.cmd.Wait() // how it ends is of no interest any more; a successor has the same stderr
	if s.ended != nil && s.cmd.ProcessState != nil {
		s.ended(s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime())
	}
	for {
		var used unix.Rusage
		if _, err := unix.Wait4(-s.cmd.Process.Pid, nil, 0, &used); err != nil && err != unix.EINTR {
			return // there is no successor, or none any more
		} else if err == nil && s.ended != nil {
			s.ended(time.Duration(used.Utime.Nano() + used.Stime.Nano()))
		}
	}
}

// signal sends a signal to the process and its successor.
func (s *process) signal(signal syscall.Signal) { syscall.Kill(-s.cmd.Process.Pid, signal) }

// kill ends the process at once, as a fault would.
func (s *process) kill() error { return s.cmd.Process.Kill() }

// adoptSuccessors has the successors of our servers become our children when those end.
func adoptSuccessors() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("asking to be the parent of successors: %w", err)
	}
	return nil
}

// failed adds to an error what the process said of itself.
func (s *process) failed(err error) error {
	if said := strings.TrimSpace(s.stderr.String()); said != "" {
		return fmt.Errorf("%s: %w; it said: %s", s.name, err, said)
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// cpu is the time that the threads of the process have run so far. It comes from
// schedstat, in nanoseconds: the ticks of /proc/PID/stat are 10 ms.
func (s *process) cpu() (time.Duration, error) { return cpuOf(strconv.Itoa(s.cmd.Process.Pid)) }

func cpuOf(pid string) (time.Duration, error) {
	threads, err := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
	if err != nil || len(threads) == 0 {
		return 0, fmt.Errorf("reading the CPU time of process %s: it has no threads", pid)
	}
	var sum time.Duration
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has just ended
		}
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of process %s: %w", pid, err)
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the CPU time of process %s: %s: %w", pid, path, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// rss is the resident memory of the process in bytes.
func (s *process) rss() (int64, error) {
	return kibField(fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid), "Rss:")
}

// kibField returns in bytes a field of a file in the form «name: 123 kB».
func kibField(path, name string) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("reading the memory: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(value, "kB")), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("reading the memory: %s: %w", path, err)
			}
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("reading the memory: %s has no %s", path, name)
}

const (
	quietFor   = 100 * time.Millisecond
	quietShare = 50 // an idle server uses at most one part in so many of the time
	quietTime  = 10 * time.Second
)

// quiet waits until the process has nothing to do, so that what it did before is
// not counted to what comes next. It gives up after a while: a server that never
// rests shows in the figures.
func (s *process) quiet() error {
	before, err := s.cpu()
	for end := time.Now().Add(quietTime); err == nil && time.Now().Before(end); {
		time.Sleep(quietFor)
		var now time.Duration
		if now, err = s.cpu(); now-before < quietFor/quietShare {
			return err
		}
		before = now
	}
	return err
}
