//go:build unix

package socket_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
)

// listen opens a channel until the end of the test.
func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatalf("listening: %v", err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func connects(t *testing.T, path string) bool {
	t.Helper()
	conn, err := net.Dial("unix", path)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Not parallel: the umask is the process's.
func TestModesDoNotDependOnTheUmask(t *testing.T) {
	folder := t.TempDir()
	for _, umask := range []int{0, 0o022, 0o077, 0o777} {
		old := syscall.Umask(umask)
		path := filepath.Join(folder, strconv.FormatInt(int64(umask), 8), "deeper", "socket.sock")
		ln, err := socket.Listen(path)
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %03o: %v", umask, err)
		}
		for p, want := range map[string]fs.FileMode{
			path: fs.ModeSocket | 0o660, filepath.Dir(path): fs.ModeDir | 0o750,
			filepath.Dir(filepath.Dir(path)): fs.ModeDir | 0o750,
		} {
			info, err := os.Stat(p)
			if err != nil || info.Mode() != want {
				t.Errorf("umask %03o: %s: %v (%v), want %v", umask, p, info.Mode(), err, want)
			}
		}
		ln.Close()
	}
}

func TestTheGroupIsThatOfTheProductIfItExists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "s")
	listen(t, path)
	want := os.Getegid()
	if group, err := user.LookupGroup("pns4ones"); err == nil && os.Geteuid() == 0 {
		if want, err = strconv.Atoi(group.Gid); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		system := info.Sys().(*syscall.Stat_t)
		if int(system.Gid) != want || int(system.Uid) != os.Geteuid() {
			t.Errorf("%s belongs to %d:%d, want %d:%d", p, system.Uid, system.Gid, os.Geteuid(), want)
		}
	}
}

func TestAFolderThatIsThereStaysAsItIs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o711); err != nil {
		t.Fatal(err)
	}
	listen(t, filepath.Join(folder, "s"))
	info, err := os.Stat(folder)
	if err != nil || info.Mode().Perm() != 0o711 {
		t.Errorf("the folder has the mode %v (%v), want 0711", info.Mode(), err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v (%v), want the socket alone", entries, err)
	}
}

func TestAFolderIntoWhichEverybodyMayWriteIsRefused(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, test := range []struct {
		mode fs.FileMode
		want error
	}{{0o777, socket.ErrOpenFolder}, {0o777 | fs.ModeSticky, nil}, {0o770, nil}} {
		if err := os.Chmod(folder, test.mode); err != nil {
			t.Fatal(err)
		}
		ln, err := socket.Listen(filepath.Join(folder, "s"))
		if err == nil {
			ln.Close()
		}
		if !errors.Is(err, test.want) {
			t.Errorf("mode %v: %v, want %v", test.mode, err, test.want)
		}
	}
}

func TestAStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	sockettest.Stale(t, path)
	ln := listen(t, path)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Listen(path); !errors.Is(err, socket.ErrInUse) {
		t.Errorf("a second daemon: %v, want %v", err, socket.ErrInUse)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) || !connects(t, path) {
		t.Errorf("the live socket was touched: %v", err)
	}
	if ln.Addr().String() != path {
		t.Errorf("listens at %s, want %s", ln.Addr(), path)
	}
}

// A daemon that hangs, so that callers pile up, is alive nevertheless.
func TestASocketWithAFullQueueIsLive(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // none of them is accepted
		if conn, err := net.Dial("unix", path); err == nil {
			defer conn.Close()
		}
	}
	if _, err := socket.Listen(path); !errors.Is(err, socket.ErrInUse) {
		t.Errorf("got %v, want %v", err, socket.ErrInUse)
	}
}

func TestOfManyDaemonsOverAStaleSocketOneGetsIt(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := sockettest.Path(t)
		sockettest.Stale(t, path)
		var (
			wg      sync.WaitGroup
			mu      sync.Mutex
			winners []net.Listener
		)
		for range 8 {
			wg.Go(func() {
				ln, err := socket.Listen(path)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					winners = append(winners, ln)
				case !errors.Is(err, socket.ErrInUse):
					t.Errorf("a loser got %v, want %v", err, socket.ErrInUse)
				}
			})
		}
		wg.Wait()
		if len(winners) != 1 || !connects(t, path) {
			t.Fatalf("%d daemons listen there", len(winners))
		}
		winners[0].Close()
	}
}

func TestWhatIsNoSocketIsNotTouched(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	live := filepath.Join(folder, "live")
	sockettest.Stale(t, live)
	for name, make := range map[string]func(path string) error{
		"file":    func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"folder":  func(path string) error { return os.Mkdir(path, 0o700) },
		"symlink": func(path string) error { return os.Symlink(live, path) },
		"pipe":    func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(folder, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := socket.Listen(path); err == nil || !strings.Contains(err.Error(), "not a socket") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
		if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
			t.Errorf("%s: was touched: %v", name, err)
		}
	}
	if _, err := socket.Listen(filepath.Join(folder, "file", "s")); err == nil {
		t.Error("listens in a folder that is a file")
	}
}

func TestClosingRemovesTheSocketOnlyIfItIsOurs(t *testing.T) {
	t.Parallel()
	path := sockettest.Path(t)
	first := listen(t, path)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after closing the socket is there: %v", err)
	}

	first = listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(t, path) // another daemon took the place
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if !connects(t, path) {
		t.Error("the other daemon's socket was removed")
	}
	if err := first.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	if !connects(t, path) {
		t.Error("closing again removed the other daemon's socket")
	}
}

func TestAPathThatIsTooLongIsRefusedClearly(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	longest := filepath.Join(folder, strings.Repeat("x", 107-len(folder)-1))
	listen(t, longest)
	if !connects(t, longest) {
		t.Error("the longest path does not work")
	}
	_, err := socket.Listen(longest + "x")
	if err == nil || !strings.Contains(err.Error(), "108 bytes") || !strings.Contains(err.Error(), "107") {
		t.Errorf("got %v, want the lengths", err)
	}
}

func TestAFolderThatMayNotBeWrittenIsAPermissionError(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "s"), filepath.Join(folder, "new", "s")} {
		if _, err := socket.Listen(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v, want %v", path, err, fs.ErrPermission)
		}
	}
}

// greets accepts one call, and says who it is.
func greets(ln net.Listener, name string) error {
	conn, err := ln.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(name))
	return err
}

func TestADetachedSocketGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln := listen(t, path)
	ended := make(chan error, 1)
	go func() { ended <- greets(ln, "first") }()
	detached := socket.Detach(ln)
	if detached == nil {
		t.Fatal("it cannot be detached")
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("accepting ended with %v", err)
	}
	if socket.Detach(ln) != nil {
		t.Error("it was detached twice")
	}
	if socket.Underlying(ln) != detached {
		t.Error("it is another socket")
	}
	// Closing it neither closes the socket nor removes its file; who calls waits.
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	caller, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("calling a detached socket: %v", err)
	}
	defer caller.Close()

	file, err := detached.File() // as it goes to another process
	if err != nil {
		t.Fatal(err)
	}
	copied, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	detached.Close()
	attached, err := socket.Attach(copied.(*net.UnixListener), path, socket.FileOf(ln))
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- greets(attached, "second") }()
	if said, err := io.ReadAll(caller); err != nil || string(said) != "second" {
		t.Errorf("heard %q, %v", said, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := attached.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is there after Close: %v", err)
	}
}

// TestASocketIsTakenBack by the process that detached it.
func TestASocketIsTakenBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln := listen(t, path)
	for range 3 {
		socket.Detach(ln)
		caller, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer caller.Close()
		again, err := socket.Resume(ln)
		if err != nil {
			t.Fatal(err)
		}
		greeted := make(chan error, 1)
		go func() { greeted <- greets(again, "again") }()
		if said, err := io.ReadAll(caller); err != nil || string(said) != "again" {
			t.Errorf("heard %q, %v", said, err)
		}
		if err := <-greeted; err != nil {
			t.Error(err)
		}
		ln = again
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if connects(t, path) {
		t.Error("it listens after Close")
	}
}

func TestASocketWhoseFileIsGoneIsNotAttached(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln := listen(t, path)
	detached := socket.Detach(ln)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Attach(detached, path, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attaching it: %v", err)
	}
	if _, err := socket.Resume(ln); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("going on with it: %v", err)
	}
	if err := detached.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("it was not closed: %v", err)
	}
}

// TestASocketIsNotAttachedToTheFileOfAnother: nobody who calls would reach it.
func TestASocketIsNotAttachedToTheFileOfAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln := listen(t, path)
	detached := socket.Detach(ln)
	defer detached.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(t, path) // it may get the number of the file that was removed
	if _, err := socket.Attach(detached, path, socket.FileOf(ln)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("attaching it: %v", err)
	}
	if socket.IsThere(ln) {
		t.Error("it passes for the one that is there")
	}
}

// TestAnAttachedSocketRemovesNoOther: its file may have been replaced meanwhile.
func TestAnAttachedSocketRemovesNoOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	attached, err := socket.Attach(socket.Detach(listen(t, path)), path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	listen(t, path)
	if err := attached.Close(); err != nil {
		t.Error(err)
	}
	if !connects(t, path) {
		t.Error("the other one's file was removed")
	}
}

func TestOnlyAChannelIsDetached(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if socket.Detach(ln) != nil || socket.Underlying(ln) != nil || socket.Underlying(nil) != nil {
		t.Error("a TCP listener passes for a channel")
	}
}
