package prove

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

// The same with the real daemon.

// programs is where the daemon and its admin program are, once a test has built them.
var programs string

var build = sync.OnceValue(func() (err error) {
	if programs, err = os.MkdirTemp("", "pns4ones-prove"); err != nil {
		return err
	}
	const cmd = "../../../../cmd/"
	out, err := exec.Command("go", "build", "-o", programs, cmd+"pns4ones", cmd+"pns4onesadmin").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

// daemon is a running pns4ones with an app.
type daemon struct {
	t         *testing.T
	folder    string
	http, tcp string // ports
	command   *exec.Cmd
	ID        string `json:"id"`
	ServerKey string `json:"server_key"`
	ClientKey string `json:"client_key"`
}

func startDaemon(t *testing.T, settings ...string) *daemon {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, folder: t.TempDir(), http: freePort(t), tcp: freePort(t)}
	d.start(settings...)
	t.Cleanup(func() { d.stop(syscall.SIGKILL) })
	d.json(d, "create", "proof")
	return d
}

func (d *daemon) start(settings ...string) {
	d.t.Helper()
	arguments := append([]string{"-listen", "127.0.0.1:" + d.http, "-service", "127.0.0.1:" + d.tcp, "-data_dir", d.folder,
		"-control", filepath.Join(d.folder, "control.sock")}, settings...)
	d.command = exec.Command(filepath.Join(programs, "pns4ones"), arguments...)
	log, err := os.OpenFile(filepath.Join(d.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	d.command.Stdout, d.command.Stderr = log, log
	d.command.Env = append(os.Environ(), "XDG_CONFIG_HOME="+d.folder, "PNS4ONES_LANG=en")
	if err := d.command.Start(); err != nil {
		d.t.Fatal(err)
	}
	deadline := time.Now().Add(patience)
	for {
		if _, err := d.try("status"); err == nil {
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(filepath.Join(d.folder, "log"))
			d.t.Fatalf("the daemon does not start:\n%s", text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (d *daemon) stop(signal os.Signal) {
	d.command.Process.Signal(signal)
	d.command.Wait()
}

func (d *daemon) try(arguments ...string) ([]byte, error) {
	arguments = append([]string{"--control", filepath.Join(d.folder, "control.sock"), "--lang", "en", "--json"},
		arguments...)
	var out, complaints bytes.Buffer
	c := exec.Command(filepath.Join(programs, "pns4onesadmin"), arguments...)
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", arguments, err, complaints.String())
	}
	return out.Bytes(), nil
}

func (d *daemon) json(into any, arguments ...string) {
	d.t.Helper()
	out, err := d.try(arguments...)
	if err != nil {
		d.t.Fatal(err)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		d.t.Fatalf("%v: %v: %s", arguments, err, out)
	}
}

// send sends by HTTP as a 1C server does, and wants a number of sessions.
func (d *daemon) send(want int, title string, to ...string) {
	d.t.Helper()
	var sent struct{ Sessions int }
	arguments := append([]string{
		"send", "--http", "http://127.0.0.1:" + d.http, "--server-key", d.ServerKey, "--ib", ib, "--title", title,
	}, to...)
	d.json(&sent, arguments...)
	if sent.Sessions != want {
		d.t.Fatalf("%s: %d sessions, want %d", title, sent.Sessions, want)
	}
}

// users are those of the sessions that are connected.
func (d *daemon) users() []string {
	d.t.Helper()
	var sessions []control.Session
	d.json(&sessions, "sessions")
	var users []string
	for _, s := range sessions {
		users = append(users, s.UserID)
	}
	return users
}

// sessions is the number of those that are connected.
func (d *daemon) sessions() int {
	d.t.Helper()
	var status struct{ Sessions int }
	d.json(&status, "status")
	return status.Sessions
}

// eventually waits until a condition holds.
func (d *daemon) eventually(what string, holds func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(2 * patience); !holds(); {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s did not happen", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (d *daemon) connect(h *host, object, user, group string) {
	d.t.Helper()
	h.expect("true", "connect", object, "127.0.0.1", d.tcp, d.ID, ib, user, group, d.ClientKey)
	h.state(object, "connected")
}

func (h *host) title(object, want string) {
	h.t.Helper()
	var message struct{ Notification struct{ Title string } }
	e := h.event(object)
	if json.Unmarshal([]byte(e.Data), &message) != nil || message.Notification.Title != want {
		h.t.Fatalf("event %+v, want title %s", e, want)
	}
}

func TestDaemonDelivers(t *testing.T) {
	h := load(t)
	d := startDaemon(t)
	h.do("new", "1")
	h.do("new", "2")
	h.expect("true", "set", "1", "Groups", "Склад")
	d.connect(h, "1", "ann", "Менеджеры")
	d.connect(h, "2", "bob", "")
	d.send(1, "to ann", "--user", "ann")
	h.title("1", "to ann")
	d.send(1, "to a group", "--group", "Менеджеры")
	h.title("1", "to a group")
	d.send(2, "to all 😀 𠜎", "--all")
	h.title("1", "to all 😀 𠜎")
	h.title("2", "to all 😀 𠜎")
	h.expect("true", "release", "1")
	d.eventually("the end of one session", func() bool { return d.sessions() == 1 })
	d.send(1, "still there", "--all")
	h.title("2", "still there")
	h.expect("true", "release", "2")
}

// What the add-in says of itself is what an administrator sees, and further groups are
// reached.
func TestDaemonHearsOfTheClient(t *testing.T) {
	h := load(t)
	d := startDaemon(t)
	h.do("new", "1")
	h.expect("true", "set", "1", "Groups", ":utf16:"+utf16Words("Склад\nКасса 😀"))
	h.expect("true", "set", "1", "UserName", "Иванов Иван")
	h.expect("true", "set", "1", "InfobaseName", "Бухгалтерия")
	d.connect(h, "1", "ann", "Менеджеры")
	var sessions []control.Session
	d.json(&sessions, "sessions")
	if len(sessions) != 1 {
		t.Fatalf("%d sessions", len(sessions))
	}
	got := sessions[0]
	if got.UserName != "Иванов Иван" || got.IbName != "Бухгалтерия" || got.UserGroup != "Менеджеры" ||
		!slices.Equal(got.Groups, []string{"Склад", "Касса 😀"}) {
		t.Errorf("the daemon has heard %+v", got)
	}
	if !strings.HasPrefix(got.Agent, "pns4ones-addin/") || got.Host == "" {
		t.Errorf("agent %q, host %q", got.Agent, got.Host)
	}
	for _, group := range []string{"Менеджеры", "Склад", "Касса 😀"} {
		d.send(1, "to "+group, "--group", group)
		h.title("1", "to "+group)
	}
	h.expect("true", "release", "1")
}

func TestDaemonGoesAndComesBack(t *testing.T) {
	h := load(t)
	d := startDaemon(t)
	h.do("new", "1")
	d.connect(h, "1", "ann", "")
	for _, signal := range []os.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		d.stop(signal)
		h.state("1", "lost")
		d.start()
		h.state("1", "connected")
		d.send(1, "back", "--user", "ann")
		h.title("1", "back")
	}
	// An upgrade keeps the session: the add-in does not notice.
	before := h.do("get", "1", "Statistics")
	d.json(nil, "upgrade")
	d.send(1, "after the upgrade", "--user", "ann")
	h.title("1", "after the upgrade")
	reconnects := func(s string) string { return s[strings.Index(s, "reconnects"):strings.Index(s, "frames")] }
	if reconnects(before) != reconnects(h.do("get", "1", "Statistics")) {
		t.Error("the add-in has connected again over an upgrade")
	}
	h.expect("true", "release", "1")
	d.command.Wait()
	if out, err := d.try("status"); err == nil {
		var status struct{ PID int }
		if json.Unmarshal(out, &status) == nil && status.PID > 0 {
			syscall.Kill(status.PID, syscall.SIGKILL)
		}
	}
}

func TestDaemonRefuses(t *testing.T) {
	h := load(t)
	d := startDaemon(t)
	h.do("new", "1")
	h.expect("true", "connect", "1", "127.0.0.1", d.tcp, d.ID, ib, "ann", "", testKey)
	h.do("new", "2")
	h.expect("true", "connect", "2", "127.0.0.1", d.tcp, app, ib, "ann", "", d.ClientKey)
	for _, object := range []string{"1", "2"} {
		if e := h.event(object); !strings.HasPrefix(e.Data, `{"error": "Сервис уведомлений не принимает подключение`) {
			t.Errorf("object %s: %+v", object, e)
		}
		h.state(object, "refused")
		h.expect("null", "error", object)
		h.expect("true", "release", object)
	}
}

func TestDaemonRotatesKeys(t *testing.T) {
	h := load(t)
	d := startDaemon(t)
	h.do("new", "1")
	d.connect(h, "1", "ann", "")
	var renewed struct {
		ClientKey string `json:"client_key"`
	}
	d.json(&renewed, "upd_cli_key", d.ID, "--grace", "1h")
	d.send(1, "in grace", "--user", "ann")
	h.title("1", "in grace")
	d.json(&renewed, "upd_cli_key", d.ID) // without: the session ends, and nobody gets in
	if e := h.event("1"); !strings.Contains(e.Data, `"error": `) {
		t.Errorf("event %+v", e)
	}
	h.state("1", "refused")
	d.ClientKey = renewed.ClientKey
	d.connect(h, "1", "ann", "")
	d.send(1, "the new key", "--user", "ann")
	h.title("1", "the new key")
	h.expect("true", "release", "1")
}

// Two services have the same apps. Whichever ends, the add-in goes to the other one, and
// stays there.
func TestDaemonFailover(t *testing.T) {
	h := load(t)
	first := startDaemon(t)
	second := startDaemon(t)
	keys := filepath.Join(t.TempDir(), "keys")
	first.json(nil, "export", keys)
	second.json(nil, "import", keys)
	second.ID, second.ServerKey, second.ClientKey = first.ID, first.ServerKey, first.ClientKey
	h.do("new", "1")
	h.expect("true", "connect", "1", "127.0.0.1", first.tcp+",127.0.0.1:"+second.tcp, first.ID, ib, "ann", "",
		first.ClientKey)
	first.eventually("a session at the first", func() bool { return first.sessions() == 1 })
	first.send(1, "the first", "--user", "ann")
	h.title("1", "the first")
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		first.stop(signal)
		second.eventually("a session at the second", func() bool { return second.sessions() == 1 })
		second.send(1, "the second", "--user", "ann")
		h.title("1", "the second")
		first.start() // it is there again, and nobody goes back for that
		first.send(0, "nobody", "--user", "ann")
		second.send(1, "still the second", "--user", "ann")
		h.title("1", "still the second")
		first, second = second, first
	}
	h.expect("true", "release", "1")
	first.eventually("a goodbye", func() bool { return first.sessions() == 0 })
}

// Thousands of clients come back to a daemon that was away for two seconds, within half
// a minute, and at no time more at once than the system holds until they are accepted.
func TestDaemonIsRestartedUnderManyClients(t *testing.T) {
	if library == "" {
		t.Skip("no add-in")
	}
	const processes = 4
	each := scale(50, 500)
	d := startDaemon(t)
	var hosts []*host
	for i := range processes {
		h := load(t)
		h.do("quiet")
		h.expect(fmt.Sprint(each), "many", fmt.Sprint(i*each+1), fmt.Sprint(each), "127.0.0.1", d.tcp, d.ID, ib, "user",
			"Все", d.ClientKey)
		hosts = append(hosts, h)
	}
	longest, bound := 0, 0 // of the queue
	all := func() time.Duration {
		began := time.Now()
		d.eventually("the return of all", func() bool {
			waiting, most, drops := d.acceptQueue()
			longest, bound = max(longest, waiting), most
			if drops > 0 {
				t.Fatalf("%d connections found the queue full", drops)
			}
			return d.sessions() == processes*each
		})
		return time.Since(began)
	}
	all()
	d.stop(syscall.SIGKILL)
	time.Sleep(2 * time.Second) // the downtime that is to be proven
	d.start()
	took := all()
	t.Logf("%d clients are back %.1f s after the start; seen waiting to be accepted: %d, room for %d", processes*each,
		took.Seconds(), longest, bound)
	if took > 30*time.Second {
		t.Errorf("%v is longer than 30 s", took)
	}
	d.send(processes*each, "to everybody", "--group", "Все")
	for _, h := range hosts {
		for i := range each {
			h.do("release", fmt.Sprint(i+1+each*slices.Index(hosts, h)))
		}
	}
	d.eventually("goodbyes", func() bool { return d.sessions() == 0 })
}

// acceptQueue returns how many connections wait at the sessions' port to be accepted, how
// many may, and how many have found no room since the daemon listens.
func (d *daemon) acceptQueue() (waiting, most, drops int) {
	d.t.Helper()
	out, err := exec.Command("ss", "-Hltnm", "sport = :"+d.tcp).Output()
	if err != nil {
		d.t.Fatalf("ss: %v", err)
	}
	match := regexp.MustCompile(`^LISTEN +(\d+) +(\d+) (?s:.*)skmem:\(.*,d(\d+)\)`).FindSubmatch(out)
	if match == nil {
		return 0, 0, 0 // it does not listen yet
	}
	numbers := make([]int, 3)
	for i := range numbers {
		numbers[i], _ = strconv.Atoi(string(match[i+1]))
	}
	return numbers[0], numbers[1], numbers[2]
}
