package prove

import (
	"net"
	"strings"
	"testing"
	"time"
)

// How the add-in comes to a service, and what it says to 1C when it cannot.

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
		{"long user", []string{"localhost", "36695", app, ib, ":long:10000", "", testKey},
			"Параметры подключения слишком длинные или содержат недопустимые символы"},
		{"NUL in an id", []string{"localhost", "36695", app, ":utf16:0041 0000 0042", user, "", testKey},
			"Параметры подключения слишком длинные или содержат недопустимые символы"},
		{"a date", []string{"localhost", "36695", ":date:0", ib, user, "", testKey},
			"Параметры подключения должны быть строками"},
		{"a blob", []string{"localhost", "36695", app, ib, ":blob:x", "", testKey},
			"Параметры подключения должны быть строками"},
		{"half a port", []string{"localhost", ":real:1.5", app, ib, user, "", testKey},
			"Параметры подключения должны быть строками"},
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

func TestNamesAndWrongCalls(t *testing.T) {
	h := load(t)
	h.do("new", "1")
	const want = `{"class":"PNS4OneSComp","info":1000,"extension":"com_ptolkachev_PNS4OneSCompExtension",` +
		`"attach":3,"depth":1000,` +
		`"properties":[["Version","Версия",true,false],["State","Состояние",true,false],` +
		`["StateEvents","СобытияСостояния",true,true],` +
		`["Groups","Группы",true,true],["UserName","ИмяПользователя",true,true],["InfobaseName","ИмяБазы",true,true],` +
		`["LastError","ПоследняяОшибка",true,false],["Statistics","Статистика",true,false]],` +
		`"methods":[["Connect","Подключить",7,true],["Shutdown","Отключить",0,false],` +
		`["GetLastError","ПолучитьОшибку",0,true]]}`
	h.expect(want, "describe", "1")
	for name, numbers := range map[string]string{
		"connect": "[-1,0]", "ПОДКЛЮЧИТЬ": "[-1,0]", "отключить": "[-1,1]", "GETLASTERROR": "[-1,2]",
		"получитьОшибку": "[-1,2]",
		"версия":         "[0,-1]", "STATISTICS": "[7,-1]", "": "[-1,-1]", "Подключит": "[-1,-1]", "Version ": "[-1,-1]",
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
	h.expect("true", "set", "1", "UserName", ":bytes:ann")
	h.expect(`"ann"`, "get", "1", "UserName")
	h.expect("true", "set", "1", "UserName", ":bytes:\xc0\xed\xed\xe0") // of another code page
	h.expect(`"����"`, "get", "1", "UserName")
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
