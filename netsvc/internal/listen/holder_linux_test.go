package listen

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
)

// elsewhere is an address of the loopback that nobody else uses.
const elsewhere = "127.201.7.9"

// outgoing is a connection from a port of its own, which nobody listens on.
func outgoing(t *testing.T) (c *net.TCPConn, port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(elsewhere)}}
	conn, err := d.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c = conn.(*net.TCPConn)
	return c, c.LocalAddr().(*net.TCPAddr).Port
}

// onRecord is a log that does something at its first record.
type onRecord struct {
	slog.Handler
	do func(slog.Record)
}

func (h onRecord) Enabled(context.Context, slog.Level) bool { return true }
func (h onRecord) Handle(_ context.Context, r slog.Record) error {
	h.do(r)
	return nil
}

func TestWaitsForAPortThatAConnectionHolds(t *testing.T) {
	t.Parallel()
	conn, port := outgoing(t)
	told := 0
	log := slog.New(onRecord{slog.DiscardHandler, func(slog.Record) {
		told++
		conn.SetLinger(0) // the port is free at once
		conn.Close()
	}})
	s, err := Open(t.Context(), config.Address{Host: elsewhere, Port: port},
		Options{Service: "listen", Patience: time.Minute, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if told != 1 {
		t.Errorf("told %d times that it waits", told)
	}
}

func TestNamesTheConnectionThatHoldsThePort(t *testing.T) {
	t.Parallel()
	conn, port := outgoing(t)
	_, err := Open(t.Context(), config.Address{Host: elsewhere, Port: port},
		Options{Service: "listen", Logger: slog.New(slog.DiscardHandler)})
	e := &OpenError{Err: err}
	want := fmt.Sprintf("%s:%d -> %s ESTABLISHED", elsewhere, port, conn.RemoteAddr())
	if !e.InUse() || len(e.HeldBy()) != 1 || e.HeldBy()[0] != want {
		t.Errorf("held by %q, want %s: %v", e.HeldBy(), want, err)
	}
}

// TestDoesNotWaitForAListener: it is there to stay.
func TestDoesNotWaitForAListener(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	log := slog.New(onRecord{slog.DiscardHandler, func(r slog.Record) { t.Errorf("it waits: %s", r.Message) }})
	_, err = Open(t.Context(), config.Address{Host: "127.0.0.1", Port: ln.Addr().(*net.TCPAddr).Port},
		Options{Patience: time.Hour, Logger: log})
	if e := (&OpenError{Err: err}); !e.InUse() || e.HeldBy() != nil {
		t.Errorf("got %v", err)
	}
}

func TestReadsTheKernelsTables(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"   0: 0100007F:8F58 0200000A:01BB 01 00000000:00000000 00:00000000 00000000 0 0 1":    "127.0.0.1:36696 10.0.0.2:443 1",
		"   1: 00000000000000000000000001000000:8F57 00000000000000000000000000000000:0000 0A": "[::1]:36695 [::]:0 10",
		"   2: 0000000000000000FFFF00000100007F:8F57 B80D0120000000000000000001000000:0050 06": "127.0.0.1:36695 [2001:db8::1]:80 6",
	} {
		local, remote, state, ok := parseTCP(line)
		if got := fmt.Sprint(local, remote, state); !ok || strings.ReplaceAll(got, "} {", " ") != want {
			t.Errorf("%s\nis read as %s, want %s", line, got, want)
		}
	}
	for _, line := range []string{"", "  sl  local_address rem_address   st", "0: 01:02 03:04 05",
		"0: 0100007F:8F58 0200000A:01BB zz"} {
		if local, _, _, ok := parseTCP(line); ok && local != (netip.AddrPort{}) {
			t.Errorf("%q is read as %s", line, local)
		}
	}
}

// TestAConnectionIsNamedOnce: the kernel's table moves while it is read.
func TestAConnectionIsNamedOnce(t *testing.T) {
	t.Parallel()
	const row = "   %d: 0909C97F:DFB9 0100007F:%04X %s 00000000:00000000 00:00000000 00000000     0        0 1 1\n"
	table := "  sl  local_address rem_address   st\n" +
		fmt.Sprintf(row, 0, 1, "01") + fmt.Sprintf(row, 1, 2, "01") + fmt.Sprintf(row, 2, 1, "01") +
		fmt.Sprintf(row, 3, 1, "08")
	h := holders{port: 0xdfb9}
	h.read(strings.NewReader(table))
	want := []string{"127.201.9.9:57273 -> 127.0.0.1:1 ESTABLISHED", "127.201.9.9:57273 -> 127.0.0.1:2 ESTABLISHED"}
	if !slices.Equal(h.connections, want) || h.listened {
		t.Errorf("held by %q, listened: %v; want %q", h.connections, h.listened, want)
	}
}
