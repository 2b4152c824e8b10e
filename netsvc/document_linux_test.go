package netsvc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// limit bounds how long a test of this package waits for what must happen soon.
const limit = 2 * time.Minute

func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// smallChunks has queues travel in memory files of that size until the end of the test.
func smallChunks(t testing.TB, size int) {
	before := chunkBytes
	chunkBytes = size
	t.Cleanup(func() { chunkBytes = before })
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// registry is one with an app, whose database is closed again.
func someApps(t testing.TB) (apps []*app.App, identity app.Identity) {
	t.Helper()
	registry, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Create("Бухгалтерия"); err != nil {
		t.Fatal(err)
	}
	if err := registry.EnsureIdentity(); err != nil {
		t.Fatal(err)
	}
	return registry.List(), registry.Identity()
}

func secretOf(t testing.TB, a *app.App, generation int) *wire.ClientKey {
	t.Helper()
	for _, k := range a.ClientKeys {
		if k.Generation == generation {
			secret, err := wire.ParseClientKey(k.Key)
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
	}
	t.Fatalf("there is no key of generation %d", generation)
	return nil
}

// TestADocumentArrivesWithAllThatBelongsToIt goes the whole way in one process: from a hub
// whose sessions have queues over several memory files to another hub.
func TestADocumentArrivesWithAllThatBelongsToIt(t *testing.T) {
	smallChunks(t, 1<<20)
	apps, identity := someApps(t)
	secret := secretOf(t, apps[0], 1)
	keys := []hub.Key{{Generation: 1, Secret: secret}}
	newHub := func() *hub.Hub {
		h := hub.New(hub.Options{Logger: slog.New(slog.DiscardHandler),
			Limits: hub.Limits{QueueBytes: 64 << 20, WriteTimeout: time.Hour}})
		h.SetApp(apps[0].ID, keys)
		return h
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	first := newHub()
	served := make(chan error)
	go func() { served <- first.Serve(ln) }()
	const sessions, messages = 2, 20
	var clients []*wire.Client
	for i := range sessions {
		c, err := wire.Dial(t.Context(), ln.Addr().String(), wire.Registration{AppID: apps[0].ID, IbID: "ib",
			UserID: fmt.Sprint(i)}, secret)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	waitFor(t, "all are registered", func() bool { return first.Stats().Sessions == sessions })
	message := func(i, n int) string { return fmt.Sprint(i, " ", n, " ", strings.Repeat("x", 500_000)) }
	for n := range messages {
		for i := range sessions {
			first.Publish(apps[0].ID, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: fmt.Sprint(i)},
				&wire.Message{Topic: message(i, n)})
		}
	}
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	if err := ln.(*net.TCPListener).SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	<-served // Accept has failed
	state := first.HandOver()
	text, err := app.EncodeApps(apps)
	if err != nil {
		t.Fatal(err)
	}
	sent := document{
		Format: documentFormat, Version: "1.2.3", Identity: identity, Apps: text,
		Sockets: []savedSocket{{Setting: "listen", Address: "127.0.0.1:1"}},
		Record: control.Handover{ID: "id", Way: control.WayUpgrade, FromVersion: "1.2.3", FromPID: 5,
			Sessions: sessions, At: time.Now().UTC()}, hub: state,
		Names: map[string][]byte{apps[0].ID: []byte("names")},
		Unmet: []history.Unmet{{Recipient: history.Recipient{AppID: "a", IbID: "ib", Type: wire.ToUser, Name: "ann"},
			Count: 3, Spans: []history.Span{{First: time.Unix(1, 0).UTC(), Last: time.Unix(2, 5).UTC(), Count: 3}}}},
		Timeline: []byte("the last day"),
	}
	parcel, err := sent.pack([]syscall.Conn{listening.(*net.TCPListener)}, map[uint64]bool{state.Sessions[0].ID: true},
		soon())
	if err != nil {
		t.Fatal(err)
	}
	if len(parcel.chunks) < 5 || len(parcel.chunks) != len(sent.Chunks) {
		t.Errorf("queues are in %d memory files, and %d are told of", len(parcel.chunks), len(sent.Chunks))
	}
	here, end, err := handover.NewLink()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if err := parcel.send(here); err != nil {
		t.Fatal(err)
	}
	parcel.close()
	there, err := handover.OpenLink(end)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	words, files, err := there.Receive()
	if err != nil {
		t.Fatal(err)
	}
	// One connection came before; another one did whose session has ended since.
	early := make(map[uint64]*handover.Socket)
	for number, conn := range map[uint64]net.Conn{state.Sessions[0].ID: state.Sessions[0].Conn,
		1 << 40: state.Sessions[1].Conn} {
		file, err := conn.(*net.TCPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		early[number] = handover.SocketOf(nonblocking(t, file))
	}
	ended := early[1<<40]
	in, err := receiveParcel(words, files, early, allOf)
	if err != nil {
		t.Fatal(err)
	}
	if err := ended.Close(); err == nil {
		t.Error("a connection that belongs to no session stays open")
	}
	if in.came() != sessions || len(in.sockets) != 1 {
		t.Fatalf("%d connections and %d sockets came", in.came(), len(in.sockets))
	}
	d := in.document
	if diff := cmp.Diff(sent.Record, d.Record); diff != "" || d.Version != sent.Version || d.Identity != identity ||
		!cmp.Equal(d.Sockets, sent.Sockets) {
		t.Errorf("the document is %+v", d)
	}
	if again, err := app.EncodeApps(in.apps); err != nil || !bytes.Equal(again, text) {
		t.Errorf("other apps came, %v", err)
	}
	if d.Apps != nil {
		t.Error("secrets are kept twice")
	}
	if diff := cmp.Diff(sent.Unmet, d.Unmet) + cmp.Diff(sent.Names, d.Names) + cmp.Diff(sent.Timeline,
		d.Timeline); diff != "" {
		t.Errorf("other names, other messages without a recipient, or another past came: %s", diff)
	}
	relisted, err := net.FileListener(in.sockets[0])
	if err != nil || relisted.Addr().String() != listening.Addr().String() {
		t.Errorf("%v came, %v", relisted, err)
	} else {
		relisted.Close()
	}
	in.sockets[0].Close()

	second := newHub()
	if became := second.TakeOver(d.hub); became != (hub.TakenOver{Sessions: sessions}) {
		t.Fatalf("%+v", became)
	}
	for i, c := range clients {
		c.SetReadDeadline(time.Now().Add(limit))
		for n := range messages {
			if got, err := c.Receive(); err != nil || string(got) != fmt.Sprintf(`{"topic":"%s"}`, message(i, n)) {
				t.Fatalf("session %d got %.40q instead of message %d, %v", i, got, n, err)
			}
		}
	}
	for _, h := range []*hub.Hub{first, second} {
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// nonblocking is a file as it comes from another process.
func nonblocking(t testing.TB, file *os.File) *os.File {
	t.Helper()
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "handed over")
}

// parts are a parcel that has come, which a test damages.
type parts struct {
	document document
	contents contents
	files    []*os.File // the document, one socket, two memory files, two trays
}

const (
	atSocket = iota + 1
	atChunk
	_
	atTray
	atLastTray
)

func someParts(t testing.TB) *parts {
	t.Helper()
	smallChunks(t, 5)
	apps, identity := someApps(t)
	text, err := app.EncodeApps(apps)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]net.Conn, 3)
	for i := range conns {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
	state := &hub.State{
		LastID: 3, Keys: []hub.SavedKey{{AppID: apps[0].ID, Generation: 1, Fingerprint: "f"}},
		Frames: []hub.SavedFrame{{Size: 5, Bytes: []byte("first")}, {Size: 3, Bytes: []byte("and")},
			{Size: 2, Bytes: []byte("so")}},
		Sessions: []hub.SavedSession{{ID: 1, IbID: "ib", Queue: []int{0, 1, 2}, Written: 4, Conn: conns[0]},
			{ID: 2, Key: -1, Conn: conns[1]}},
	}
	p := &parts{document: document{
		Format: documentFormat, Version: "1", Identity: identity, Apps: text,
		Sockets: []savedSocket{{Setting: "listen", Address: ":1"}}, hub: state,
	}}
	listening, err := conns[2].(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	parcel, err := p.document.pack(nil, nil, soon())
	if err != nil {
		t.Fatal(err)
	}
	more, _, err := handover.Pack([]handover.Connection{{Number: 99, Conn: conns[2]}})
	if err != nil {
		t.Fatal(err)
	}
	p.files = append([]*os.File{parcel.document, listening}, parcel.chunks...)
	p.files = append(append(p.files, parcel.trays...), more...)
	p.contents = contents{sayDocument, documentFormat, 1, len(parcel.chunks), len(parcel.trays) + len(more)}
	if len(p.files) != atLastTray+1 {
		t.Fatalf("there are %d descriptors", len(p.files))
	}
	return p
}

// encode is the text of a document, as pack writes it.
func (d *document) encode(t testing.TB) []byte {
	t.Helper()
	head, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return d.hub.AppendBinary(append(binary.AppendUvarint(nil, uint64(len(head))), head...))
}

// replace puts a memory file with another content in the place of a descriptor.
func (p *parts) replace(t testing.TB, at int, content []byte) {
	t.Helper()
	f, err := handover.NewFile(content)
	if err != nil {
		t.Fatal(err)
	}
	p.files[at].Close()
	p.files[at] = f
}

// rewrite has the document say what it does now.
func (p *parts) rewrite(t testing.TB) { p.replace(t, 0, p.document.encode(t)) }

func (p *parts) receive(t testing.TB) (*inheritance, error) {
	t.Helper()
	text, err := json.Marshal(p.contents)
	if err != nil {
		t.Fatal(err)
	}
	return receiveParcel(text, p.files, make(map[uint64]*handover.Socket), allOf)
}

// TestADamagedParcelIsRefused, and nothing of it stays open.
func TestADamagedParcelIsRefused(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, p *parts){
		"nothing":                        nil,
		"something else than a document": func(_ *testing.T, p *parts) { p.contents.Say = sayEarly },
		"another format":                 func(_ *testing.T, p *parts) { p.contents.Format++ },
		"fewer descriptors than it says": func(_ *testing.T, p *parts) { p.contents.Trays++ },
		"more descriptors than it says":  func(_ *testing.T, p *parts) { p.contents.Trays-- },
		"fewer than no trays":            func(_ *testing.T, p *parts) { p.contents.Trays, p.contents.Sockets = -1, 4 },
		"fewer than no sockets":          func(_ *testing.T, p *parts) { p.contents.Sockets, p.contents.Trays = -1, 4 },
		"fewer than no memory files":     func(_ *testing.T, p *parts) { p.contents.Chunks, p.contents.Trays = -1, 5 },
		"numbers beyond all bounds": func(_ *testing.T, p *parts) {
			p.contents.Trays, p.contents.Chunks = 1<<62, 1<<62
		},
		"a socket too many":      func(_ *testing.T, p *parts) { p.contents.Sockets, p.contents.Chunks = 2, 1 },
		"a memory file too many": func(_ *testing.T, p *parts) { p.contents.Chunks, p.contents.Trays = 3, 1 },
		"a memory file that is none": func(_ *testing.T, p *parts) {
			p.files[atChunk], p.files[atTray] = p.files[atTray], p.files[atChunk]
		},
		"a tray that is none":      func(t *testing.T, p *parts) { p.replace(t, atTray, []byte("x")) },
		"a last tray that is none": func(t *testing.T, p *parts) { p.replace(t, atLastTray, []byte("x")) },
		"a document that is empty": func(t *testing.T, p *parts) { p.replace(t, 0, nil) },
		"a document that breaks off": func(t *testing.T, p *parts) {
			whole := p.document.encode(t)
			p.replace(t, 0, whole[:len(whole)-1])
		},
		"a document that breaks off early": func(t *testing.T, p *parts) {
			p.replace(t, 0, p.document.encode(t)[:50])
		},
		"a document that is no JSON":   func(t *testing.T, p *parts) { p.replace(t, 0, []byte("\x02no")) },
		"a document of another format": func(t *testing.T, p *parts) { p.document.Format++; p.rewrite(t) },
		"apps that cannot be read": func(t *testing.T, p *parts) {
			p.document.Apps = []byte("1\n{}\n")
			p.rewrite(t)
		},
		"a document with more sockets": func(t *testing.T, p *parts) {
			p.document.Sockets = make([]savedSocket, 2)
			p.rewrite(t)
		},
		"a document with fewer memory files": func(t *testing.T, p *parts) {
			p.document.Chunks = []int{3}
			p.rewrite(t)
		},
		"less than no messages": func(t *testing.T, p *parts) {
			p.document.Chunks = []int{-1, 2}
			p.rewrite(t)
		},
		"more messages than there are": func(t *testing.T, p *parts) {
			p.document.Chunks = []int{1, 3}
			p.rewrite(t)
		},
		"fewer messages than there are": func(t *testing.T, p *parts) {
			p.document.Chunks = []int{1, 1}
			p.rewrite(t)
		},
		"a memory file that is too short": func(t *testing.T, p *parts) { p.replace(t, atChunk, []byte("firs")) },
		"a message of more bytes": func(t *testing.T, p *parts) {
			p.document.hub.Frames[2].Size = 3
			p.rewrite(t)
		},
		"a message of no bytes": func(t *testing.T, p *parts) {
			p.document.hub.Frames[2].Size = 0
			p.document.hub.Frames[2].Bytes = nil
			p.rewrite(t)
		},
		"a session under a key that is not there": func(t *testing.T, p *parts) {
			p.document.hub.Sessions[0].Key = 1
			p.rewrite(t)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := someParts(t)
			if damage != nil {
				damage(t, p)
			}
			before := openFiles(t) - len(p.files)
			in, err := p.receive(t)
			if damage == nil {
				if err != nil || in.came() != 2 {
					t.Fatalf("what is whole is refused: %v", err)
				}
				for i, want := range []string{"first", "and", "so"} {
					if got := in.document.hub.Frames[i].Bytes; string(got) != want {
						t.Errorf("message %d is %q", i, got)
					}
				}
				in.close()
			} else if err == nil {
				t.Errorf("it passes: %+v", in.document)
			}
			if now := openFiles(t); now > before {
				t.Errorf("%d descriptors are open, %d are not this parcel's", now, before)
			}
		})
	}
}

// TestConnectionsForWhichThereIsNoRoom are missing, and the others are there.
func TestConnectionsForWhichThereIsNoRoom(t *testing.T) {
	p := someParts(t)
	text, err := json.Marshal(p.contents)
	if err != nil {
		t.Fatal(err)
	}
	in, err := receiveParcel(text, p.files, make(map[uint64]*handover.Socket), func(int) int { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	if n := in.came(); n != 1 || in.document.hub.Sessions[0].Conn == nil {
		t.Errorf("%d came", n)
	}
}

// someMemories is a document with sessions that are remembered: one that is connected, one that is not, and one that
// has ended.
func someMemories(d document) *document {
	away := hub.SavedSession{ID: 7, IbID: "ib", UserID: "away", Queue: []int{1}, Delivered: 1}
	d.Memories = &hub.SavedMemories{
		At: 5, Secrets: map[int]string{0: "secret"},
		Memories: []hub.SavedMemory{
			{Place: 0, ID: 1, Turn: 2, Begun: 1, Written: 4, Again: 1, Cut: true, Handed: 9, Buffer: 100,
				Kept: []hub.SavedKept{{Frame: 2, At: 3}}},
			{Place: -1, Session: &away, Attributes: []byte("turn=1\x00"), Addr: "1.2.3.4:5", Away: 4, ID: 3, Turn: 1,
				Begun: 1, Missed: 2, Resumed: 3},
		},
		Ended: []hub.SavedEnd{{Digest: []byte("sixteen bytes of"), Turn: 9, At: 1}},
	}
	return &d
}

// TestADocumentWithMemoriesIsWhole: the seed of the fuzzer is one.
func TestADocumentWithMemoriesIsWhole(t *testing.T) {
	p := someParts(t)
	closeFiles(p.files)
	in := new(inheritance)
	if err := in.parse(someMemories(p.document).encode(t)); err != nil {
		t.Fatal(err)
	}
	if m := in.document.hub.Memories; m == nil || len(m.Memories) != 2 || len(m.Ended) != 1 {
		t.Errorf("%+v", m)
	}
}

func FuzzDocument(f *testing.F) {
	p := someParts(f)
	closeFiles(p.files)
	whole := p.document.encode(f)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(someMemories(p.document).encode(f))
	f.Add([]byte("\x02{}\x00\x00\x00\x00"))
	f.Add(append([]byte("\x0c{\"format\":2}"), 0, 0, 0, 0))
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, text []byte) {
		in := new(inheritance)
		if err := in.parse(text); err != nil {
			return
		}
		d := in.document
		if d.Format != documentFormat || d.hub == nil || !d.hub.Whole() || d.Apps != nil {
			t.Errorf("%q passes: %+v", text, d)
		}
	})
}

// TestAHandOverNeedsNoDescriptorButThoseReserved: all others may be in use. It has as many
// memory files as there can be.
func TestAHandOverNeedsNoDescriptorButThoseReserved(t *testing.T) {
	smallChunks(t, 1)
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state := &hub.State{Keys: []hub.SavedKey{{AppID: "a"}}}
	for i := range 10_000 {
		s := hub.SavedSession{ID: uint64(i), Conn: conn}
		if i < 1000 {
			s.Queue = []int{i}
			state.Frames = append(state.Frames, hub.SavedFrame{Size: 10, Bytes: bytes.Repeat([]byte("x"), 10)})
		}
		state.Sessions = append(state.Sessions, s)
	}
	exhaust(t, 48) // what package listen reserves for it
	d := document{Format: documentFormat, hub: state}
	parcel, err := d.pack(nil, nil, soon())
	if err != nil {
		t.Fatalf("packing: %v", err)
	}
	defer parcel.close()
	link, end, err := handover.NewLink()
	if err != nil {
		t.Fatalf("making a link: %v", err)
	}
	defer link.Close()
	defer end.Close()
	if err := parcel.send(link); err != nil {
		t.Fatalf("sending: %v", err)
	}
	copied, err := link.File()
	if err != nil {
		t.Fatalf("storing: %v", err)
	}
	copied.Close()
	// As many as the rest of a hand-over needs: pipes, a program, a word to systemd.
	for i := range 12 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatalf("%d descriptors are left", i)
		}
		defer f.Close()
	}
}

// soon is when nobody waits any more.
func soon() time.Time { return time.Now().Add(limit) }

// exhaust uses every descriptor that this process may have, but for so many, until the end
// of the test.
func exhaust(t *testing.T, left int) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(openFiles(t) + 100),
		Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	t.Cleanup(func() {
		closeFiles(files)
		unix.Setrlimit(unix.RLIMIT_NOFILE, &before)
	})
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, f)
	}
	closeFiles(files[:left])
	files = files[left:]
}
