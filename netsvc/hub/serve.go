package hub

import (
	"bytes"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Serve accepts 1C sessions until the listener is closed, by Shutdown or by its
// owner, and then returns nil. Several listeners may be served at once.
func (h *Hub) Serve(ln net.Listener) error {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		ln.Close()
		return nil
	}
	h.listeners[ln] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.listeners, ln)
		h.mu.Unlock()
	}()
	in, buf := newTryReader(), make([]byte, 2+wire.MaxRegistrationBytes)
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		h.admit(conn, in, buf)
	}
}

// admit starts the session of a new connection. buf is room for what it has said
// already.
func (h *Hub) admit(conn net.Conn, in *tryReader, buf []byte) {
	s := &session{id: h.lastID.Add(1), conn: conn, since: time.Now().UnixNano()}
	s.raw = rawOf(conn)
	h.watchSilence(s.conn, s.raw)
	early := bytes.Clone(buf[:in.tryRead(s.raw, buf)])

	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		conn.Close()
		return
	}
	h.sessions[s.id] = s
	pending := h.pending.add(s)
	h.goroutines.Go(func() { h.greet(s, early) })
	h.mu.Unlock()

	if pending > h.limits.Load().MaxUnregistered {
		h.EvictUnregistered()
	}
}

// rawOf returns the descriptor of a connection, for what never waits; nil: it has none.
func rawOf(conn net.Conn) syscall.RawConn {
	if has, ok := conn.(syscall.Conn); ok {
		// An error here means that the peer is gone, which whoever reads will notice.
		raw, _ := has.SyscallConn()
		return raw
	}
	return nil
}

// EvictUnregistered closes the unregistered connection that has been silent
// longest. It reports false if there is none.
func (h *Hub) EvictUnregistered() bool {
	h.changing.RLock()
	if h.frozen.Load() {
		h.changing.RUnlock()
		return false
	}
	s := h.pending.takeSilent()
	first := s != nil && h.detach(s, closedEvicted)
	h.changing.RUnlock()
	if s == nil {
		return false
	}
	// Told before the peer can notice, as every refusal is.
	if first {
		h.countRefusal(s, ReasonEvicted, wire.Packet{}, nil)
	}
	hangUp(s.conn, s.raw)
	return true
}
