package handover_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// The tests of this package do not run in parallel: they count the descriptors of the
// process.

// patience bounds how long a test waits for what must happen soon.
const patience = 2 * time.Minute

// links returns both ends of a link.
func links(t testing.TB) (here, there *handover.Link) {
	t.Helper()
	here, end, err := handover.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	if there, err = handover.OpenLink(end); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	here.SetDeadline(time.Now().Add(patience))
	there.SetDeadline(time.Now().Add(patience))
	return here, there
}

// leaksNothing checks, at the end of the test, that as many descriptors are open as now.
func leaksNothing(t testing.TB) {
	t.Helper()
	// The runtime has two of its own from the first file on that it waits for.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	before := descriptors(t)
	t.Cleanup(func() {
		if now := descriptors(t); now != before {
			t.Errorf("%d descriptors are open, before there were %d", now, before)
		}
	})
}

func descriptors(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// numbered are open files, each of which has its number for a content.
func numbered(t testing.TB, n int) (files []syscall.Conn) {
	t.Helper()
	for i := range n {
		f, err := handover.NewFile(fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		files = append(files, f)
	}
	return files
}

func TestMessagesArriveInOrderWithTheirDescriptors(t *testing.T) {
	links(t) // the poller of package os has opened what it needs by now
	leaksNothing(t)
	here, there := links(t)
	files := numbered(t, handover.MaxFiles)
	counts := []int{0, 1, 0, 2, handover.MaxFiles, 3}
	for i, n := range counts { // nobody reads yet
		if err := here.Send(fmt.Appendf(nil, "message %d", i), files[:n]...); err != nil {
			t.Fatal(err)
		}
	}
	here.Close()
	for i, n := range counts {
		text, came, err := there.Receive()
		if want := fmt.Sprintf("message %d", i); err != nil || string(text) != want || len(came) != n {
			t.Fatalf("got %q with %d descriptors, %v; want %q with %d", text, len(came), err, want, n)
		}
		for k, f := range came {
			memory, err := handover.Read(f)
			if err != nil || string(memory.Bytes) != fmt.Sprint(k) {
				t.Errorf("message %d: descriptor %d holds %q, %v", i, k, memory.Bytes, err)
			}
		}
	}
	if _, _, err := there.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last message: %v, want the end", err)
	}
}

func TestDescriptorsThatCameAreNotPassedToPrograms(t *testing.T) {
	here, there := links(t)
	if err := here.Send([]byte("x"), numbered(t, 1)...); err != nil {
		t.Fatal(err)
	}
	_, files, err := there.Receive()
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	defer files[0].Close()
	if flags, err := unix.FcntlInt(files[0].Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the descriptor has the flags %#x, %v", flags, err)
	}
}

func TestALinkRefusesWhatNoMessageHolds(t *testing.T) {
	here, there := links(t)
	closed, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	many := make([]syscall.Conn, handover.MaxFiles+1)
	for i := range many {
		many[i] = os.Stdin
	}
	for name, test := range map[string]struct {
		text  []byte
		files []syscall.Conn
	}{
		"nothing":                           {nil, nil},
		"a text that is too long":           {make([]byte, handover.MaxMessage+1), nil},
		"more descriptors than go into one": {[]byte("x"), many},
		"a descriptor that is closed":       {[]byte("x"), []syscall.Conn{closed}},
	} {
		if err := here.Send(test.text, test.files...); err == nil {
			t.Errorf("%s was sent", name)
		}
	}
	// The longest one goes, and nothing came of the others.
	longest := bytes.Repeat([]byte("x"), handover.MaxMessage)
	if err := here.Send(longest); err != nil {
		t.Fatal(err)
	}
	if text, _, err := there.Receive(); err != nil || !bytes.Equal(text, longest) {
		t.Errorf("got %d bytes, %v; want %d", len(text), err, len(longest))
	}
}

func TestALinkWaitsNoLongerThanItsDeadline(t *testing.T) {
	here, there := links(t)
	there.SetDeadline(time.Unix(1, 0))
	if _, _, err := there.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("receiving ended with %v", err)
	}
	text := []byte(strings.Repeat("x", handover.MaxMessage))
	here.SetDeadline(time.Now().Add(50 * time.Millisecond))
	var err error
	for range 10_000 { // far more than a socket takes
		if err = here.Send(text); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sending to somebody who does not read ended with %v", err)
	}
	// Whoever waits is woken when the deadline is moved.
	waiting, end := links(t)
	defer end.Close()
	ended := make(chan error)
	go func() {
		_, _, err := waiting.Receive()
		ended <- err
	}()
	waiting.SetDeadline(time.Unix(1, 0))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("receiving ended with %v", err)
	}
}

func TestALinkWhoseOtherEndIsClosed(t *testing.T) {
	here, there := links(t)
	if err := here.Send([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	here.Close()
	if text, _, err := there.Receive(); err != nil || string(text) != "last words" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, _, err := there.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("receiving ended with %v", err)
	}
	if err := there.Send([]byte("x")); !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("sending ended with %v", err)
	}
}

func TestALinkOutlivesItsEndsInACopy(t *testing.T) {
	here, end, err := handover.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	if err := here.Send([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	copied, err := here.File()
	if err != nil {
		t.Fatal(err)
	}
	here.Close()
	defer copied.Close()
	there, err := handover.OpenLink(end)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if text, _, err := there.Receive(); err != nil || string(text) != "kept" {
		t.Errorf("got %q, %v", text, err)
	}
	there.SetDeadline(time.Unix(1, 0))
	if _, _, err := there.Receive(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a copy of its other end the link ended with %v", err)
	}
}

func TestOnlyASocketIsALink(t *testing.T) {
	leaksNothing(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handover.OpenLink(file); err == nil {
		t.Error("a device passes for a link")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := handover.OpenLink(os.NewFile(uintptr(fd), "udp")); err == nil {
		t.Error("a UDP socket passes for a link")
	}
}

// TestDescriptorsForWhichThereIsNoRoom: they are lost, and that is said.
func TestDescriptorsForWhichThereIsNoRoom(t *testing.T) {
	here, there := links(t)
	if err := here.Send([]byte("x"), numbered(t, 20)...); err != nil {
		t.Fatal(err)
	}
	leaksNothing(t)
	limitTo(t, uint64(descriptors(t)+5))
	if text, files, err := there.Receive(); err == nil || files != nil {
		t.Errorf("got %q with %d descriptors", text, len(files))
	}
}

// limitTo lets this process have descriptors up to a number until the end of the test.
func limitTo(t *testing.T, n uint64) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &before) })
}

// TestWhatIsThereIsReadWhateverTheTime: a process that has been away from the processor for
// long loses nothing that was left for it.
func TestWhatIsThereIsReadWhateverTheTime(t *testing.T) {
	leaksNothing(t)
	here, end, err := handover.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := handover.OpenLink(end)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	if _, _, err := there.ReceiveNow(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with nothing there: %v", err)
	}
	left, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	if err := here.Send([]byte("left"), left); err != nil {
		t.Fatal(err)
	}
	text, files, err := there.ReceiveNow()
	if err != nil || string(text) != "left" || len(files) != 1 {
		t.Fatalf("got %q and %d files, %v", text, len(files), err)
	}
	files[0].Close()
	here.Close()
	if _, _, err := there.ReceiveNow(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
}
