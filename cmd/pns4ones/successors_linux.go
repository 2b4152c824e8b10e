package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// successors pass the sessions from one process to the next one, in one of two ways.
//
// At the end of a process under systemd they go into its file descriptor store,
// where the process that is started next finds them (sd_notify(3), FDSTORE); after a
// mere stop systemd closes them.
//
// For an upgrade the process starts the program on disk itself and gives them to
// it. The successor says when it is ready, and serves when it is told to. One that
// does not get so far is killed, and this process serves the sessions again, with the
// settings that it had: they are kept whatever is on disk.
//
// A nil *successors passes nothing on.
type successors struct {
	program     string        // where this one was started from: another one may be there by now
	predecessor *net.UnixConn // waits to be told that we are ready; nil: nobody does
	stored      bool          // what we inherited came from systemd
	upgrading   atomic.Bool
}

const (
	// The socket of a hand-over, and its other end: systemd drops a descriptor from
	// its store when the other end is closed, so it keeps both.
	storeName = "handover"
	keepName  = "handover-end"
	// successorVariable tells a successor the descriptor of its socket.
	successorVariable = "PNS4ONES_HANDOVER_FD"

	// All of a hand-over is there when it is looked for in the store.
	storeTimeout = 5 * time.Second
	// How long a successor may take until it is ready.
	successorTimeout = 30 * time.Second
	checkTimeout     = 20 * time.Second
	// How long one that was killed may take to end.
	endTimeout = 5 * time.Second
)

// What the two processes say to each other after the hand-over.
const (
	wordReady = "ready"
	wordGo    = "go"
)

func newSuccessors() *successors {
	program, err := os.Executable()
	if err != nil {
		program = os.Args[0] // without /proc
	}
	return &successors{program: program}
}

// inherit returns what the process before this one has left; nil: nothing.
func (s *successors) inherit() (*netsvc.Estate, error) {
	if s == nil {
		return nil, nil
	}
	if number := os.Getenv(successorVariable); number != "" {
		os.Unsetenv(successorVariable)
		fd, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("%s is no descriptor", successorVariable)
		}
		unix.CloseOnExec(fd)
		if s.predecessor, err = handover.Conn(os.NewFile(uintptr(fd), storeName)); err != nil {
			return nil, err
		}
		return receive(s.predecessor, successorTimeout)
	}
	var left *netsvc.Estate
	var problem error
	for _, file := range activation.Files(true) {
		if file.Name() != storeName || left != nil {
			file.Close()
			continue
		}
		socket, err := handover.Conn(file)
		if err != nil {
			problem = err
			continue
		}
		left, problem = receive(socket, storeTimeout)
		socket.Close()
		s.stored = left != nil
	}
	if left != nil || problem != nil {
		forgetStored()
	}
	return left, problem
}

func receive(from *net.UnixConn, patience time.Duration) (*netsvc.Estate, error) {
	from.SetReadDeadline(time.Now().Add(patience))
	defer from.SetReadDeadline(time.Time{})
	return netsvc.ReceiveEstate(from)
}

// giveBack is for a start that failed: the next one finds the sessions again.
func (s *successors) giveBack(e *netsvc.Estate) {
	if s == nil || e == nil {
		return
	}
	if s.stored {
		store(e) // if it fails, there is nothing else to try
	}
	e.Close()
}

// awaitTurn says to the process before this one, if it is still there, that all is
// ready, and waits until it has let go of the sessions. Its end means the same.
func (s *successors) awaitTurn() error {
	if s == nil || s.predecessor == nil {
		return nil
	}
	defer func() {
		s.predecessor.Close()
		s.predecessor = nil
	}()
	s.predecessor.SetDeadline(time.Now().Add(successorTimeout))
	if _, err := s.predecessor.Write([]byte(wordReady)); err != nil {
		return nil // it is gone
	}
	word := make([]byte, len(wordGo))
	n, err := s.predecessor.Read(word)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the process before this one does not let go of the sessions")
	case err == nil && n > 0 && string(word[:n]) != wordGo:
		return fmt.Errorf("the process before this one says %q", word[:n])
	}
	return nil
}

// expected tells that somebody comes after this process, as far as it can know.
func (s *successors) expected() bool {
	return s.upgrades() || s != nil && os.Getenv("NOTIFY_SOCKET") != ""
}

// upgrades tells that this process is about to start the one after it.
func (s *successors) upgrades() bool { return s != nil && s.upgrading.Load() }

// upgrade returns a function that begins an upgrade by ending this process's
// service, if the program on disk takes the settings.
func (s *successors) upgrade(end context.CancelFunc) func() error {
	if s == nil {
		return nil
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
		defer cancel()
		check := exec.CommandContext(ctx, s.program, append(append([]string{}, os.Args[1:]...), "-check")...)
		check.Args[0] = os.Args[0]
		var said bytes.Buffer
		check.Stderr = &said
		check.WaitDelay = time.Second
		if err := check.Run(); err != nil {
			return fmt.Errorf("%s -check: %s: %w", s.program, strings.TrimSpace(said.String()), err)
		}
		s.upgrading.Store(true)
		end()
		return nil
	}
}

// passOn leaves the sessions to the next process. After an error they are still
// this one's.
func (s *successors) passOn(left *netsvc.Estate) error {
	if !s.upgrades() {
		return store(left)
	}
	return startSuccessor(s.program, left)
}

// goOn is for when nobody could take the sessions: it tells whether this process has
// to serve them again, as it was to pass them on for an upgrade only.
func (s *successors) goOn() bool { return s != nil && s.upgrading.Swap(false) }

// startSuccessor starts a successor and returns when it has the sessions.
func startSuccessor(program string, left *netsvc.Estate) error {
	socket, theirs, err := handover.Pair()
	if err != nil {
		return err
	}
	defer socket.Close()
	successor := exec.Command(program, os.Args[1:]...)
	successor.Args[0] = os.Args[0]
	successor.Stdin, successor.Stdout, successor.Stderr = os.Stdin, os.Stdout, os.Stderr
	successor.Env = append(os.Environ(), successorVariable+"=3")
	successor.ExtraFiles = []*os.File{theirs}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		// A child of systemd as we are: at a stop it waits for no other process.
		successor.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}
	}
	err = successor.Start()
	theirs.Close()
	if err != nil {
		return fmt.Errorf("starting %s: %w", program, err)
	}
	if err := give(socket, successor.Process.Pid, left); err != nil {
		end(successor.Process)
		return fmt.Errorf("handing over to %s: %w", program, err)
	}
	return nil
}

// end kills a successor, and waits until it has let go of the database and of its
// sockets: this process wants them back.
func end(successor *os.Process) {
	descriptor, err := unix.PidfdOpen(successor.Pid, 0)
	successor.Kill()
	if err == nil {
		defer unix.Close(descriptor)
		ended := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		unix.Poll(ended, int(endTimeout.Milliseconds()))
	}
	successor.Wait() // fails at once if it is systemd's child
}

// give hands over to a successor, and tells it to go on when it is ready.
func give(socket *net.UnixConn, pid int, left *netsvc.Estate) error {
	socket.SetDeadline(time.Now().Add(successorTimeout))
	if err := left.Send(socket); err != nil {
		return err
	}
	word := make([]byte, len(wordReady))
	n, err := socket.Read(word)
	switch {
	case errors.Is(err, io.EOF) || err == nil && n == 0:
		return errors.New("it ended before it was ready; see what it said")
	case err != nil:
		return err
	case string(word[:n]) != wordReady:
		return fmt.Errorf("it says %q", word[:n])
	}
	// systemd, if it is there, follows the new process from now on.
	if err := notify("MAINPID="+strconv.Itoa(pid), nil); err != nil {
		return err
	}
	notifyBarrier()
	if _, err := socket.Write([]byte(wordGo)); err != nil {
		return err
	}
	return nil
}

// store puts the sessions where the next process of the service finds them.
func store(left *netsvc.Estate) error {
	socket, end, err := handover.Pair()
	if err != nil {
		return err
	}
	defer socket.Close()
	defer end.Close()
	if err := left.Send(socket); err != nil {
		return err
	}
	raw, err := socket.File()
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := notify("FDSTORE=1\nFDNAME="+storeName, end); err != nil {
		return err
	}
	if err := notify("FDSTORE=1\nFDNAME="+keepName, raw); err != nil {
		return err
	}
	// systemd looks up who sent a message: this process must not end before.
	return notifyBarrier()
}

// forgetStored takes out of systemd's store what has been read.
func forgetStored() {
	notify("FDSTOREREMOVE=1\nFDNAME="+storeName, nil)
	notify("FDSTOREREMOVE=1\nFDNAME="+keepName, nil)
}

// notify says something to systemd, and passes a file on (sd_notify(3)). Without
// systemd it does nothing.
func notify(state string, file *os.File) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	// Package net does not pass files on through a connected datagram socket.
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer unix.Close(socket)
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	if err := unix.Sendmsg(socket, []byte(state), rights, &unix.SockaddrUnix{Name: name}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}

const barrierTimeout = 5 * time.Second

// notifyBarrier waits until systemd has read all that was said to it.
func notifyBarrier() error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = notify("BARRIER=1", theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	ours.SetReadDeadline(time.Now().Add(barrierTimeout))
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("waiting for systemd: %w", err)
	}
	return nil
}
