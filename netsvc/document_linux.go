package netsvc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// The forms in which a hand-over travels. The first one is that of the version before
// (see landed_linux.go); it is read, not written.
const (
	landedFormat   = 1
	documentFormat = 2
)

// document is what one process hands the next: a memory file with the length of the JSON
// of this as an uvarint, that JSON, and the sessions (hub.State.AppendBinary).
type document struct {
	Format   int          `json:"format"`
	Version  string       `json:"version"`  // of the program that hands over
	Identity app.Identity `json:"identity"` // of the database; zero: not known
	// app.EncodeApps: with keys, to serve without the database; empty: not known
	Apps    []byte           `json:"apps"`
	Sockets []savedSocket    `json:"sockets"`
	Chunks  []int            `json:"chunks"` // how many frames each chunk of the queues has
	Record  control.Handover `json:"record"` // what is known of this hand-over
	// Attributes are what sessions say of themselves (hub.State.AppendAttributes). A version
	// that knows nothing of them passes this over.
	Attributes []byte `json:"attributes,omitempty"`
	// Memories are the remembered sessions. A version that knows nothing of them forgets them.
	Memories *hub.SavedMemories `json:"memories,omitempty"`
	// Names are what app.EncodeNames wrote down; those that did not fit are in the database.
	Names map[string][]byte `json:"names,omitempty"`
	// Unmet is whom messages did not reach (history.AllUnmet).
	Unmet []history.Unmet `json:"unmet,omitempty"`
	// Timeline is what the last day was like (stats.Timeline.Save). It is less than 1 MiB.
	Timeline []byte `json:"timeline,omitempty"`
	// Cluster is the node of a cluster that the process is; nil: it is none. A version that
	// knows nothing of it passes this over, and the other nodes lose it.
	Cluster *cluster.HandedOver `json:"cluster,omitempty"`

	hub *hub.State
}

// maxNamesBytes bounds the names in a document: senders wait while it is written. The
// database has all of them.
const maxNamesBytes = 8 << 20

// savedSocket is a socket that listens.
type savedSocket struct {
	Setting string `json:"setting"`
	Address string `json:"address"` // as the setting gave it; of the control channel, its path

	// File is what socket.FileOf says of the control channel; versions before 26 November
	// 2026 say nothing.
	File string `json:"file,omitempty"`
}

// Frames that wait to be written travel in memory files of this size, a variable for
// tests, or in maxChunks of them, whatever is more.
var chunkBytes = 64 << 20

const (
	maxChunks = 16 // which the reserve of descriptors has to suffice for
	// A queue is given back to the system as it is written, if there is much of it: for
	// a moment it is there twice.
	freeBytes = 32 << 20
)

// parcel is a document with all the descriptors that belong to it.
type parcel struct {
	document *os.File
	sockets  []syscall.Conn
	chunks   []*os.File
	trays    []*os.File
}

// pack makes a parcel. The connections that passed are not in it. Queues that are long are
// moved into the parcel's memory, where this process goes on to use them if it has to: also
// after an error, as when that is not done in time.
func (d *document) pack(sockets []syscall.Conn, passed map[uint64]bool, until time.Time) (_ *parcel, err error) {
	p := &parcel{sockets: sockets}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	var rest []handover.Connection
	for i := range d.hub.Sessions {
		if s := &d.hub.Sessions[i]; !passed[s.ID] {
			rest = append(rest, handover.Connection{Number: s.ID, Conn: s.Conn})
		}
	}
	// A connection that cannot be packed is missed by the other process, which counts.
	if p.trays, _, err = handover.Pack(rest); err != nil {
		return nil, err
	}
	if err := d.packFrames(p, until); err != nil {
		return nil, err
	}
	d.Attributes, d.Memories = d.hub.AppendAttributes(nil), d.hub.Memories
	head, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("handing over: %w", err)
	}
	text := binary.AppendUvarint(make([]byte, 0, len(head)+128*len(d.hub.Sessions)), uint64(len(head)))
	text = d.hub.AppendBinary(append(text, head...))
	p.document, err = handover.NewFile(text)
	return p, err
}

// packFrames moves what waits to be written into memory files.
func (d *document) packFrames(p *parcel, until time.Time) error {
	total := 0
	for i := range d.hub.Frames {
		total += d.hub.Frames[i].Size
	}
	size := max(chunkBytes, total/maxChunks+1)
	d.Chunks = nil
	for next := 0; next < len(d.hub.Frames); {
		n, bytes := 0, 0
		for ; next+n < len(d.hub.Frames); n++ {
			more := d.hub.Frames[next+n].Size
			if n > 0 && bytes+more > size {
				break
			}
			bytes += more
		}
		file, err := moveFrames(d.hub.Frames[next:next+n], bytes, until)
		if err != nil {
			return err
		}
		p.chunks, d.Chunks = append(p.chunks, file), append(d.Chunks, n)
		next += n
		if total > freeBytes {
			debug.FreeOSMemory()
		}
	}
	return nil
}

// moveFrames moves frames into a memory file of that size. Where memory is short that may
// take its time.
func moveFrames(frames []hub.SavedFrame, size int, until time.Time) (*os.File, error) {
	chunk, err := handover.NewChunk(size)
	if err != nil {
		return nil, err
	}
	for i := range frames {
		where, err := chunk.Put(frames[i].Bytes)
		if err == nil && time.Now().After(until) {
			err = fmt.Errorf("moving queues into memory files: %w", os.ErrDeadlineExceeded)
		}
		if err != nil {
			chunk.Close()
			return nil, err
		}
		frames[i].Move(where, chunk.Memory())
	}
	return chunk.Seal()
}

// contents says what the descriptors of a parcel are, in this order behind the document.
type contents struct {
	Say     string `json:"say"`
	Format  int    `json:"format"`
	Sockets int    `json:"sockets"`
	Chunks  int    `json:"chunks"`
	Trays   int    `json:"trays"`
}

// send puts the parcel into a link: it need not be read by anybody yet.
func (p *parcel) send(link *handover.Link) error {
	text, err := json.Marshal(contents{sayDocument, documentFormat, len(p.sockets), len(p.chunks), len(p.trays)})
	if err != nil {
		return err
	}
	files := append([]syscall.Conn{p.document}, p.sockets...)
	for _, f := range p.chunks {
		files = append(files, f)
	}
	for _, f := range p.trays {
		files = append(files, f)
	}
	return link.Send(text, files...)
}

// close closes what belongs to the parcel alone.
func (p *parcel) close() {
	if p.document != nil {
		p.document.Close()
	}
	closeFiles(p.chunks)
	closeFiles(p.trays)
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// inheritance is what a process has been handed: a document with its descriptors.
type inheritance struct {
	document document
	sockets  []*os.File // one for each of document.Sockets; nil: used, or closed
	apps     []*app.App // nil: the document is of the landed version, and has none
}

// receiveParcel reads a parcel that is the next message of a link. Connections that came
// before are in early, by number; room is how many of so many this process takes. After an error they
// are closed.
func receiveParcel(text []byte, files []*os.File, early map[uint64]*handover.Socket,
	room func(connections int) int) (_ *inheritance, err error) {
	rest := files
	defer func() {
		if err != nil {
			closeFiles(files) // those that are closed already do not mind
			for _, s := range early {
				s.Close()
			}
		}
	}()
	var c contents
	if err := json.Unmarshal(text, &c); err != nil || c.Say != sayDocument {
		return nil, fmt.Errorf("taking over: %.60q is no document", text)
	}
	if c.Format != documentFormat {
		return nil, fmt.Errorf("taking over: the other process hands over in format %d, this one reads %d", c.Format,
			documentFormat)
	}
	if c.Sockets < 0 || c.Chunks < 0 || c.Trays < 0 || len(files) != 1+c.Sockets+c.Chunks+c.Trays {
		return nil, fmt.Errorf("taking over: %d descriptors do not fit what is said of them", len(files))
	}
	take := func(n int) (taken []*os.File) {
		taken, rest = rest[:n], rest[n:]
		return taken
	}
	memory, err := handover.Read(take(1)[0])
	if err != nil {
		return nil, err
	}
	in := new(inheritance)
	in.sockets = take(c.Sockets)
	chunks := take(c.Chunks)
	err = in.parse(memory.Bytes)
	runtime.KeepAlive(memory)
	if err != nil {
		return nil, err
	}
	if len(in.sockets) != len(in.document.Sockets) || len(chunks) != len(in.document.Chunks) {
		return nil, errors.New("taking over: the descriptors do not fit the document")
	}
	if err := in.takeFrames(chunks); err != nil {
		return nil, err
	}
	limit := room(len(in.document.hub.Sessions))
	for _, tray := range take(c.Trays) {
		if err := handover.Unpack(tray, limit, func(number uint64, s *handover.Socket) {
			limit--
			early[number] = s
		}); err != nil {
			return nil, err
		}
	}
	in.connect(early)
	return in, nil
}

func (in *inheritance) parse(text []byte) error {
	n, read := binary.Uvarint(text)
	if read <= 0 || n > uint64(len(text)-read) {
		return errors.New("taking over: the document breaks off")
	}
	head, rest := text[read:read+int(n)], text[read+int(n):]
	d := &in.document
	if err := json.Unmarshal(head, d); err != nil {
		return fmt.Errorf("taking over: reading the document: %w", err)
	}
	if d.Format != documentFormat {
		return fmt.Errorf("taking over: version %s hands over in format %d, this one reads %d", d.Version, d.Format,
			documentFormat)
	}
	var err error
	if len(d.Apps) > 0 {
		if in.apps, err = app.DecodeApps(d.Apps); err != nil {
			return fmt.Errorf("taking over: reading the apps: %w", err)
		}
	}
	d.Apps = nil // secrets are kept once
	if d.hub, err = hub.ParseState(rest); err != nil {
		return err
	}
	err = d.hub.ParseAttributes(d.Attributes)
	d.hub.Memories = d.Memories
	d.Attributes, d.Memories = nil, nil // secrets here too
	if err == nil && !d.hub.Whole() {
		err = errors.New("taking over: remembered sessions name keys or messages that are not there")
	}
	return err
}

// takeFrames finds the bytes of the frames in the memory files.
func (in *inheritance) takeFrames(chunks []*os.File) error {
	frames := in.document.hub.Frames
	for i, file := range chunks {
		memory, err := handover.Read(file)
		if err != nil {
			return err
		}
		n, at := in.document.Chunks[i], 0
		if n < 0 || n > len(frames) {
			return errors.New("taking over: there are fewer messages than memory files say")
		}
		for k := range frames[:n] {
			size := frames[k].Size
			if size > len(memory.Bytes)-at {
				return errors.New("taking over: a memory file is too short")
			}
			frames[k].Move(memory.Bytes[at:at+size:at+size], memory)
			at += size
		}
		frames = frames[n:]
	}
	if len(frames) > 0 {
		return fmt.Errorf("taking over: %d messages did not come", len(frames))
	}
	return nil
}

// connect gives the sessions their connections. Those that belong to no session were
// closed after they had passed: only our copies are left.
func (in *inheritance) connect(came map[uint64]*handover.Socket) {
	for i := range in.document.hub.Sessions {
		s := &in.document.hub.Sessions[i]
		if socket := came[s.ID]; socket != nil {
			s.Conn = socket
			delete(came, s.ID)
		}
	}
	for _, socket := range came {
		socket.Close()
	}
}

// came is how many of the connections did.
func (in *inheritance) came() (n int) {
	for i := range in.document.hub.Sessions {
		if in.document.hub.Sessions[i].Conn != nil {
			n++
		}
	}
	return n
}

// close gives it up: connections that another process has too go on there.
func (in *inheritance) close() {
	for i, f := range in.sockets {
		if f != nil {
			f.Close()
			in.sockets[i] = nil
		}
	}
	for i := range in.document.hub.Sessions {
		if conn := in.document.hub.Sessions[i].Conn; conn != nil {
			conn.(io.Closer).Close()
		}
	}
}

var _ net.Conn = (*handover.Socket)(nil)
