package socket

import (
	"net"
	"os"
	"slices"
	"testing"
)

// accept connects to a listener and returns its end of the connection.
func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	client, err := Dial(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestCredentialsAreThoseOfTheOtherProcess(t *testing.T) {
	t.Parallel()
	ln, err := Listen(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	c, known := credentialsOf(accept(t, ln))
	if !known || c.uid != os.Getuid() || c.gid != os.Getgid() || c.pid != os.Getpid() ||
		!slices.Equal(c.groups, groups) {
		t.Errorf("got %+v (%v), want uid %d, gid %d, process %d, groups %v", c, known, os.Getuid(), os.Getgid(),
			os.Getpid(), groups)
	}
}

func TestAPeerThatCannotBeCheckedIsRefused(t *testing.T) {
	t.Parallel()
	ln, err := Listen(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	plain, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()

	if p := PeerOf(ln, accept(t, ln)); p.Refusal != "" || !p.Known || p.UID != os.Getuid() {
		t.Errorf("we are %+v, want to be admitted", p)
	}
	for name, p := range map[string]Peer{
		"no credentials":            PeerOf(ln, one),
		"a socket that is not ours": PeerOf(plain, accept(t, plain)),
	} {
		if p.Refusal == "" {
			t.Errorf("%s: admitted %+v", name, p)
		}
	}
}
