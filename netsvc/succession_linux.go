package netsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/internal/systemd"
)

const (
	// The socket of a hand-over in systemd's store, and its other end: systemd drops a
	// descriptor when the other end is closed, so it keeps both.
	storeName = "handover"
	keepName  = "handover-end"
	// linkVariable gives a successor the descriptor of its link, formatVariable that
	// this process speaks as documentFormat wants it.
	linkVariable   = "PNS4ONES_HANDOVER_FD"
	formatVariable = "PNS4ONES_HANDOVER_FORMAT"
)

// Succession is how sessions go from one process to the next: what of it lies outside
// this process. nil: they do not.
type Succession struct {
	program   string   // where this one was started from: another one may be there by now
	args      []string // of this process, its name first
	systemd   *systemd.Manager
	link      *handover.Link // to the process before this one, if it waits; nil: it does not
	landed    bool           // that one is of the landed version
	deadlines Deadlines
	// step is called at each step of a hand-over, by its name, for tests that have it
	// fail; nil: nobody is.
	step func(name string) error
}

// SuccessionOptions are for tests; the zero value is what a service wants.
type SuccessionOptions struct {
	Deadlines Deadlines
	// Step is called at each step of a hand-over by its name. An error fails the step.
	Step func(name string) error
}

// NewSuccession returns how this process, which was called with args, its name first, is
// tied to the one before and the one after. It is called once, before anything else is
// started.
func NewSuccession(args []string, o SuccessionOptions) (*Succession, error) {
	program, err := os.Executable()
	if err != nil {
		program = args[0] // without /proc
	}
	s := &Succession{program: program, args: args, systemd: systemd.FromEnvironment(), deadlines: o.Deadlines,
		step: o.Step}
	s.deadlines.setDefaults()
	number, format := os.Getenv(linkVariable), os.Getenv(formatVariable)
	os.Unsetenv(linkVariable)
	os.Unsetenv(formatVariable)
	if number == "" {
		return s, nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, fmt.Errorf("%s is no descriptor", linkVariable)
	}
	unix.CloseOnExec(fd)
	if s.link, err = handover.OpenLink(os.NewFile(uintptr(fd), "handover")); err != nil {
		return nil, err
	}
	s.landed = format == ""
	return s, nil
}

func (d *Deadlines) setDefaults() {
	for _, field := range []struct {
		is  *time.Duration
		def time.Duration
	}{
		{&d.Check, 20 * time.Second}, {&d.Hello, 5 * time.Second}, {&d.Gate, 500 * time.Millisecond},
		{&d.Requests, 500 * time.Millisecond}, {&d.Ready, 6 * time.Second}, {&d.Turn, time.Second},
		{&d.Store, 8 * time.Second}, {&d.StoreTry, 3 * time.Second}, {&d.Database, 2 * time.Second},
		{&d.Open, 4 * time.Second},
		{&d.Term, 10 * time.Second}, {&d.End, 2 * time.Second},
	} {
		if *field.is == 0 {
			*field.is = field.def
		}
	}
}

// Managed reports whether systemd started this process: then it keeps the sessions over a
// restart.
func (s *Succession) Managed() bool { return s != nil && s.systemd.Present() }

// at is called at a step.
func (s *Succession) at(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

// reach is at for a step whose turn is over at a time: then nothing is done there. What is
// done has that time, too.
func (s *Succession) reach(step string, until time.Time) error {
	if s.step == nil {
		return nil
	}
	_, err := bounded(until, func() (struct{}, error) { return struct{}{}, s.step(step) }, func(struct{}) {})
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// bounded does what cannot be interrupted, for a disk may not answer, and gives up waiting
// for it when its time is over. Then it may still be done later: what comes of it goes to
// late, and to nobody else.
func bounded[T any](until time.Time, do func() (T, error), late func(T)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done, over := make(chan outcome), make(chan struct{})
	go func() {
		value, err := do()
		select {
		case done <- outcome{value, err}:
		case <-over:
			if err == nil {
				late(value)
			}
		}
	}()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case o := <-done:
		return o.value, o.err
	case <-timer.C:
		close(over)
		var none T
		return none, os.ErrDeadlineExceeded
	}
}

// check has the program on disk look at the settings, and at all that a start needs.
func (s *Succession) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.deadlines.Check)
	defer cancel()
	check := exec.CommandContext(ctx, s.program, append(append([]string{}, s.args[1:]...), "-check")...)
	check.Args[0] = s.args[0]
	var said bytes.Buffer
	check.Stderr = &said
	check.WaitDelay = time.Second
	if err := check.Run(); err != nil {
		return fmt.Errorf("%s -check: %s: %w", s.program, strings.TrimSpace(said.String()), err)
	}
	return nil
}

// The words of a link.
const (
	sayGreeting = "greeting"
	sayHello    = "hello"
	sayEarly    = "early"
	sayDocument = "document"
	sayGot      = "got"
	sayClosed   = "closed"
	sayReady    = "ready"
	sayMine     = "mine"
)

// word is a message of a link, other than a document. Which fields it has depends on what
// it says.
type word struct {
	Say      string        `json:"say"`
	Format   int           `json:"format,omitempty"`  // greeting, ready
	Version  string        `json:"version,omitempty"` // greeting, hello: of who says it
	Identity app.Identity  `json:"identity"`          // greeting: of the database
	Sockets  []savedSocket `json:"sockets,omitempty"` // greeting: their descriptors follow the pipe
	Limit    uint64        `json:"limit,omitempty"`   // hello: of descriptors
	// greeting: which node of which cluster this is; hello: that it will be the same. Empty:
	// none, or a version that knows nothing of clusters.
	Node     string `json:"node,omitempty"`
	Sessions int    `json:"sessions"`      // got, ready: connections there are
	Why      string `json:"why,omitempty"` // hello, got, ready: why it cannot go on
}

func say(link *handover.Link, w word, files ...syscall.Conn) error {
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return link.Send(text, files...)
}

// hear returns the next word, which has to be what is expected.
func hear(link *handover.Link, what string) (w word, files []*os.File, err error) {
	text, files, err := link.Receive()
	if err != nil {
		return word{}, nil, err
	}
	if err := json.Unmarshal(text, &w); err != nil || w.Say != what {
		closeFiles(files)
		return word{}, nil, fmt.Errorf("it says %.60q, and not %s", text, what)
	}
	if w.Why != "" {
		closeFiles(files)
		return w, nil, errors.New(w.Why)
	}
	return w, files, nil
}

// successor is a process that an upgrade has started.
type successor struct {
	process *os.Process
	link    *handover.Link
	// The right to serve is one byte in this pipe, which both processes can read.
	turnIn, turnOut *os.File
}

// What the byte in the pipe says.
const (
	turnGiven   = 1
	turnRefused = 2 // the process before goes on
)

var errRefused = errors.New("the process before this one goes on with the sessions")

// start starts the program on disk as a successor.
func (s *Succession) start() (*successor, error) {
	link, theirs, err := handover.NewLink()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	turnOut, turnIn, err := os.Pipe()
	if err != nil {
		link.Close()
		return nil, err
	}
	command := exec.Command(s.program, s.args[1:]...)
	command.Args[0] = s.args[0]
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), linkVariable+"=3", formatVariable+"="+strconv.Itoa(documentFormat))
	command.ExtraFiles = []*os.File{theirs}
	if s.Managed() {
		// A child of systemd as we are: at a stop it waits for no other process.
		command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_PARENT}
	}
	if err := command.Start(); err != nil {
		link.Close()
		turnIn.Close()
		turnOut.Close()
		return nil, fmt.Errorf("starting %s: %w", s.program, err)
	}
	return &successor{process: command.Process, link: link, turnIn: turnIn, turnOut: turnOut}, nil
}

// close lets go of what ties this process to the successor. The successor takes that for
// the end of this process: it must have the sessions, or be dead.
func (n *successor) close() {
	n.link.Close()
	n.turnIn.Close()
	n.turnOut.Close()
}

// giveTurn writes the byte, for which there is always room.
func (n *successor) giveTurn() error {
	_, err := n.turnIn.Write([]byte{turnGiven})
	return err
}

// takeTurnBack reads the byte back, and reports whether it was still there.
func (n *successor) takeTurnBack() bool {
	return readNow(n.turnOut) == nil
}

// readNow reads a byte without waiting.
func readNow(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	n := 0
	if controlErr := raw.Control(func(fd uintptr) { n, err = unix.Read(int(fd), make([]byte, 1)) }); controlErr != nil {
		return controlErr
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	return err
}

// end kills the successor, and waits until it has let go of the database and of its
// sockets, for this process wants them back.
func (n *successor) end(patience time.Duration) {
	// If the program is a script, what is killed is the script: the process that it started
	// must not take the end of the pipe for the end of this process.
	n.turnIn.Write([]byte{turnRefused})
	descriptor, err := unix.PidfdOpen(n.process.Pid, 0)
	n.process.Kill()
	if err == nil {
		defer unix.Close(descriptor)
		ended := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		unix.Poll(ended, int(patience.Milliseconds()))
	}
	go n.process.Wait() // fails at once if it is systemd's child
	n.close()
}
