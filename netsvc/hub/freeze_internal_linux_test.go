package hub

import (
	"log/slog"
	"net"
	"testing"
	"time"
)

// TestASessionThatComesToRestAtTheVeryFreeze has a session lie down to rest after HandOver
// has seen that it rests, and before it is among those that the watch waits for: then
// nobody but itself can see to it that no goroutine waits for its peer.
func TestASessionThatComesToRestAtTheVeryFreeze(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	h := New(Options{Logger: slog.New(slog.DiscardHandler)})
	s := &session{id: 1, conn: conn, raw: rawOf(conn)}
	h.sessions[s.id] = s
	s.resting = true
	h.HandOver()
	s.resting = false

	h.rest(s, nil) // as whoever had gone that far by then
	ended := make(chan struct{})
	go func() {
		h.goroutines.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		conn.Close()
		t.Fatal("a goroutine waits for the peer of a session that is handed over")
	}
	if s.closeReason() != "" || h.sessions[s.id] != s {
		t.Error("the session was closed")
	}
	conn.Close()
}
