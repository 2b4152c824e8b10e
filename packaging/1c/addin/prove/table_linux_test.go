package prove

import (
	"debug/elf"
	"debug/pe"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The table of packaging/doc/{en,ru}/addin.md, seen: each of its rows is run with the
// add-in that was released in 2022, if it is there, and with ours, in the same host
// and against the same daemon.

// released is that add-in; releasedLibraries is where the host finds what it needs.
var (
	released          = os.Getenv("PNS4ONES_ADDIN_RELEASED")
	releasedLibraries = os.Getenv("PNS4ONES_ADDIN_RELEASED_LIBRARIES")
)

// row is one of the table: what is done, and what each add-in is to be seen doing, as
// regular expressions. An empty one is of a cell that says that it differs from run
// to run.
type row struct {
	situation            string // its first column
	run                  func(x *exhibit)
	linux, windows, ours string
}

const (
	stopped = `event:\{"error": "Сервис уведомлений прекратил работу"\}`
	broken  = `event:\{"error": "(Сервис уведомлений прекратил работу|` +
		`Возникла ошибка при получении уведомлений от сервиса)"\}`
	badly     = `event:\{"error": "Не удалось расшифровать сообщение.*"\}`
	told      = `event:\{"error": "Сервис уведомлений не принимает подключение.*"\}`
	wrongKey  = "IAAAABAAAACgfXBYuAYLYyvYVZIFNJmxKzyzDWcgJ+//DOda6CjOHkDA2BYycCi1fNz7zfl00UU="
	noAddress = "no-such-host.invalid"
)

// The released one frees memory twice on Linux when a connection of its own ends.
// Whether that ends the process at once is a matter of luck.
var table = []row{
	{"the service cannot be reached", nobodyThere,
		`^false «Не удалось установить соединение.*» no more tries$`,
		`^false «Не удалось установить соединение.*» no more tries$`, `^true null tries again$`},
	{"the name of the server is unknown", unknownName, `^false «Указан неверный адрес.*»$`,
		`^false «Указан неверный адрес.*»$`, `^true null$`},
	{"no address, or not one", badAddress,
		`^(false «Указан неверный адрес[^»]*» ?){2}$`,
		`^false «Не удалось установить соединение.*» false «Указан неверный адрес.*»$`,
		`^(false «Указан неверный адрес сервера» ?){2}$`},
	{"the client key is not one", badKey, `died$`, `^false «Некорректный ключ клиента»`,
		`^(false «Некорректный ключ клиента» ?){2}$`},
	{"wrong key, unknown app", refused, `^true ` + stopped + ` true ` + stopped + `$`,
		`^true ` + stopped + ` true ` + stopped + `$`, `^true ` + told + ` true ` + told + `$`},
	{"the connection breaks; the service is stopped or killed", lost,
		`^true no more tries ` + broken + `( true away ` + broken + `){2}$`,
		`^true no more tries ` + broken + `( true away ` + broken + `){2}$`, `^true tries again( true back){2}$`},
	{"a message does not decrypt", undecryptable, `^true no more tries ` + badly + `$`,
		`^true no more tries ` + badly + `$`, `^true tries again$`},
	{"Shutdown, or the end of the object", ends, `^true (` + broken + `( died)?|died) true (` + broken + `( died)?|died)$`,
		`^true ` + broken + ` true( ` + broken + `)?`, `^true true$`}, // an object that ends may be quicker than its event
	{"Shutdown after the connection was lost", shutdownAfterLoss, `^true (fine )?` + broken + `( died)?$`,
		`^true fine ` + broken + `$`, `^true fine$`},
	{"Shutdown a second time", shutdownTwice, `^true (.*` + broken + `|.*died)`, `^true fine ((true|false) )?` + broken,
		`^true fine true$`},
	{"Connect twice on one object", connectTwice, `^true true 2 sessions$`, `^true true 2 sessions$`,
		`^true true 1 sessions$`},
	{"two objects, one of them ends", twoObjects, `^true true .*(died|` + broken + `)`,
		`^true true left: (first)? ` + broken, `^true true left: second$`},
	{"the library is unloaded and loaded again", unloaded, ``, ``, `^(true unloaded ?){5}$`},
	{"the group", group, `^true 0 sessions$`, `^true 0 sessions$`, `^true 1 sessions event:.*"title":"группе"`},
	{"😀 and the like", emoji, `^true event:.*"title":"\x{FFFD}+"`, `^true event:.*"title":"\x{FFFD}+"`,
		`^true event:.*"title":"😀"`},
	{"messages of 900 KB", large, `^true whole$`, `^true whole$`, `^true whole$`},
	{"several addresses, IPv6", addresses, `^false «.*» false «.*»$`, `^false «.*» false «.*»$`,
		`^true null a session true null a session$`},
	{"what it needs", needs, `^GLIBC_2.34 .*libcrypto.so.1.1`, `VCRUNTIME140`,
		`^(GLIBC_2.17 libc.so.6 libdl.so.2 libpthread.so.0|KERNEL32.dll WS2_32.dll bcrypt.dll msvcrt.dll)$`},
}

// tableSettings are those of the daemon: what one row leaves behind is not remembered in the next.
var tableSettings = []string{"-max_message_size", "4MiB", "-resume_window", "0s"}

func TestTable(whole *testing.T) {
	if library == "" {
		whole.Skip("no add-in: packaging/test/addin.sh builds it and runs this")
	}
	d := startDaemon(whole, tableSettings...)
	for _, r := range table {
		whole.Run(r.situation, func(t *testing.T) {
			if sanitized && r.situation == "what it needs" {
				t.Skip("of a sanitizer")
			}
			d.t = t
			defer func() { d.t = whole }()
			show := func(name, file, want string) {
				x := &exhibit{t: t, d: d, file: file}
				d.eventually("the end of the sessions before", func() bool { return d.sessions() == 0 })
				r.run(x)
				x.kill()
				got := strings.Join(x.seen, " ")
				t.Logf("%s, %s: %.300s", name, r.situation, got)
				if !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("%s: «%.600s», want %s", name, got, want)
				}
			}
			show("ours", library, r.ours)
			if released != "" {
				want := r.linux
				if len(runner) > 0 {
					want = r.windows
				}
				show("released", released, want)
			}
		})
	}
}

// TestTableIsInTheManual holds the manual's table against what is run here.
func TestTableIsInTheManual(t *testing.T) {
	situations := map[string][]string{}
	for _, language := range []string{"en", "ru"} {
		text, err := os.ReadFile("../../../doc/" + language + "/addin.md")
		if err != nil {
			t.Fatal(err)
		}
		_, rows, found := strings.Cut(string(text), "|---|---|---|---|\n")
		if !found {
			t.Fatalf("%s: no table", language)
		}
		for line := range strings.Lines(rows) {
			if !strings.HasPrefix(line, "| ") {
				break
			}
			situations[language] = append(situations[language], strings.TrimSpace(strings.Split(line, "|")[1]))
		}
	}
	var shown []string
	for _, r := range table {
		shown = append(shown, r.situation)
	}
	if !slices.Equal(situations["en"], shown) {
		t.Errorf("the table of the manual has the rows\n%q\nseen are\n%q", situations["en"], shown)
	}
	if len(situations["ru"]) != len(shown) {
		t.Errorf("the Russian table has %d rows, the English one %d", len(situations["ru"]), len(shown))
	}
}

func nobodyThere(x *exhibit) {
	port := freePort(x.t)
	x.begin()
	x.connect("127.0.0.1", port, app, user, testKey)
	x.step("error", "1")
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		x.t.Fatal(err)
	}
	defer ln.Close()
	x.tries(ln)
}

func unknownName(x *exhibit) {
	x.begin()
	x.connect(noAddress, "36695", app, user, testKey)
	x.step("error", "1")
}

func badAddress(x *exhibit) {
	for _, port := range []string{"", "x"} {
		x.begin()
		x.connect("", port, app, user, testKey)
		x.step("error", "1")
	}
}

func badKey(x *exhibit) {
	for _, key := range []string{"AAAA", "/////xAAAAC" + testKey[11:]} {
		x.begin()
		x.connect("127.0.0.1", x.d.tcp, x.d.ID, user, key)
		x.step("error", "1")
	}
}

func refused(x *exhibit) {
	x.begin()
	x.connect("127.0.0.1", x.d.tcp, x.d.ID, user, wrongKey)
	x.event()
	x.begin()
	x.connect("127.0.0.1", x.d.tcp, app, user, x.d.ClientKey)
	x.event()
}

func lost(x *exhibit) {
	s := serve(x.t)
	x.begin()
	x.connect("127.0.0.1", s.port, app, user, testKey)
	p, _ := s.registered()
	p.end()
	if !x.ours() {
		x.event()
	}
	x.tries(s.ln)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		x.begin()
		x.toDaemon(user)
		x.d.stop(signal)
		if !x.ours() {
			x.event()
		}
		x.d.start(tableSettings...)
		deadline := time.Now().Add(givenUp)
		if x.ours() {
			deadline = time.Now().Add(patience)
		}
		for x.d.sessions() == 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		x.note("%s", map[bool]string{true: "away", false: "back"}[x.d.sessions() == 0])
	}
}

func undecryptable(x *exhibit) {
	s := serve(x.t)
	x.begin()
	x.connect("127.0.0.1", s.port, app, user, testKey)
	p, _ := s.registered()
	p.write(mustKey(x.t, wrongKey).AppendFrame(nil, []byte(`{"topic":"x"}`)))
	if !x.ours() {
		x.event()
	}
	x.tries(s.ln)
}

func ends(x *exhibit) {
	for _, end := range []string{"shutdown", "release"} {
		x.begin()
		x.toDaemon(user)
		x.step(end, "1")
		x.step("sleep", "300")
	}
}

func shutdownAfterLoss(x *exhibit) {
	s := serve(x.t)
	x.begin()
	x.connect("127.0.0.1", s.port, app, user, testKey)
	p, _ := s.registered()
	p.end()
	if x.ours() {
		s.registered()
	} else {
		x.event()
	}
	if x.step("shutdown", "1") && x.step("sleep", "100") {
		x.note("fine")
	}
}

func shutdownTwice(x *exhibit) {
	x.begin()
	x.toDaemon(user)
	if !x.step("shutdown", "1") || !x.step("sleep", "300") || !x.step("shutdown", "1") || !x.step("sleep", "100") {
		return
	}
	x.note("fine")
	x.connect("127.0.0.1", x.d.tcp, x.d.ID, user, x.d.ClientKey)
}

func connectTwice(x *exhibit) {
	x.begin()
	x.toDaemon("first")
	x.connect("127.0.0.1", x.d.tcp, x.d.ID, "second", x.d.ClientKey)
	want := 1
	if !x.ours() {
		want = 2
	}
	x.d.eventually(fmt.Sprintf("%d sessions", want),
		func() bool { users := x.d.users(); return len(users) == want && slices.Contains(users, "second") })
	x.note("%d sessions", want)
}

func twoObjects(x *exhibit) {
	x.begin()
	x.toDaemon("first")
	x.step("new", "2")
	x.step("connect", "2", "127.0.0.1", x.d.tcp, x.d.ID, ib, "second", "Отдел", x.d.ClientKey)
	x.d.eventually("two sessions", func() bool { return x.d.sessions() == 2 })
	if !x.step("release", "1") || !x.step("sleep", "300") {
		return
	}
	x.d.eventually("the end of one session", func() bool { return x.d.sessions() < 2 })
	x.note("left: %s", strings.Join(x.d.users(), " "))
}

func unloaded(x *exhibit) {
	x.begin()
	for range 5 {
		if !x.toDaemon(user) || !x.step("release", "1") || !x.step("unload") || !x.step("sleep", "50") || !x.step("load") ||
			!x.step("new", "1") {
			return
		}
		x.note("unloaded")
		x.d.eventually("the end of the session", func() bool { return x.d.sessions() == 0 })
	}
}

func group(x *exhibit) {
	x.begin()
	x.toDaemon(user)
	var sent struct{ Sessions int }
	x.d.json(&sent, "send", "--app", x.d.ID, "--ib", ib, "--group", "Отдел", "--title", "группе")
	x.note("%d sessions", sent.Sessions)
	if sent.Sessions > 0 {
		x.event()
	}
}

func emoji(x *exhibit) {
	x.begin()
	x.toDaemon(user)
	x.d.json(nil, "send", "--app", x.d.ID, "--ib", ib, "--all", "--title", "😀")
	x.event()
}

func large(x *exhibit) {
	const want = 901322
	s := serve(x.t)
	x.begin()
	x.connect("127.0.0.1", s.port, app, user, testKey)
	p, _ := s.registered()
	text := `{"topic":"` + strings.Repeat("ж", (want-12)/2) + `"}`
	p.send(text)
	if !x.event() {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.events[0] == text {
		x.said, x.events = append(x.said, "whole"), nil
	}
}

func addresses(x *exhibit) {
	x.begin()
	x.connect("127.0.0.1", freePort(x.t)+",127.0.0.1:"+x.d.tcp, x.d.ID, user, x.d.ClientKey)
	x.step("error", "1")
	if x.ours() {
		x.d.eventually("a session", func() bool { return x.d.sessions() == 1 })
		x.note("a session")
	}
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		x.t.Skip("there is no IPv6 here")
	}
	defer ln.Close()
	x.begin()
	x.connect("::1", ln.Addr().String()[len("[::1]:"):], app, user, testKey)
	x.step("error", "1")
	if x.ours() {
		(&service{t: x.t, key: mustKey(x.t, testKey), ln: ln}).registered()
		x.note("a session")
	}
}

// needs notes the newest version of glibc and the libraries that a file asks for.
func needs(x *exhibit) {
	if len(runner) > 0 {
		file, err := pe.Open(x.file)
		if err != nil {
			x.t.Fatal(err)
		}
		defer file.Close()
		symbols, err := file.ImportedSymbols() // of the form Function:LIBRARY
		if err != nil {
			x.t.Fatal(err)
		}
		libraries := map[string]bool{}
		for _, symbol := range symbols {
			_, library, _ := strings.Cut(symbol, ":")
			if !libraries[library] {
				libraries[library] = true
				x.seen = append(x.seen, library)
			}
		}
		slices.Sort(x.seen)
		return
	}
	file, err := elf.Open(x.file)
	if err != nil {
		x.t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.ImportedSymbols()
	if err != nil {
		x.t.Fatal(err)
	}
	libraries, err := file.ImportedLibraries()
	if err != nil {
		x.t.Fatal(err)
	}
	slices.Sort(libraries)
	newest := 0
	for _, symbol := range symbols {
		var minor int
		if n, _ := fmt.Sscanf(symbol.Version, "GLIBC_2.%d", &minor); n == 1 {
			newest = max(newest, minor)
		}
	}
	x.seen = append([]string{fmt.Sprintf("GLIBC_2.%d", newest)}, libraries...)
}
