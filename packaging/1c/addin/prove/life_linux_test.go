package prove

import (
	"net"
	"strings"
	"testing"
	"time"
)

// How connections, objects and the library end, in every order.

func TestShutdown(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	h.expect("true", "shutdown", "1") // before any Connect
	for range 3 {
		s.connect(h, "1")
		p, _ := s.registered()
		h.state("1", "connected")
		if _, took := h.timed("shutdown", "1"); took > time.Second {
			t.Errorf("Shutdown took %v", took)
		}
		p.goodbye()
		h.expect(`"off"`, "get", "1", "State")
		h.expect("true", "shutdown", "1")
	}
	// After a lost connection, and while it tries again.
	s.connect(h, "1")
	p, _ := s.registered()
	s.ln.Close()
	p.send(topic(1))
	h.message("1", topic(1))
	p.end()
	h.state("1", "lost")
	h.expect("true", "shutdown", "1")
	h.expect("true", "done", "1")
	h.expect("true", "done", "1")
	h.expect("false", "connect", "1", "127.0.0.1", s.port, app, ib, user, "", testKey)
	h.expect(quoted("Компонента не подключена к 1С:Предприятию"), "error", "1")
	h.expect("true", "destroy", "1")
}

func TestConnectTwiceReplaces(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	first, one := s.registered()
	first.send(topic(1))
	h.message("1", topic(1))
	s.connect(h, "1")
	if bye := first.goodbye(); bye.session() != one.session() || bye.progress(t) != [3]uint64{2, 1, 1} {
		t.Errorf("goodbye of another session, or %v", bye.progress(t))
	}
	second, two := s.registered()
	if two.session() == one.session() || two.progress(t) != [3]uint64{1, 0, 0} {
		t.Errorf("the second Connect goes on with the session of the first")
	}
	second.send(topic(2))
	h.message("1", topic(2))
	// A Connect that fails ends the one before, too.
	h.expect("false", "connect", "1", "", "", app, ib, user, "", testKey)
	second.goodbye()
	h.expect("true", "release", "1")
}

func TestObjectsAreIndependent(t *testing.T) {
	for _, order := range [][]string{
		{"release 1", "release 2"}, {"release 2", "release 1"}, {"shutdown 1", "release 2", "release 1"},
		{"done 1", "destroy 1", "release 2"}, {"destroy 1", "destroy 2"},
	} {
		t.Run(strings.Join(order, ","), func(t *testing.T) {
			s := serve(t)
			h := load(t)
			peers := map[string]*peer{}
			for _, object := range []string{"1", "2"} {
				h.do("new", object)
				s.connect(h, object)
				peers[object], _ = s.registered()
			}
			for _, step := range order {
				words := strings.Fields(step)
				h.expect("true", words...)
				// What ends one of them leaves the other one alone.
				if p := peers[words[1]]; p != nil {
					p.goodbye()
					delete(peers, words[1])
				}
				for object, p := range peers {
					p.send(topic(7))
					h.message(object, topic(7))
				}
			}
		})
	}
}

// TestCycles loads, connects, releases and unloads again and again, at every moment.
func TestCycles(t *testing.T) {
	s := serve(t)
	h := load(t)
	for i := range scale(10, 100) {
		h.do("new", "1")
		s.connect(h, "1")
		if i%3 != 1 { // else it is released while it connects
			p, _ := s.registered()
			p.send(topic(i))
			h.message("1", topic(i))
		}
		h.expect("true", []string{"release", "destroy"}[i%2], "1")
		h.do("unload")
		h.expect("true", "load")
		if i%3 == 1 {
			s.ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
			if conn, err := s.ln.Accept(); err == nil {
				conn.Close()
			}
		}
	}
	if got := h.do("memory"); got != "0" {
		t.Errorf("%s pieces of 1C's memory are left", got)
	}
}

// TestUnloadWithoutDone takes the library away from under a session. What runs
// keeps it: the session lives on, and ends with the process.
func TestUnloadWithoutDone(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	p, _ := s.registered()
	h.do("unload")
	p.send(topic(1))
	h.message("1", topic(1))
	// While it connects to nothing, resolves, and while an event is refused.
	for object, where := range map[string][2]string{"2": {blackHole(t), ""}, "3": {"no-such-host.invalid", "1"}} {
		h.expect("true", "load")
		h.do("new", object)
		h.expect("true", "connect", object, where[0], where[1], app, ib, user, "", testKey)
		h.do("unload")
	}
	h.expect("true", "load")
	h.do("new", "4")
	h.do("refuse", "4", "-1")
	s.connect(h, "4")
	refused, _ := s.registered()
	refused.send(topic(2))
	for strings.Contains(h.do("events", "4", "0", "0"), `"refused":0,`) {
		h.do("sleep", "5")
	}
	h.do("unload")
}

// An object may be released while 1C holds its event, and a Connect may come from
// another thread.
func TestThreads(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("elsewhere", "new", "1")
	h.expect("true", "elsewhere", "connect", "1", "127.0.0.1", s.port, app, ib, user, "", testKey)
	p, _ := s.registered()
	h.do("hold", "1", "300")
	p.send(topic(1))
	h.message("1", topic(1)) // and 1C is still inside of it
	h.expect("true", "elsewhere", "shutdown", "1")
	p.goodbye()
	h.do("hold", "1", "0")
	s.connect(h, "1")
	p, _ = s.registered()
	p.send(topic(2))
	h.message("1", topic(2))
	h.expect("true", "elsewhere", "release", "1")
	p.goodbye()
}
