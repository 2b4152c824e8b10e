package prove

import (
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// What the add-in does while it is connected, with a service that behaves as none should.

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
			h.expect(quoted("Не удалось расшифровать сообщение. Возможно, указан неверный ключ клиента"), "get", "1",
				"LastError")
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
	h.message("1", `{"topic":"��"}`)
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
			t.Errorf("turn, received, from: %v, want %d %d %d; same session: %v", said.progress(t), turn, received, from,
				said.session() == session)
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
	agent := regexp.MustCompile(`^pns4ones-addin/[0-9.]+ (linux|windows)-(x86_64|i386|arm64)$`)
	if got := said.attributes["agent"][0]; !agent.MatchString(got) {
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
	if said.attributes["user"] != nil || said.attributes["ib"] != nil || said.attributes["host"] != nil ||
		said.attributes["agent"] == nil {
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
	for _, unit := range utf16.Encode([]rune(text)) {
		out = append(out, fmt.Sprintf("%04X", unit))
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
	if got := h.do("events", "1", fmt.Sprint(count), "0"); strings.Contains(got, `"refused":0,`) ||
		!strings.Contains(got, `"overlapped":false`) {
		t.Errorf("%s", got)
	}
	h.expect("true", "release", "1")
	if got := p.goodbye(); got.number(t, "received") != uint64(count) {
		t.Errorf("received %d of %d", got.number(t, "received"), count)
	}
}
