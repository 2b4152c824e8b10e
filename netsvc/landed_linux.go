package netsvc

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/handover"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// What the version before the present form of a hand-over (commit a70ab9f) says, and wants
// to hear: an upgrade from it loses nobody. Going back to it does.
//
// Each of its messages begins with the byte 1; in the first one follows, as an uvarint, how
// many descriptors come in all: a file in memory with JSON (landedDocument), the sockets
// that listen, and the connections. A successor says «ready» when it has opened the
// database and the control channel, and waits for «go», or the other's end.

type landedDocument struct {
	Format  int           `json:"format"`
	Version string        `json:"version"`
	Sockets []savedSocket `json:"sockets"`
	Hub     *hub.State    `json:"hub"`
}

// maxLanded bounds the descriptors of a hand-over.
const maxLanded = 1 << 24

// receiveLanded reads a hand-over whose first message is text.
func receiveLanded(link *handover.Link, text []byte, files []*os.File) (_ *inheritance, err error) {
	defer func() {
		if err != nil {
			closeFiles(files)
		}
	}()
	began := time.Now()
	total, read := binary.Uvarint(text[1:])
	if read <= 0 || total == 0 || total > maxLanded {
		return nil, errors.New("taking over: the first message cannot be read")
	}
	for len(files) < int(total) {
		text, more, err := link.Receive()
		files = append(files, more...)
		switch {
		case err != nil:
			return nil, err
		case text[0] != landedFormat || len(more) == 0:
			return nil, fmt.Errorf("taking over: %d of %d descriptors came", len(files), total)
		}
	}
	content, err := io.ReadAll(io.NewSectionReader(files[0], 0, 1<<62))
	if err != nil {
		return nil, fmt.Errorf("taking over: reading the document: %w", err)
	}
	files[0].Close()
	var d landedDocument
	if err := json.Unmarshal(content, &d); err != nil {
		return nil, fmt.Errorf("taking over: reading the document: %w", err)
	}
	came := files[1:]
	switch {
	case d.Format != landedFormat:
		return nil, fmt.Errorf("taking over: version %s hands over in format %d, this one reads %d", d.Version,
			d.Format, landedFormat)
	case d.Hub == nil || !d.Hub.Whole() || len(came) != len(d.Sockets)+len(d.Hub.Sessions):
		return nil, fmt.Errorf("taking over: %d descriptors do not fit what is said of them", len(came))
	}
	sockets, connections := came[:len(d.Sockets)], came[len(d.Sockets):]
	for i := range d.Hub.Frames {
		d.Hub.Frames[i].Size = len(d.Hub.Frames[i].Bytes)
	}
	for i, f := range connections {
		d.Hub.Sessions[i].Conn = handover.SocketOf(f)
	}
	return &inheritance{
		sockets: sockets,
		document: document{
			Format: landedFormat, Version: d.Version, Sockets: d.Sockets, hub: d.Hub,
			Record: control.Handover{Way: control.WayRestart, FromVersion: d.Version, At: began},
		},
	}, nil
}

// openAfterLanded takes over from a process of the landed version, which waits.
func (s *Server) openAfterLanded(ctx context.Context, o *Succession) error {
	o.link.SetDeadline(time.Now().Add(successorWait))
	text, files, err := o.link.Receive()
	if err == nil && text[0] != landedFormat {
		closeFiles(files)
		err = fmt.Errorf("taking over: the process before this one hands over in format %d", text[0])
	}
	if err != nil {
		return err
	}
	in, err := receiveLanded(o.link, text, files)
	if err != nil {
		return err
	}
	in.document.Record.Way, in.document.Record.FromPID = control.WayUpgrade, os.Getppid()
	t := &takeover{Succession: o, inheritance: in, listened: in.sockets, saved: in.document.Sockets}
	if err := s.openInherited(t); err != nil {
		return err // the other one takes them back
	}
	if err := s.listenAll(ctx, t); err != nil {
		return err
	}
	if err := s.openControl(); err != nil {
		return err
	}
	s.takeover = t
	return nil
}

// awaitLanded says that all is ready, and waits until the other process has let go of the
// sessions.
func (t *takeover) awaitLanded() error {
	t.link.SetDeadline(time.Now().Add(successorWait))
	if err := t.link.Send([]byte("ready")); err != nil {
		return nil // it is gone
	}
	text, files, err := t.link.Receive()
	closeFiles(files)
	switch {
	case err == nil && string(text) != "go":
		return fmt.Errorf("the process before this one says %.20q", text)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("the process before this one does not let go of the sessions")
	}
	return nil
}
