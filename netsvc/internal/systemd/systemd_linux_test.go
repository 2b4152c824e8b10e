package systemd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds how long a test waits for what must happen soon.
const patience = 2 * time.Minute

// manager is a service manager that reads only when the test has it read.
type manager struct {
	*Manager
	t    *testing.T
	conn *net.UnixConn
}

func startManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(patience))
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{FromEnvironment(), t, conn}
}

// hear returns the next message, and its descriptors.
func (m *manager) hear() (text string, files []*os.File) {
	m.t.Helper()
	buf, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(16))
	n, rn, _, _, err := m.conn.ReadMsgUnix(buf, rights)
	if err != nil {
		m.t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil {
		m.t.Fatal(err)
	}
	for _, message := range messages {
		fds, err := unix.ParseUnixRights(&message)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "stored")
			m.t.Cleanup(func() { f.Close() })
			files = append(files, f)
		}
	}
	return string(buf[:n]), files
}

func soon() time.Time { return time.Now().Add(patience) }

func TestWhatIsSaidArrives(t *testing.T) {
	m := startManager(t)
	if !m.Present() {
		t.Fatal("nobody is there")
	}
	for want, say := range map[string]func() error{
		"READY=1\nSTATUS=x":                 func() error { return m.Notify("READY=1\nSTATUS=x", soon()) },
		fmt.Sprint("MAINPID=", os.Getpid()): func() error { return m.MainPID(os.Getpid(), soon()) },
		"FDSTOREREMOVE=1\nFDNAME=handover":  func() error { return m.Forget("handover", soon()) },
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		if text, files := m.hear(); text != want || files != nil {
			t.Errorf("heard %q with %d descriptors, want %q", text, len(files), want)
		}
	}
}

func TestAStoredDescriptorArrives(t *testing.T) {
	m := startManager(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := m.Store("handover", file, soon()); err != nil {
		t.Fatal(err)
	}
	text, files := m.hear()
	if text != "FDSTORE=1\nFDNAME=handover" || len(files) != 1 {
		t.Fatalf("heard %q with %d descriptors", text, len(files))
	}
	if _, err := files[0].WriteString("content"); err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(io.NewSectionReader(file, 0, 100)); err != nil || string(content) != "content" {
		t.Errorf("the file holds %q, %v: another one was stored", content, err)
	}
	file.Close()
	if err := m.Store("handover", file, soon()); err == nil {
		t.Error("a closed file was stored")
	}
}

// TestABarrierIsPassedWhenAllWasRead, and not before.
func TestABarrierIsPassedWhenAllWasRead(t *testing.T) {
	m := startManager(t)
	if err := m.Notify("STATUS=before", soon()); err != nil {
		t.Fatal(err)
	}
	passed := make(chan error, 1)
	go func() { passed <- m.Barrier(soon()) }()
	if text, _ := m.hear(); text != "STATUS=before" {
		t.Fatalf("heard %q", text)
	}
	text, files := m.hear()
	if text != "BARRIER=1" || len(files) != 1 {
		t.Fatalf("heard %q with %d descriptors", text, len(files))
	}
	select {
	case err := <-passed:
		t.Fatalf("it was passed before systemd let go of its end: %v", err)
	default:
	}
	files[0].Close()
	if err := <-passed; err != nil {
		t.Error(err)
	}
}

func TestABarrierOfWhichNothingIsHeardHasADeadline(t *testing.T) {
	m := startManager(t)
	before := descriptors(t)
	if err := m.Barrier(time.Now().Add(10 * time.Millisecond)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
	// Somebody who writes into it does not pass it.
	m.hear()
	ended := make(chan error, 1)
	go func() { ended <- m.Barrier(soon()) }()
	_, files := m.hear()
	if _, err := files[0].WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a barrier was passed by a word")
	}
	for _, f := range files {
		f.Close()
	}
	if now := descriptors(t); now > before+1 { // the end of the first one, which was heard
		t.Errorf("%d descriptors are open, before there were %d", now, before)
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

// TestAManagerThatDoesNotRead: each word has its deadline, also one that has gone by.
func TestAManagerThatDoesNotRead(t *testing.T) {
	m := startManager(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	said := 0
	for ; err == nil; said++ {
		if said > 100_000 {
			t.Fatal("its socket takes everything")
		}
		err = m.Notify(fmt.Sprint("STATUS=", said), time.Now().Add(-time.Second))
	}
	before := descriptors(t)
	for name, say := range map[string]func(until time.Time) error{
		"Notify":  func(until time.Time) error { return m.Notify("READY=1", until) },
		"MainPID": func(until time.Time) error { return m.MainPID(1, until) },
		"Store":   func(until time.Time) error { return m.Store("handover", file, until) },
		"Forget":  func(until time.Time) error { return m.Forget("handover", until) },
		"Barrier": m.Barrier,
	} {
		for _, left := range []time.Duration{-time.Hour, 0, 20 * time.Millisecond} {
			if err := say(time.Now().Add(left)); err == nil || !strings.Contains(err.Error(), "does not read") {
				t.Errorf("%s with %v left ended with %v", name, left, err)
			}
		}
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors are open, before there were %d", now, before)
	}
	// When it reads again, the next word arrives, and whoever waited is heard.
	heard := make(chan error, 1)
	go func() { heard <- m.Notify("STATUS=last", soon()) }()
	for last := ""; last != "STATUS=last"; {
		last, _ = m.hear()
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGone(t *testing.T) {
	m := startManager(t)
	m.conn.Close()
	if err := m.Notify("READY=1", soon()); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("telling nobody ended with %v", err)
	}
	if err := m.Barrier(soon()); err == nil {
		t.Error("nobody passes a barrier")
	}
}

func TestWithoutAManagerNothingIsSaid(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m := FromEnvironment()
	if m.Present() {
		t.Error("somebody is there")
	}
	for name, err := range map[string]error{
		"Notify": m.Notify("READY=1", time.Time{}), "MainPID": m.MainPID(1, time.Time{}),
		"Forget": m.Forget("x", time.Time{}), "Barrier": m.Barrier(time.Time{}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := m.Store("x", os.Stdin, time.Time{}); err == nil {
		t.Error("nobody keeps a descriptor")
	}
}

// TestAnAbstractSocketIsOneToo: systemd's is, within some containers.
func TestAnAbstractSocketIsOneToo(t *testing.T) {
	name := fmt.Sprintf("@%s-%d", t.Name(), os.Getpid())
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	if err := FromEnvironment().Notify("READY=1", soon()); err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, conn: conn}
	conn.SetReadDeadline(soon())
	if text, _ := m.hear(); text != "READY=1" {
		t.Errorf("heard %q", text)
	}
}
