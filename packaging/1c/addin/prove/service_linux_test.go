package prove

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

const (
	testKey = "IAAAABAAAACuIhXtnw4Yb3vmhLdsIEx1HYXDRq/tlUF4cgOdBPQ9mC1jpOaN/UVko/Fi3HMX7/E="
	app     = "0f8fad5b-d9cb-469f-a165-70867728950e"
	ib      = "d2273d53-b633-4817-a006-4fa627a5dea9"
	user    = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
)

func mustKey(t testing.TB, text string) *wire.ClientKey {
	t.Helper()
	k, err := wire.ParseClientKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// service is one that does what a test says.
type service struct {
	t    *testing.T
	key  *wire.ClientKey
	ln   net.Listener
	port string
}

// listen takes a port that the system does not give to outgoing connections, so
// that it is still free when the service comes back.
func listen(t testing.TB) (net.Listener, string) {
	t.Helper()
	for range 1000 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if ln, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return ln, port
		}
	}
	t.Fatal("no free port")
	return nil, ""
}

func freePort(t testing.TB) string {
	t.Helper()
	ln, port := listen(t)
	ln.Close()
	return port
}

func serve(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, key: mustKey(t, testKey)}
	s.ln, s.port = listen(t)
	t.Cleanup(func() { s.ln.Close() })
	return s
}

// open opens the service again, at its port.
func (s *service) open() {
	s.t.Helper()
	var err error
	if s.ln, err = net.Listen("tcp", "127.0.0.1:"+s.port); err != nil {
		s.t.Fatal(err)
	}
}

// connect lets an object connect to the service, with its usual words.
func (s *service) connect(h *host, object string) {
	s.t.Helper()
	h.expect("true", "connect", object, "127.0.0.1", s.port, app, ib, user, "Отдел", testKey)
}

// peer is a connection that the service has accepted.
type peer struct {
	t    *testing.T
	conn net.Conn
	key  *wire.ClientKey
}

func (s *service) accept() *peer {
	s.t.Helper()
	s.ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := s.ln.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(4 * patience))
	return &peer{t: s.t, conn: conn, key: s.key}
}

// registered accepts a connection and reads its packet.
func (s *service) registered() (*peer, packet) {
	s.t.Helper()
	p := s.accept()
	return p, p.packet()
}

// packet is a registration with what the add-in says of itself.
type packet struct {
	wire.Registration
	attributes map[string][]string
	order      []string
	bytes      int
}

func (p packet) number(t *testing.T, name string) uint64 {
	t.Helper()
	if len(p.attributes[name]) != 1 {
		t.Fatalf("%s: %v", name, p.attributes[name])
	}
	n, err := strconv.ParseUint(p.attributes[name][0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// progress is turn, received, from.
func (p packet) progress(t *testing.T) [3]uint64 {
	t.Helper()
	return [3]uint64{p.number(t, "turn"), p.number(t, "received"), p.number(t, "from")}
}

func (p packet) session() string { return strings.Join(p.attributes["session"], "|") }
func (p packet) mode() string    { return strings.Join(p.attributes["mode"], "|") }

func (p *peer) packet() packet {
	p.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		p.t.Fatalf("no packet: %v", err)
	}
	n, err := wire.PacketLen(head)
	if err != nil {
		p.t.Fatal(err)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.t.Fatalf("half a packet: %v", err)
	}
	return parsePacket(p.t, body, p.key)
}

func parsePacket(t testing.TB, body []byte, key *wire.ClientKey) packet {
	t.Helper()
	parsed, err := wire.ParseRegistration(body)
	if err != nil {
		t.Fatal(err)
	}
	if !parsed.Verify(key) {
		t.Fatal("the packet is signed with another key")
	}
	out := packet{Registration: parsed.Registration, attributes: map[string][]string{}, bytes: 2 + len(body)}
	fields := strings.Split(string(body[34:]), "\x00")
	if fields[len(fields)-1] != "" {
		t.Fatalf("the packet ends without NUL: %q", body[34:])
	}
	for _, field := range fields[4 : len(fields)-1] {
		name, value, found := strings.Cut(field, "=")
		if !found {
			t.Fatalf("no attribute: %q", field)
		}
		out.attributes[name] = append(out.attributes[name], value)
		out.order = append(out.order, name)
	}
	return out
}

func (p *peer) write(data []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(data); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(text string) {
	p.t.Helper()
	p.write(p.key.AppendFrame(nil, []byte(text)))
}

// end closes as the service does: not a reset.
func (p *peer) end() { p.conn.Close() }

// over waits until the add-in has ended the connection, and returns what it sent
// until then.
func (p *peer) over() []byte {
	p.t.Helper()
	rest, err := io.ReadAll(p.conn)
	if err != nil && !strings.Contains(err.Error(), "reset") && !strings.Contains(err.Error(), "aborted") {
		p.t.Fatalf("the add-in has not closed: %v", err)
	}
	return rest
}

// goodbye wants nothing but a goodbye before the end.
func (p *peer) goodbye() packet {
	p.t.Helper()
	rest := p.over()
	if len(rest) < 2 || int(binary.LittleEndian.Uint16(rest)) != len(rest)-2 {
		p.t.Fatalf("%d bytes, no goodbye", len(rest))
	}
	bye := parsePacket(p.t, rest[2:], p.key)
	if bye.mode() != "end" {
		p.t.Fatalf("mode %q, want end", bye.mode())
	}
	return bye
}

func topic(i int) string { return fmt.Sprintf(`{"topic":"%d"}`, i) }

func frameOf(total, plain uint32, ciphertext []byte) []byte {
	out := binary.LittleEndian.AppendUint32(nil, total)
	out = binary.LittleEndian.AppendUint32(out, plain)
	return append(out, ciphertext...)
}

func zeros(n int) []byte { return bytes.Repeat([]byte{0}, n) }
