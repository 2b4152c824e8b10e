package handover_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/handover"
)

// tcp returns both ends of a TCP connection to an address.
func tcp(t testing.TB, address string) (ours, theirs *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("listening on %s: %v", address, err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	dialled.SetDeadline(time.Now().Add(patience))
	return accepted.(*net.TCPConn), dialled.(*net.TCPConn)
}

// moved is a connection after a journey.
func moved(t testing.TB, conn net.Conn) (s *handover.Socket) {
	t.Helper()
	trays, _, err := handover.Pack([]handover.Connection{{1, conn}})
	if err != nil {
		t.Fatal(err)
	}
	if err := handover.Unpack(trays[0], 1, func(_ uint64, came *handover.Socket) { s = came }); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	t.Cleanup(func() { s.Close() })
	return s
}

// forms are the ways in which a Socket comes to be.
var forms = map[string]func(t testing.TB, conn *net.TCPConn) *handover.Socket{
	"that came in a tray": func(t testing.TB, conn *net.TCPConn) *handover.Socket { return moved(t, conn) },
	"that has waited": func(t testing.TB, conn *net.TCPConn) *handover.Socket {
		s := moved(t, conn)
		s.SetReadDeadline(time.Now().Add(patience))
		return s
	},
	"of a file": func(t testing.TB, conn *net.TCPConn) *handover.Socket {
		file, err := conn.File()
		if err != nil {
			t.Fatal(err)
		}
		duplicate, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		conn.Close()
		if err := unix.SetNonblock(duplicate, true); err != nil { // as it comes from another process
			t.Fatal(err)
		}
		s := handover.SocketOf(os.NewFile(uintptr(duplicate), "handed over"))
		t.Cleanup(func() { s.Close() })
		return s
	},
}

// inEachForm runs a test with a Socket and the other end of its connection.
func inEachForm(t *testing.T, test func(t *testing.T, s *handover.Socket, theirs *net.TCPConn)) {
	for form, make := range forms {
		t.Run("a socket "+form, func(t *testing.T) {
			ours, theirs := tcp(t, "127.0.0.1:0")
			test(t, make(t, ours), theirs)
		})
	}
}

func TestASocketCarriesBytesBothWays(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, theirs *net.TCPConn) {
		sent := make([]byte, 8<<20) // more than sockets take
		rand.Read(sent)
		var ways sync.WaitGroup
		for _, ends := range [][2]net.Conn{{s, theirs}, {theirs, s}} {
			ways.Go(func() {
				if n, err := ends[0].Write(sent); n != len(sent) || err != nil {
					t.Errorf("wrote %d bytes, %v", n, err)
				}
			})
			ways.Go(func() {
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(ends[1], got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("other bytes came, %v", err)
				}
			})
		}
		ways.Wait()
		if n, err := s.Read(nil); n != 0 || err != nil {
			t.Errorf("reading nothing: %d, %v", n, err)
		}
	})
}

func TestASocketEnds(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, theirs *net.TCPConn) {
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := theirs.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after CloseWrite the peer read %d bytes, %v", n, err)
		}
		// The other way is open.
		if _, err := theirs.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		theirs.CloseWrite()
		if rest, err := io.ReadAll(s); err != nil || string(rest) != "x" {
			t.Errorf("read %q, %v", rest, err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
			t.Errorf("writing after CloseWrite: %v", err)
		}
	})
}

func TestASocketHasDeadlines(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, theirs *net.TCPConn) {
		buf := make([]byte, 1)
		past := time.Unix(1, 0)
		for name, set := range map[string]func(time.Time) error{"SetReadDeadline": s.SetReadDeadline,
			"SetDeadline": s.SetDeadline} {
			if err := set(past); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: reading ended with %v", name, err)
			}
			// One that is taken away is over.
			if err := set(time.Time{}); err != nil {
				t.Fatal(err)
			}
			theirs.Write([]byte("x"))
			if _, err := s.Read(buf); err != nil {
				t.Errorf("%s taken away: reading ended with %v", name, err)
			}
			// Whoever waits already is woken.
			ended := make(chan error)
			go func() {
				_, err := s.Read(make([]byte, 1))
				ended <- err
			}()
			set(past)
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: waiting ended with %v", name, err)
			}
		}
		s.SetDeadline(time.Time{})
		if err := s.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("writing to a peer that does not read ended with %v", err)
		}
	})
}

func TestAClosedSocketIsClosed(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, theirs *net.TCPConn) {
		raw, err := s.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n, err := theirs.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer read %d bytes, %v", n, err)
		}
		closed := func(what string, err error) {
			t.Helper()
			if !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		_, err = s.Read(make([]byte, 1))
		closed("Read", err)
		_, err = s.Write([]byte("x"))
		closed("Write", err)
		closed("Close", s.Close())
		closed("CloseWrite", s.CloseWrite())
		closed("SetDeadline", s.SetDeadline(time.Now()))
		closed("SetReadDeadline", s.SetReadDeadline(time.Time{}))
		closed("Control", s.Control(func(uintptr) { t.Error("there is a descriptor") }))
		closed("RawConn.Control", raw.Control(func(uintptr) { t.Error("there is a descriptor") }))
		closed("RawConn.Read", raw.Read(func(uintptr) bool { t.Error("there is a descriptor"); return true }))
		closed("RawConn.Write", raw.Write(func(uintptr) bool { t.Error("there is a descriptor"); return true }))
		for _, addr := range []net.Addr{s.LocalAddr(), s.RemoteAddr()} {
			if a, ok := addr.(*net.TCPAddr); !ok || a.Port != 0 {
				t.Errorf("it has the address %v", addr)
			}
		}
	})
}

func TestASocketMayBeClosedByAnybodyAtAnyTime(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, theirs *net.TCPConn) {
		var users sync.WaitGroup
		waits := make(chan struct{}, 2)
		for range 2 {
			users.Go(func() {
				waits <- struct{}{}
				if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
					t.Errorf("reading ended with %v", err)
				}
			})
		}
		<-waits
		<-waits
		first := make(chan bool, 4)
		for range 4 {
			users.Go(func() { first <- s.Close() == nil })
			users.Go(func() { s.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_GETFD, 0) }) })
			users.Go(func() { s.SetDeadline(time.Now().Add(patience)) })
			users.Go(func() { s.RemoteAddr() })
		}
		users.Wait()
		n := 0
		for range 4 {
			if <-first {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d calls closed it", n)
		}
		if n, err := theirs.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("the peer read %d bytes, %v", n, err)
		}
	})
}

func TestASocketHasTheAddressesOfItsConnection(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			ours, theirs := tcp(t, address)
			s := moved(t, ours)
			for _, pair := range [][2]net.Addr{{s.LocalAddr(), theirs.RemoteAddr()},
				{s.RemoteAddr(), theirs.LocalAddr()}} {
				got, want := pair[0].(*net.TCPAddr).AddrPort(), pair[1].(*net.TCPAddr).AddrPort()
				if got.Addr().Unmap() != want.Addr().Unmap() || got.Port() != want.Port() {
					t.Errorf("it has the address %v, want %v", got, want)
				}
			}
		})
	}
}

func TestKeepAliveArrivesAtTheKernel(t *testing.T) {
	inEachForm(t, func(t *testing.T, s *handover.Socket, _ *net.TCPConn) {
		option := func(level, name int) (value int) {
			t.Helper()
			var err error
			if controlErr := s.Control(func(fd uintptr) {
				value, err = unix.GetsockoptInt(int(fd), level, name)
			}); controlErr != nil || err != nil {
				t.Fatal(controlErr, err)
			}
			return value
		}
		for _, c := range []net.KeepAliveConfig{
			{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
			{Enable: true, Idle: 1500 * time.Millisecond, Interval: time.Millisecond, Count: 1},
			{Enable: false, Idle: time.Minute, Interval: time.Minute, Count: 9},
		} {
			if err := s.SetKeepAliveConfig(c); err != nil {
				t.Fatal(err)
			}
			enabled := option(unix.SOL_SOCKET, unix.SO_KEEPALIVE) != 0
			idle, interval := option(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE), option(unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
			count := option(unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
			up := func(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
			if enabled != c.Enable || idle != up(c.Idle) || interval != up(c.Interval) || count != c.Count {
				t.Errorf("%+v: enabled %v, idle %d, interval %d, count %d", c, enabled, idle, interval, count)
			}
		}
	})
}

// TestTheDescriptorOfASocketStaysTheSame before and after somebody waited for the peer.
func TestTheDescriptorOfASocketStaysTheSame(t *testing.T) {
	ours, theirs := tcp(t, "127.0.0.1:0")
	s := moved(t, ours)
	number := func() (fd uintptr) {
		t.Helper()
		if err := s.Control(func(number uintptr) { fd = number }); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	before := number()
	if err := s.SetDeadline(time.Time{}); err != nil { // nothing to take away
		t.Fatal(err)
	}
	theirs.Write([]byte("x"))
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1)
	if err := raw.Read(func(fd uintptr) bool {
		n, err := unix.Read(int(fd), buf)
		return n == 1 || !errors.Is(err, unix.EAGAIN)
	}); err != nil || buf[0] != 'x' {
		t.Errorf("read %q, %v", buf, err)
	}
	if err := raw.Write(func(fd uintptr) bool {
		_, err := unix.Write(int(fd), []byte("y"))
		return !errors.Is(err, unix.EAGAIN)
	}); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(theirs, buf); err != nil || buf[0] != 'y' {
		t.Errorf("the peer read %q, %v", buf, err)
	}
	if after := number(); after != before {
		t.Errorf("the descriptor was %d and is %d", before, after)
	}
}

var (
	_ net.Conn     = (*handover.Socket)(nil)
	_ syscall.Conn = (*handover.Socket)(nil)
)
