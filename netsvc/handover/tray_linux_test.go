package handover_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// listeners are sockets that can be told apart by their address. They are not
// connections, but descriptors of sockets like theirs.
func listeners(t testing.TB, n int) (all []net.Conn) {
	t.Helper()
	for range n {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		all = append(all, conn)
	}
	return all
}

// connections are n of them, of which the one with number i is sockets[i%len(sockets)]:
// so this process may take out of trays nearly as many as it may have open.
func connections(sockets []net.Conn, n int) []handover.Connection {
	all := make([]handover.Connection, n)
	for i := range all {
		all[i] = handover.Connection{Number: uint64(i) << 40, Conn: sockets[i%len(sockets)]}
	}
	return all
}

// unpackAll takes all out of trays, and checks that each number has its connection.
func unpackAll(t testing.TB, trays []*os.File, sockets []net.Conn, n int) {
	t.Helper()
	seen := make([]bool, n)
	var came []*handover.Socket
	for _, tray := range trays {
		if err := handover.Unpack(tray, n, func(number uint64, s *handover.Socket) {
			came = append(came, s)
			i := int(number >> 40)
			if i >= n || seen[i] {
				t.Errorf("number %d came twice, or was never sent", i)
				return
			}
			seen[i] = true
			if got, want := s.LocalAddr().(*net.TCPAddr).Port,
				sockets[i%len(sockets)].LocalAddr().(*net.UDPAddr).Port; got != want {
				t.Errorf("number %d has the socket of port %d, want %d", i, got, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(came) != n {
		t.Errorf("%d of %d connections came", len(came), n)
	}
	for _, s := range came {
		s.Close()
	}
}

// many is as many connections as the usual limit of 20 000 open files admits.
const many = 18_000

func TestEighteenThousandConnections(t *testing.T) {
	needFiles(t, many+1000)
	sockets := listeners(t, 100)
	leaksNothing(t)
	trays, failed, err := handover.Pack(connections(sockets, many))
	if err != nil || len(failed) > 0 {
		t.Fatalf("%d failed, %v", len(failed), err)
	}
	unpackAll(t, trays, sockets, many)
}

// TestTwoHundredThousandConnections has trays so small that there are as many of them as
// for 200 000 connections with the kernel's usual net.core.wmem_max.
func TestTwoHundredThousandConnections(t *testing.T) {
	needFiles(t, many+1000)
	defer handover.SetTrayBytes(8 << 10)()
	sockets := listeners(t, 100)
	leaksNothing(t)
	trays, failed, err := handover.Pack(connections(sockets, many))
	if err != nil || len(failed) > 0 {
		t.Fatalf("%d failed, %v", len(failed), err)
	}
	if len(trays) < 8 || len(trays) > handover.MaxFiles/2 {
		t.Errorf("%d trays", len(trays))
	}
	// They wait in one message, with nobody who reads.
	here, end, err := handover.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	files := make([]syscall.Conn, len(trays))
	for i, f := range trays {
		files[i] = f
	}
	if err := here.Send([]byte("trays"), files...); err != nil {
		t.Fatal(err)
	}
	for _, f := range trays {
		f.Close()
	}
	there, err := handover.OpenLink(end)
	if err != nil {
		t.Fatal(err)
	}
	_, came, err := there.Receive()
	if err != nil {
		t.Fatal(err)
	}
	here.Close()
	there.Close()
	unpackAll(t, came, sockets, many)
}

func needFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < n {
		t.Skipf("this process may have %d files open, %d are needed", limit.Cur, n)
	}
}

func TestUnpackTakesNoMoreThanItMay(t *testing.T) {
	sockets := listeners(t, 3)
	leaksNothing(t)
	const all = 3 * handover.MaxFiles
	for _, limit := range []int{-1, 0, 1, handover.MaxFiles - 1, handover.MaxFiles, handover.MaxFiles + 1, all,
		all + 1} {
		trays, _, err := handover.Pack(connections(sockets, all))
		if err != nil || len(trays) != 1 {
			t.Fatalf("%d trays, %v", len(trays), err)
		}
		n := 0
		if err := handover.Unpack(trays[0], limit, func(number uint64, s *handover.Socket) {
			if number != uint64(n)<<40 {
				t.Errorf("limit %d: number %d came at place %d", limit, number>>40, n)
			}
			n++
			s.Close()
		}); err != nil {
			t.Fatal(err)
		}
		if want := min(max(limit, 0), all); n != want {
			t.Errorf("limit %d: %d came", limit, n)
		}
	}
}

// TestUnpackTakesWhatThereIsRoomFor: of the others the other process knows, which counts.
func TestUnpackTakesWhatThereIsRoomFor(t *testing.T) {
	sockets := listeners(t, 3)
	leaksNothing(t)
	trays, _, err := handover.Pack(connections(sockets, 200))
	if err != nil {
		t.Fatal(err)
	}
	limitTo(t, uint64(descriptors(t)+50))
	var came []*handover.Socket
	err = handover.Unpack(trays[0], 1000, func(number uint64, s *handover.Socket) {
		if number != uint64(len(came))<<40 {
			t.Errorf("number %d came at place %d", number>>40, len(came))
		}
		came = append(came, s)
	})
	for _, s := range came {
		s.Close()
	}
	if err != nil || len(came) == 0 || len(came) == 200 {
		t.Errorf("%d came, %v; there was room for some 50 of 200", len(came), err)
	}
}

// pipeEnd is a connection without a descriptor.
type pipeEnd struct{ net.Conn }

func TestPackLeavesOutWhatHasNoDescriptor(t *testing.T) {
	sockets := listeners(t, 4)
	sockets[1].Close()
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	leaksNothing(t)
	packed := []handover.Connection{{1, sockets[0]}, {2, sockets[1]}, {3, pipeEnd{one}}, {4, sockets[2]}}
	trays, failed, err := handover.Pack(packed)
	if err != nil || !slices.Equal(failed, []uint64{2, 3}) {
		t.Fatalf("%v failed, %v", failed, err)
	}
	var came []uint64
	if err := handover.Unpack(trays[0], 10, func(number uint64, s *handover.Socket) {
		came = append(came, number)
		s.Close()
	}); err != nil || !slices.Equal(came, []uint64{1, 4}) {
		t.Errorf("%v came, %v", came, err)
	}
	for _, nothing := range [][]handover.Connection{nil, packed[1:3]} {
		if trays, _, err := handover.Pack(nothing); err != nil || len(trays) != 0 {
			t.Errorf("%d trays for nothing, %v", len(trays), err)
		}
	}
}

// TestConnectionsMayBeClosedWhileTheyArePacked: early, while they are served.
func TestConnectionsMayBeClosedWhileTheyArePacked(t *testing.T) {
	for range 20 {
		leave := make(chan struct{})
		all := make([]handover.Connection, 500)
		for i := range all {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			all[i] = handover.Connection{Number: uint64(i), Conn: handover.SocketOf(os.NewFile(uintptr(fd), "socket"))}
		}
		var closing sync.WaitGroup
		closing.Go(func() {
			<-leave
			for _, c := range all {
				c.Conn.Close()
			}
		})
		close(leave)
		trays, failed, err := handover.Pack(all)
		closing.Wait()
		if err != nil {
			t.Fatal(err)
		}
		came := 0
		for _, tray := range trays {
			if err := handover.Unpack(tray, len(all), func(_ uint64, s *handover.Socket) {
				came++
				s.Close()
			}); err != nil {
				t.Fatal(err)
			}
		}
		if came+len(failed) != len(all) {
			t.Fatalf("%d came, %d failed, of %d", came, len(failed), len(all))
		}
	}
}

func TestWhatIsNoTrayIsRefused(t *testing.T) {
	leaksNothing(t)
	file, err := handover.NewFile([]byte("no tray"))
	if err != nil {
		t.Fatal(err)
	}
	if err := handover.Unpack(file, 10, func(_ uint64, s *handover.Socket) {
		s.Close()
	}); !errors.Is(err, unix.ENOTSOCK) {
		t.Errorf("a memory file passes for a tray: %v", err)
	}
	// A message that has more descriptors than numbers.
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(ends[0], make([]byte, 8), unix.UnixRights(0, 1, 2), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(ends[0])
	came := 0
	if err := handover.Unpack(os.NewFile(uintptr(ends[1]), "tray"), 10, func(_ uint64, s *handover.Socket) {
		came++
		s.Close()
	}); err != nil || came != 1 {
		t.Errorf("%d came, %v; one had a number", came, err)
	}
}

// asNobody runs a test of this package again as a user who, unlike root, may have no more
// descriptors in flight than open, and reports whether that was done: in that process it
// does not.
func asNobody(t *testing.T) (done bool) {
	t.Helper()
	const variable = "HANDOVER_TEST_AS_NOBODY"
	if os.Getenv(variable) != "" || os.Getuid() != 0 {
		return false
	}
	// The folder of the binary is root's alone: it is run by its descriptor.
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	command := exec.Command("/proc/self/fd/3", "-test.run=^"+t.Name()+"$", "-test.v",
		fmt.Sprintf("-test.timeout=%v", patience))
	command.Dir, command.Env = "/", append(os.Environ(), variable+"=1")
	command.ExtraFiles = []*os.File{binary}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	said, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("as nobody: %v\n%s", err, said)
	}
	t.Logf("as nobody:\n%s", said)
	return true
}

func TestAnOrdinaryUserPacksAsManyAsItMayHaveOpen(t *testing.T) {
	if asNobody(t) {
		return
	}
	needFiles(t, many+1000)
	sockets := listeners(t, 100)
	leaksNothing(t)
	trays, failed, err := handover.Pack(connections(sockets, many))
	if err != nil || len(failed) > 0 {
		t.Fatalf("%d failed, %v", len(failed), err)
	}
	unpackAll(t, trays, sockets, many)
}

func TestAnOrdinaryUserIsRefusedMore(t *testing.T) {
	if asNobody(t) {
		return
	}
	if os.Getuid() == 0 {
		t.Skip("root may have any number of descriptors in flight")
	}
	sockets := listeners(t, 10)
	leaksNothing(t)
	limitTo(t, 500)
	for range 3 { // what is given up does not count the next time
		if _, _, err := handover.Pack(connections(sockets, 2000)); !errors.Is(err, unix.ETOOMANYREFS) {
			t.Fatalf("packing ended with %v", err)
		}
		trays, _, err := handover.Pack(connections(sockets, 400))
		if err != nil {
			t.Fatal(err)
		}
		unpackAll(t, trays, sockets, 400)
	}
}

// TestPackingDoesNotWait: neither for somebody who reads, nor for room.
func TestPackingDoesNotWait(t *testing.T) {
	defer handover.SetTrayBytes(1)() // the least that the kernel gives
	sockets := listeners(t, 1)
	leaksNothing(t)
	began := time.Now()
	trays, _, err := handover.Pack(connections(sockets, 10*handover.MaxFiles))
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %v", took)
	}
	unpackAll(t, trays, sockets, 10*handover.MaxFiles)
}

// TestAConnectionThatWasPackedGoesOn here and there, as one connection.
func TestAConnectionThatWasPackedGoesOn(t *testing.T) {
	ours, theirs := tcp(t, "127.0.0.1:0")
	trays, _, err := handover.Pack([]handover.Connection{{7, ours}})
	if err != nil {
		t.Fatal(err)
	}
	var s *handover.Socket
	if err := handover.Unpack(trays[0], 1, func(_ uint64, came *handover.Socket) { s = came }); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{ours, s, ours, s} {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.ReadFull(theirs, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	ours.Close() // it is open still
	if _, err := s.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if rest, err := io.ReadAll(theirs); err != nil || string(rest) != "y" {
		t.Errorf("got %q, %v", rest, err)
	}
}

func BenchmarkPackAndUnpack10000(b *testing.B) {
	const n = 10_000
	needFiles(b, n+1000)
	all := connections(listeners(b, 100), n)
	b.ReportAllocs()
	for b.Loop() {
		trays, _, err := handover.Pack(all)
		if err != nil {
			b.Fatal(err)
		}
		came := make([]*handover.Socket, 0, n)
		for _, tray := range trays {
			if err := handover.Unpack(tray, n, func(_ uint64, s *handover.Socket) {
				came = append(came, s)
			}); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if len(came) != n {
			b.Fatalf("%d came", len(came))
		}
		for _, s := range came {
			s.Close()
		}
		b.StartTimer()
	}
}
