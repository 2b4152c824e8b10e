package handover_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// pair returns both ends of a hand-over.
func pair(t testing.TB) (here, there *net.UnixConn) {
	t.Helper()
	here, end, err := handover.Pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	if there, err = handover.Conn(end); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	there.SetReadDeadline(time.Now().Add(20 * time.Second))
	return here, there
}

func TestWhatIsSentArrivesInOrder(t *testing.T) {
	for _, n := range []int{0, 1, 252, 253, 254, 1000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			here, there := pair(t)
			var sent []syscall.Conn
			for i := range n {
				f, err := os.CreateTemp(t.TempDir(), "")
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				fmt.Fprint(f, i)
				sent = append(sent, f)
			}
			document := strings.Repeat("x", 3<<20) // more than a socket takes
			// Nobody reads yet.
			if err := handover.Send(here, []byte(document), sent); err != nil {
				t.Fatal(err)
			}
			here.Close()
			got, files, err := handover.Receive(there)
			if err != nil || string(got) != document || len(files) != n {
				t.Fatalf("%d bytes, %d files, %v", len(got), len(files), err)
			}
			for i, f := range files {
				content, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
				if err != nil || string(content) != fmt.Sprint(i) {
					t.Errorf("file %d holds %q, %v", i, content, err)
				}
				f.Close()
			}
		})
	}
}

func TestAHandOverThatIsNotWholeIsRefused(t *testing.T) {
	null := func(t *testing.T) (*os.File, []byte) {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		return f, unix.UnixRights(int(f.Fd()))
	}
	for name, send := range map[string]func(t *testing.T, to *net.UnixConn){
		"nothing": func(*testing.T, *net.UnixConn) {},
		"another version": func(t *testing.T, to *net.UnixConn) {
			f, rights := null(t)
			defer f.Close()
			to.WriteMsgUnix([]byte{handover.Version + 1, 1}, rights, nil)
		},
		"no descriptors": func(_ *testing.T, to *net.UnixConn) { to.Write([]byte{handover.Version, 1}) },
		"some are missing": func(t *testing.T, to *net.UnixConn) {
			f, rights := null(t)
			defer f.Close()
			to.WriteMsgUnix([]byte{handover.Version, 3}, rights, nil)
		},
		"a number without end": func(t *testing.T, to *net.UnixConn) {
			f, rights := null(t)
			defer f.Close()
			to.WriteMsgUnix([]byte{handover.Version, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, rights, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			before := descriptors(t)
			send(t, here)
			here.Close()
			if _, files, err := handover.Receive(there); err == nil || files != nil {
				t.Errorf("got %d files and %v", len(files), err)
			}
			if now := descriptors(t); now >= before { // here is closed
				t.Errorf("%d descriptors are open, before there were %d", now, before)
			}
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
