package prove

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What the add-in does with a service that behaves as none should. Each row of
// section 3 that needs no daemon is here.

func TestServiceIsAbsent(t *testing.T) {
	h := load(t)
	h.do("new", "1")
	port := freePort(t)
	h.expect("true", "connect", "1", "127.0.0.1", port, app, ib, user, "", testKey)
	h.expect("null", "error", "1")
	h.expect(`"connecting"`, "get", "1", "State")
	// The message names what is not reached, after a try.
	for !strings.Contains(h.do("get", "1", "LastError"), "127.0.0.1:"+port) {
		h.do("sleep", "20")
	}
	s := &service{t: t, key: mustKey(t, testKey), port: port}
	s.open()
	defer s.ln.Close()
	p, _ := s.registered()
	p.send(`{"topic":"late"}`)
	h.message("1", `{"topic":"late"}`)
	h.expect("true", "release", "1")
	p.goodbye()
}

func TestNameIsUnknown(t *testing.T) {
	h := load(t)
	h.do("new", "1")
	h.expect("true", "connect", "1", "no-such-host.invalid", "36695", app, ib, user, "", testKey)
	h.expect("null", "error", "1")
	for !strings.Contains(h.do("get", "1", "LastError"), "Указан неверный адрес сервера: no-such-host.invalid") {
		h.do("sleep", "20")
	}
	h.expect(`"connecting"`, "get", "1", "State")
	h.expect("true", "release", "1")
}

func TestConnectRefuses(t *testing.T) {
	h := load(t)
	h.do("new", "1")
	cases := []struct {
		name string
		step []string
		want string
	}{
		{"no address", []string{"", "", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"only separators", []string{" ,; ", "36695", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"port of letters", []string{"localhost", "x", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"port 65536", []string{"localhost", "65536", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"one bad entry", []string{"a", "36695,b:99999999", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"long address", []string{":long:10000", "36695", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
		{"key AAAA", []string{"localhost", "36695", app, ib, user, "", "AAAA"}, "Некорректный ключ клиента"},
		{"no key", []string{"localhost", "36695", app, ib, user, "", ""}, "Некорректный ключ клиента"},
		{"null key", []string{"localhost", "36695", app, ib, user, "", ":nullstring"}, "Некорректный ключ клиента"},
		{"long key", []string{"localhost", "36695", app, ib, user, "", ":long:10000"}, "Некорректный ключ клиента"},
		{"long user", []string{"localhost", "36695", app, ib, ":long:10000", "", testKey}, "Параметры подключения слишком длинные или содержат недопустимые символы"},
		{"NUL in an id", []string{"localhost", "36695", app, ":utf16:0041 0000 0042", user, "", testKey}, "Параметры подключения слишком длинные или содержат недопустимые символы"},
		{"a date", []string{"localhost", "36695", ":date:0", ib, user, "", testKey}, "Параметры подключения должны быть строками"},
		{"a blob", []string{"localhost", "36695", app, ib, ":blob:x", "", testKey}, "Параметры подключения должны быть строками"},
		{"half a port", []string{"localhost", ":real:1.5", app, ib, user, "", testKey}, "Параметры подключения должны быть строками"},
		{"negative port", []string{"localhost", ":int:-1", app, ib, user, "", testKey}, "Указан неверный адрес сервера"},
	}
	for _, c := range cases {
		got := h.do(append([]string{"connect", "1"}, c.step...)...)
		if got != "false" {
			t.Errorf("%s: Connect says %s", c.name, got)
		}
		if got := h.do("error", "1"); got != quoted(c.want) {
			t.Errorf("%s: GetLastError says %s, want %q", c.name, got, c.want)
		}
	}
	h.expect(`"off"`, "get", "1", "State")
	h.expect(`"raised"`, "few", "1")
	h.expect("true", "release", "1")
}

func TestAddressForms(t *testing.T) {
	s := serve(t)
	h := load(t)
	dead := freePort(t)
	h.do("new", "1")
	for _, words := range [][2]string{
		{"127.0.0.1", s.port},
		{"127.0.0.1", ":int:" + s.port},
		{"127.0.0.1", ":real:" + s.port},
		{" 127.0.0.1:" + s.port + " ", ""},
		{"127.0.0.1:" + s.port, "36695"},
		// As the 1C extension cuts a list at its first colon; the first one refuses.
		{"127.0.0.1", dead + ",127.0.0.1:" + s.port},
		{"127.0.0.1:" + dead + "; 127.0.0.1", s.port},
		{"localhost", s.port},
	} {
		t.Logf("host %q, port %q", words[0], words[1])
		h.expect("true", "connect", "1", words[0], words[1], app, ib, user, "", testKey)
		p, _ := s.registered()
		p.send(topic(1))
		h.message("1", topic(1))
		h.expect("true", "shutdown", "1")
		p.goodbye()
	}
	h.expect("true", "release", "1")
}

func TestIPv6(t *testing.T) {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	h := load(t)
	s := &service{t: t, key: mustKey(t, testKey), ln: ln}
	defer ln.Close()
	port := ln.Addr().String()[len("[::1]:"):]
	h.do("new", "1")
	for _, words := range [][2]string{{"[::1]", port}, {"[", ":1]:" + port}, {"::1", port}} {
		h.expect("true", "connect", "1", words[0], words[1], app, ib, user, "", testKey)
		p, _ := s.registered()
		p.send(topic(6))
		h.message("1", topic(6))
		h.expect("true", "shutdown", "1")
		p.goodbye()
	}
	h.expect("true", "release", "1")
}

func TestLostConnectionIsSilent(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	for i := range scale(2, 5) {
		p, said := s.registered()
		if said.UserGroup != "Отдел" {
			t.Errorf("group %q", said.UserGroup)
		}
		p.send(topic(i))
		h.message("1", topic(i))
		if i%2 == 0 {
			p.end()
		} else {
			p.conn.(*net.TCPConn).SetLinger(0) // a reset
			p.end()
		}
		h.state("1", "lost")
	}
	p, _ := s.registered()
	h.state("1", "connected")
	h.expect("true", "release", "1")
	p.goodbye()
}

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
		{"release 1", "release 2"}, {"release 2", "release 1"}, {"shutdown 1", "release 2", "release 1"}, {"done 1", "destroy 1", "release 2"}, {"destroy 1", "destroy 2"},
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

// A frame that does not decrypt closes the connection, and counts as a refusal: the
// third one running is told to the person, once.
func TestBrokenFrames(t *testing.T) {
	key := mustKey(t, testKey)
	good := key.AppendFrame(nil, []byte(`{"topic":"x"}`))
	flipped := append([]byte{}, good...)
	flipped[len(flipped)-1] ^= 1
	for name, frame := range map[string][]byte{
		"length 0":               frameOf(0, 0, zeros(16)),
		"length 19":              frameOf(19, 15, zeros(16)),
		"not a multiple of 16":   frameOf(4+17, 10, zeros(17)),
		"beyond the limit":       frameOf(4+16<<20+16, 16<<20+8, zeros(32)),
		"2 GiB":                  frameOf(1<<31, 1<<31-8, zeros(32)),
		"4 GiB":                  frameOf(1<<32-1, 1<<32-20, zeros(32)),
		"plaintext too long":     frameOf(20, 16, zeros(16)),
		"plaintext too short":    frameOf(36, 3, zeros(32)),
		"padding is not padding": flipped,
		"another key":            mustKey(t, "IAAAABAAAACgfXBYuAYLYyvYVZIFNJmxKzyzDWcgJ+//DOda6CjOHkDA2BYycCi1fNz7zfl00UU=").AppendFrame(nil, []byte(`{"topic":"x"}`)),
		"not an object":          key.AppendFrame(nil, []byte(`["topic"]`)),
		"HTTP":                   []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"TLS alert":              []byte("\x15\x03\x01\x00\x02\x02\x46\x15\x03\x01\x00\x02\x02\x46"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			h := load(t)
			h.do("new", "1")
			s.connect(h, "1")
			for i := range 3 {
				p, said := s.registered()
				if got := said.progress(t); got != [3]uint64{uint64(i + 1), 0, 0} {
					t.Errorf("turn, received, from: %v", got)
				}
				p.write(frame)
				p.over()
			}
			e := h.event("1")
			if e.Event != "message" || !strings.HasPrefix(e.Data, `{"error": "Сервис уведомлений не принимает подключение`) {
				t.Errorf("event %+v", e)
			}
			h.state("1", "refused")
			h.expect(quoted("Не удалось расшифровать сообщение. Возможно, указан неверный ключ клиента"), "get", "1", "LastError")
			h.expect("true", "release", "1")
		})
	}
}

func TestFramesInAnyPieces(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	p, _ := s.registered()
	for _, b := range p.key.AppendFrame(nil, []byte(`{"topic":"по байту 😀 𠜎"}`)) {
		p.write([]byte{b})
	}
	h.message("1", `{"topic":"по байту 😀 𠜎"}`)
	var many []byte
	for i := range 100 {
		many = p.key.AppendFrame(many, []byte(topic(i)))
	}
	p.write(many)
	for i := range 100 {
		h.message("1", topic(i))
	}
	// The largest there is: 16 MiB with its padding, and one of 901 322 bytes.
	for _, size := range []int{901322, 16<<20 - 1} {
		text := `{"topic":"` + strings.Repeat("ж", (size-12)/2) + `"}`
		text = text[:len(text)-2] + strings.Repeat("x", size-len(text)) + `"}`
		p.send(text)
		if got := h.event("1"); got.Data != text {
			t.Errorf("%d bytes arrive as %d", len(text), len(got.Data))
		}
	}
	p.send("{\"topic\":\"\xff\xed\xa0\x80\"}") // no UTF-8
	if got := h.event("1"); got.Data != "{\"topic\":\"��\"}" && got.Data != "{\"topic\":\"����\"}" && !strings.Contains(got.Data, "�") {
		t.Errorf("broken UTF-8 arrives as %q", got.Data)
	}
	h.expect("true", "release", "1")
	p.goodbye()
}

func TestClosedAtOnceThreeTimes(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	for range 3 {
		p, _ := s.registered()
		p.end()
	}
	e := h.event("1")
	if !strings.Contains(e.Data, `"error": `) {
		t.Errorf("event %+v", e)
	}
	h.state("1", "refused")
	h.expect(quoted("Сервис уведомлений закрыл соединение сразу после регистрации"), "get", "1", "LastError")
	// A new Connect is a new chance.
	s.connect(h, "1")
	p, _ := s.registered()
	h.state("1", "connected")
	h.expect("true", "release", "1")
	p.goodbye()
}

// What is counted, and said of it, over losses, refused events and goodbye.
func TestGoingOn(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	s.connect(h, "1")
	p, said := s.registered()
	session := said.session()
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`).MatchString(session) {
		t.Errorf("session %q", session)
	}
	want := func(said packet, turn, received, from uint64) {
		t.Helper()
		if said.session() != session || said.progress(t) != [3]uint64{turn, received, from} {
			t.Errorf("turn, received, from: %v, want %d %d %d; same session: %v", said.progress(t), turn, received, from, said.session() == session)
		}
	}
	want(said, 1, 0, 0)
	for i := range 3 {
		p.send(topic(i))
		h.message("1", topic(i))
	}
	half := p.key.AppendFrame(nil, []byte(topic(3)))
	p.write(half[:len(half)-1])
	p.end()
	p, said = s.registered()
	want(said, 2, 3, 1) // the half frame is not counted
	p.end()
	p, said = s.registered()
	want(said, 3, 3, 1) // nothing came on the second connection
	// A frame that 1C has not accepted is finished before the next packet is made.
	h.do("refuse", "1", "3")
	p.send(topic(4))
	p.end()
	h.message("1", topic(4))
	p, said = s.registered()
	want(said, 4, 4, 3)
	// And one that is given up is not counted, nor offered again.
	h.do("refuse", "1", "-1")
	p.send(topic(5))
	for h.do("events", "1", "0", "0") == `{"events":4,"refused":3,"overlapped":false}` {
		h.do("sleep", "5")
	}
	if _, took := h.timed("shutdown", "1"); took > time.Second {
		t.Errorf("Shutdown took %v while an event is refused", took)
	}
	h.do("refuse", "1", "0")
	bye := p.goodbye()
	want(bye, 5, 4, 3)
	h.expect("true", "release", "1")
}

func TestWhatIsSaidOfTheClient(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	h.expect("true", "set", "1", "Группы", "Продажи")
	h.expect(`"Продажи"`, "get", "1", "groups")
	h.expect("true", "set", "1", "ИмяПользователя", "Иванов Иван 😀")
	h.expect("true", "set", "1", "InfobaseName", "Бухгалтерия")
	s.connect(h, "1")
	p, said := s.registered()
	if got := fmt.Sprint(said.order); got != "[session turn received from agent group user ib host]" {
		t.Errorf("attributes %v", got)
	}
	for name, want := range map[string]string{"group": "Продажи", "user": "Иванов Иван 😀", "ib": "Бухгалтерия"} {
		if got := said.attributes[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := said.attributes["agent"][0]; !regexp.MustCompile(`^pns4ones-addin/[0-9.]+ (linux|windows)-(x86_64|i386|arm64)$`).MatchString(got) {
		t.Errorf("agent %q", got)
	}
	h.expect("true", "shutdown", "1")
	p.goodbye()

	// Sixty groups do not fit: the names go first, then the last groups.
	var groups []string
	for i := range 60 {
		groups = append(groups, fmt.Sprintf("Подразделение номер %d", i))
	}
	h.expect("true", "set", "1", "Groups", ":utf16:"+utf16Words(strings.Join(groups, "\r\n")+"\n\n"))
	s.connect(h, "1")
	p, said = s.registered()
	if said.bytes >= 1000 {
		t.Errorf("the packet has %d bytes", said.bytes)
	}
	kept := said.attributes["group"]
	if len(kept) < 10 || kept[0] != groups[0] || kept[len(kept)-1] != groups[len(kept)-1] {
		t.Errorf("groups %q", kept)
	}
	if said.attributes["user"] != nil || said.attributes["ib"] != nil || said.attributes["host"] != nil || said.attributes["agent"] == nil {
		t.Errorf("names %v", said.order)
	}
	h.state("1", "connected")
	var statistics struct {
		GroupsLeftOut int `json:"groups_left_out"`
		Address       string
	}
	unquote(t, h.do("get", "1", "Statistics"), &statistics)
	if statistics.GroupsLeftOut != 60-len(kept) || statistics.Address != "127.0.0.1:"+s.port {
		t.Errorf("statistics %+v, with %d groups sent", statistics, len(kept))
	}
	h.expect("true", "shutdown", "1")
	p.goodbye()

	// Ids as long as a service takes leave no room for attributes.
	h.expect("true", "connect", "1", "127.0.0.1", s.port, app, ib, ":long:1900", "", testKey)
	p, said = s.registered()
	if len(said.order) != 0 || said.bytes < 3800 {
		t.Errorf("%v in a packet of %d bytes", said.order, said.bytes)
	}
	h.expect("true", "release", "1")
	if rest := p.over(); len(rest) != 0 {
		t.Errorf("a session that is not remembered says %d bytes at its end", len(rest))
	}
}

func utf16Words(text string) string {
	var out []string
	for _, r := range text {
		out = append(out, fmt.Sprintf("%04X", r))
	}
	return strings.Join(out, ",")
}

func unquote(t *testing.T, text string, into any) {
	t.Helper()
	var inner string
	if err := json.Unmarshal([]byte(text), &inner); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal([]byte(inner), into); err != nil {
		t.Fatalf("%s: %v", inner, err)
	}
}

func TestStateEvents(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	h.expect("true", "set", "1", "StateEvents", ":bool:1")
	h.expect("true", "get", "1", "СобытияСостояния")
	s.connect(h, "1")
	state := func(want string) {
		t.Helper()
		if e := h.event("1"); e.Event != "state" || e.Data != `{"state": "`+want+`"}` {
			t.Fatalf("event %+v, want %s", e, want)
		}
	}
	p, _ := s.registered()
	state("connected")
	h.do("refuse", "1", "2")
	p.end()
	state("lost") // although 1C had no room for it at first
	p, _ = s.registered()
	state("connected")
	h.expect("true", "release", "1")
	p.goodbye()
}

func TestFailover(t *testing.T) {
	first, second := serve(t), serve(t)
	h := load(t)
	h.do("new", "1")
	h.expect("true", "connect", "1", "127.0.0.1:"+first.port+",127.0.0.1", second.port, app, ib, user, "", testKey)
	p, said := first.registered()
	session := said.session()
	h.state("1", "connected")
	first.ln.Close()
	p.end()
	p, said = second.registered()
	if said.session() != session {
		t.Error("the session is another one at the second address")
	}
	h.state("1", "connected")
	// The last good one is tried first, also when the first is there again.
	first.open()
	p.end()
	p, _ = second.registered()
	h.expect("true", "release", "1")
	p.goodbye()
}

// One address is a black hole: its queue of connections is full.
func TestBlackHole(t *testing.T) {
	s := serve(t)
	h := load(t)
	hole := blackHole(t)
	h.do("new", "1")
	h.expect("true", "connect", "1", hole+",127.0.0.1:"+s.port, "", app, ib, user, "", testKey)
	if _, took := h.timed("get", "1", "State"); took > time.Second {
		t.Errorf("1C waits for the network for %v", took)
	}
	p, _ := s.registered() // after five seconds
	h.expect("true", "shutdown", "1")
	p.goodbye()
	// Shutdown while it connects to nothing.
	h.expect("true", "connect", "1", hole, "", app, ib, user, "", testKey)
	if _, took := h.timed("release", "1"); took > time.Second {
		t.Errorf("releasing while connecting takes %v", took)
	}
}

func TestEventsAreRefusedAtRandom(t *testing.T) {
	s := serve(t)
	h := load(t)
	h.do("new", "1")
	h.do("random", "1", "2", "12345")
	s.connect(h, "1")
	p, _ := s.registered()
	count := scale(1000, 10000)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		var frames []byte
		for i := range count {
			frames = p.key.AppendFrame(frames, []byte(topic(i)))
		}
		p.conn.Write(frames)
	}()
	for i := range count {
		h.message("1", topic(i))
	}
	<-sent
	if got := h.do("events", "1", fmt.Sprint(count), "0"); strings.Contains(got, `"refused":0,`) || !strings.Contains(got, `"overlapped":false`) {
		t.Errorf("%s", got)
	}
	h.expect("true", "release", "1")
	if got := p.goodbye(); got.number(t, "received") != uint64(count) {
		t.Errorf("received %d of %d", got.number(t, "received"), count)
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

func TestNamesAndWrongCalls(t *testing.T) {
	h := load(t)
	h.do("new", "1")
	const want = `{"class":"PNS4OneSComp","info":1000,"extension":"com_ptolkachev_PNS4OneSCompExtension","attach":3,"depth":1000,` +
		`"properties":[["Version","Версия",true,false],["State","Состояние",true,false],["StateEvents","СобытияСостояния",true,true],` +
		`["Groups","Группы",true,true],["UserName","ИмяПользователя",true,true],["InfobaseName","ИмяБазы",true,true],` +
		`["LastError","ПоследняяОшибка",true,false],["Statistics","Статистика",true,false]],` +
		`"methods":[["Connect","Подключить",7,true],["Shutdown","Отключить",0,false],["GetLastError","ПолучитьОшибку",0,true]]}`
	h.expect(want, "describe", "1")
	for name, numbers := range map[string]string{
		"connect": "[-1,0]", "ПОДКЛЮЧИТЬ": "[-1,0]", "отключить": "[-1,1]", "GETLASTERROR": "[-1,2]", "получитьОшибку": "[-1,2]",
		"версия": "[0,-1]", "STATISTICS": "[7,-1]", "": "[-1,-1]", "Подключит": "[-1,-1]", "Version ": "[-1,-1]",
	} {
		h.expect(numbers, "find", "1", name)
	}
	for _, value := range []string{":null", ":empty", ":blob:x", ":date:0", "true"} {
		h.expect("false", "set", "1", "StateEvents", value)
	}
	h.expect("false", "set", "1", "Version", "3")
	h.expect("false", "set", "1", "Groups", ":date:0")
	h.expect("true", "set", "1", "Groups", ":null")
	h.expect(`""`, "get", "1", "Groups")
	h.expect("true", "set", "1", "UserName", ":long:10000")
	h.expect("true", "set", "1", "InfobaseName", ":utf16:D83D,0041,DC00")
	h.expect(`"�A�"`, "get", "1", "InfobaseName")
	h.do("fail", "1")
	h.expect(`"raised"`, "get", "1", "Version")
	h.do("fail", "0")
	h.expect("true", "bare", "2")
	h.expect("false", "connect", "2", "localhost", "1", app, ib, user, "", testKey)
	h.expect(`"raised"`, "error", "2") // there is no memory to say so in
	h.expect("true", "destroy", "2")
	h.expect("true", "release", "1")
	h.expect("0", "memory")
}
