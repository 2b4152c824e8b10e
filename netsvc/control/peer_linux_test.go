package control

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestAPeerThatIsNotKnownIsRefused(t *testing.T) {
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
	us := peer{uid: os.Getuid(), gid: os.Getgid(), known: true}
	if why := refusal(ln, us); why != "" {
		t.Errorf("we are refused: %s", why)
	}
	if why := refusal(ln, peer{}); why == "" {
		t.Error("a peer without credentials is admitted")
	}
	if why := refusal(plain, us); why == "" {
		t.Error("a listener that is not ours admits")
	}
	if why := refusal(nil, us); why == "" {
		t.Error("no listener admits")
	}
}

func TestCredentialsAreThoseOfTheOtherProcess(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	p := peerFrom(conn)
	if !p.known || p.uid != os.Getuid() || p.gid != os.Getgid() || len(p.groups) != len(groups) {
		t.Errorf("got %+v, want uid %d, gid %d, groups %v", p, os.Getuid(), os.Getgid(), groups)
	}
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	if p := peerFrom(one); p.known {
		t.Errorf("a pipe in memory has the credentials %+v", p)
	}
	g := gate{ownUID: 0, socketGID: 0}
	if why := g.refuse(peer{user: "ann"}); !strings.Contains(why, "user ann ") || !strings.Contains(why, "group root") {
		t.Errorf("refused with %q, want the user and the group", why)
	}
}
