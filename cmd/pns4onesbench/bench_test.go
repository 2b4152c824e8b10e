//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// daemonPath is the daemon that the tests measure, built for them.
var daemonPath string

func TestMain(m *testing.M) {
	// The limits are this program run again: so is this test binary.
	if len(os.Args) > 1 && os.Args[1] == limitCommand {
		if err := runLimit(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(withDaemon(m))
}

func withDaemon(m *testing.M) int {
	folder, err := os.MkdirTemp("", "pns4onesbench-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	daemonPath = filepath.Join(folder, "pns4ones")
	if said, err := exec.Command("go", "build", "-o", daemonPath, daemonPackage).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the daemon: %v\n%s", err, said)
		return 1
	}
	defer natsBuilder.forget()
	return m.Run()
}

// runBench runs the program's command line.
func runBench(t *testing.T, env map[string]string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	// As main does: the servers end with the thread that started them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out, diagnostics bytes.Buffer
	args = append([]string{"--daemon", daemonPath, "--pin=false", "--quick"}, args...)
	status = run(t.Context(), &bench{
		args:   args,
		getenv: func(name string) string { return env[name] },
		stdout: &out,
		stderr: &diagnostics,
	})
	return status, out.String(), diagnostics.String()
}

// TestScenarios runs each scenario with a few sessions of the real daemon. That
// every session received everything is checked by the scenarios themselves, which
// fail otherwise.
func TestScenarios(t *testing.T) {
	const runs = 2
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			args := []string{s.name, "--json", "--sessions", "50", "--runs", fmt.Sprint(runs), "--vs", daemonPath}
			if nats, err := exec.LookPath("nats-server"); err == nil {
				args = append(args, "--nats", nats)
			}
			status, stdout, stderr := runBench(t, nil, args...)
			if status != exitDone {
				t.Fatalf("status %d: %s", status, stderr)
			}
			var report Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil {
				t.Fatalf("%v\n%s", err, stdout)
			}
			if m := report.Machine; m.CPU == "" || m.Kernel == "" || m.MemoryBytes == 0 || len(m.Versions) < 3 {
				t.Errorf("the machine is not described: %+v", m)
			}
			if len(report.Scenarios) != 1 || len(report.Scenarios[0].Figures) == 0 {
				t.Fatalf("no figures:\n%s", stdout)
			}
			got := report.Scenarios[0]
			if got.Name != s.name || got.Runs != runs || got.FrameBytes < 400 || got.FrameBytes >= 400+aesBlock {
				t.Errorf("scenario %s, %d runs, frames of %d bytes", got.Name, got.Runs, got.FrameBytes)
			}
			for _, f := range got.Figures {
				checkFigure(t, f, runs)
			}
		})
	}
}

func checkFigure(t *testing.T, f *Figure, runs int) {
	t.Helper()
	if len(f.Values) == 0 || f.Values[0].Of != ofDaemon {
		t.Errorf("%s: the daemon's values are not the first: %+v", f.Name, f.Values)
	}
	for _, v := range f.Values {
		if len(v.Runs) != runs {
			t.Errorf("%s of %s: %d values, want %d", f.Name, v.Of, len(v.Runs), runs)
		}
		for _, value := range append(v.Runs, v.Median) {
			// A few sessions fit into memory that the process has already, and a post may be as quick
			// with a cluster as without.
			mayBeBelow := f.Name == "rss_per_session" || strings.HasSuffix(f.Name, "_more")
			if value < 0 && !mayBeBelow || value == 0 && !mayBeBelow && f.Unit != Count ||
				math.IsNaN(value) || math.IsInf(value, 0) {
				t.Errorf("%s of %s: %v", f.Name, v.Of, value)
			}
		}
	}
}

// TestTable runs a scenario for people.
func TestTable(t *testing.T) {
	status, stdout, stderr := runBench(t, nil, "broadcast", "--sessions", "20", "--runs", "1", "--awake")
	if status != exitDone {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{"One message to all", "20 sessions", "to the last session", "raw loop",
		"≤ 1.15× raw loop"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
}

// running starts a daemon for «carry».
func running(t *testing.T) *daemon {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	b := &bench{daemonPath: daemonPath, frameBytes: 400}
	d, err := b.startDaemon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.stop)
	return d
}

func carried(t *testing.T, stdout string) Carry {
	t.Helper()
	var report Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || report.Carry == nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	return *report.Carry
}

func TestCarry(t *testing.T) {
	d := running(t)
	keys := map[string]string{"PNS4ONES_SERVER_KEY": d.app.ServerKey, "PNS4ONES_CLIENT_KEY": d.app.ClientKey}
	service := fmt.Sprintf("127.0.0.1:%d", d.service.Port)
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
	}{
		{"through the control channel", nil, []string{"--control", d.control.Path(), "--app", d.app.Title}},
		{"with keys", keys, []string{"--app", d.app.ID, "--http", d.host, "--service", service}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := runBench(t, tt.env, append([]string{"carry", "--json", "--up-to", "120"},
				tt.args...)...)
			if status != exitDone {
				t.Fatalf("status %d: %s", status, stderr)
			}
			got := carried(t, stdout)
			if got.Carried != 120 || len(got.Steps) != 2 {
				t.Errorf("carried %d in %d steps", got.Carried, len(got.Steps))
			}
			for _, step := range got.Steps {
				if !step.Good || step.DeliveredShare != 1 || step.ConnectsASecond <= 0 || step.TimeToLast <= 0 ||
					step.LatencyP50 <= 0 || step.LatencyP99 < step.LatencyP50 {
					t.Errorf("%+v", step)
				}
			}
			for name, secret := range keys {
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("%s is shown", name)
				}
			}
		})
	}
}

// TestCarrySaysWhatIsWrong gives «carry» things it cannot work with.
func TestCarrySaysWhatIsWrong(t *testing.T) {
	d := running(t)
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	service := fmt.Sprintf("127.0.0.1:%d", d.service.Port)
	wrongKey := strings.Repeat("x", 64)
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no app", nil, exitUsage, "--app"},
		{"no daemon", []string{"--app", "x", "--control", filepath.Join(t.TempDir(), "none.sock")}, exitFailed,
			"no daemon"},
		{"wrong server key", []string{"--app", d.app.ID, "--http", d.host, "--service", service, "--server-key",
			wrongKey, "--client-key", d.app.ClientKey}, exitFailed, "401"},
		{"not the service", []string{"--app", d.app.ID, "--http", other.URL, "--service", service, "--server-key",
			wrongKey, "--client-key", d.app.ClientKey}, exitFailed, "404"},
		{"no sessions", []string{"--app", "x", "--up-to", "0"}, exitUsage, "above zero"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, stdout, stderr := runBench(t, nil, append([]string{"carry", "--up-to", "10"}, tt.args...)...)
			if status != tt.status || !strings.Contains(stderr, tt.want) {
				t.Errorf("status %d, want %d with %q: %s", status, tt.status, tt.want, stderr)
			}
			if strings.Contains(stdout+stderr, wrongKey) || strings.Contains(stdout+stderr, d.app.ClientKey) {
				t.Errorf("a key is shown: %s", stderr)
			}
		})
	}
}

// TestCarryNoticesTheEnd ends the sessions while they are being counted on.
func TestCarryNoticesTheEnd(t *testing.T) {
	d := running(t)
	b := &bench{stdout: io.Discard, stderr: io.Discard, frameBytes: 400, quick: true}
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	s, err := newSender(t.Context(), d.host, d.app.ServerKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.prepare(10); err != nil {
		t.Fatal(err)
	}
	l.packets = d.sessions.packets
	c := &carry{bench: b, loop: l, sender: s, within: patience}
	if step, err := c.step(t.Context(), d.service, 5); err != nil || !step.Good {
		t.Fatalf("%+v: %v", step, err)
	}
	sessions, err := d.control.Sessions(t.Context(), control.SessionQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.control.CloseSession(t.Context(), sessions.Sessions[0].ID, sessions.Sessions[0].Since); err != nil {
		t.Fatal(err)
	}
	if err := l.until(t.Context(), "the end of a session", func() bool { return l.closed == 1 }); err != nil {
		t.Fatal(err)
	}
	if step, err := c.step(t.Context(), d.service, 10); err == nil && step.Good {
		t.Errorf("a step with a closed session is good: %+v", step)
	}
}

// TestLoopTellsWhatDidNotArrive proves that a lost or doubled frame is noticed.
func TestLoopTellsWhatDidNotArrive(t *testing.T) {
	d := running(t)
	if err := d.open(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	l := d.sessions
	if _, err := deliver(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	l.want *= 2
	if err := l.exact(); err == nil {
		t.Error("half of the bytes are taken for all")
	}
	l.want /= 4
	if err := l.exact(); err == nil {
		t.Error("twice the bytes are taken for what was expected")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.expect(1)
	if err := l.until(ctx, "nothing", l.complete); err == nil {
		t.Error("what does not come is waited for although nobody wants it any more")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--bogus"}, {"broadcast", "extra"}, {"broadcast", "--runs", "0"},
		{"broadcast", "--sessions", "x"}, {"cluster", "--nodes", "1"}, {"cluster", "--nats-servers", "0"},
		{"cluster", "--runs", "0"}} {
		if status, _, stderr := runBench(t, nil, args...); status != exitUsage || stderr == "" {
			t.Errorf("%q: status %d: %s", args, status, stderr)
		}
	}
	status, stdout, _ := runBench(t, nil, "--help")
	for _, s := range append(slices.Clone(scenarios), clusterScenario, scenario{name: "carry"}, scenario{name: "all"}) {
		if status != exitDone || !strings.Contains(stdout, "\n  "+s.name+" ") {
			t.Errorf("the help does not mention %s:\n%s", s.name, stdout)
		}
	}
	if status, _, stderr := runBench(t, nil, "broadcast", "--sessions", "100000000"); status != exitFailed ||
		!strings.Contains(stderr, "open files") {
		t.Errorf("more sessions than descriptors: status %d: %s", status, stderr)
	}
	if status, _, stderr := runBench(t, nil, "broadcast", "--frame", "64", "--sessions", "1", "--runs",
		"1"); status != exitFailed || !strings.Contains(stderr, "too small") {
		t.Errorf("a frame that is too small: status %d: %s", status, stderr)
	}
}

// TestMessageHasTheSizeAskedFor compares with what the real codec makes.
func TestMessageHasTheSizeAskedFor(t *testing.T) {
	key, err := wire.ParseClientKey("IAAAABAAAAA" + strings.Repeat("A", 64) + "=")
	if err != nil {
		t.Fatal(err)
	}
	for size := 140; size < 5000; size += 7 {
		m, err := messageOf(size)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		frame := len(key.AppendFrame(nil, m.AppendJSON(nil)))
		if frame < size || frame >= size+aesBlock || frame != frameBytesOf(m) {
			t.Errorf("%d bytes: the frame has %d, is said to have %d", size, frame, frameBytesOf(m))
		}
		body, err := bodyOf(toUser(7), m)
		if err != nil {
			t.Fatal(err)
		}
		if to, _, err := wire.ParseRequest(body); err != nil || to != toUser(7) {
			t.Errorf("the body does not say what it is to: %+v, %v", to, err)
		}
	}
}

func TestReport(t *testing.T) {
	s := &Scenario{Name: "broadcast"}
	for run, daemons := range []float64{1, 2, 9} {
		s.note(ofDaemon, "time_to_last", Seconds, daemons)
		s.note(ofRaw, "time_to_last", Seconds, []float64{1, 1, 10}[run])
	}
	s.finish()
	f := s.Figures[0]
	// The ratios of the runs are 1, 2 and 0.9: their median is not that of the
	// medians.
	if f.Values[0].Median != 2 || f.Values[1].Median != 1 || f.Values[1].Ratio != 1 {
		t.Errorf("%+v", f.Values)
	}
	if len(f.Goals) != 1 || !f.Goals[0].Met {
		t.Errorf("%+v", f.Goals)
	}
	s.note(ofDaemon, "time_to_last", Seconds, 90)
	s.note(ofRaw, "time_to_last", Seconds, 10)
	s.finish()
	if f.Values[1].Ratio != 1.5 || f.Goals[0].Met {
		t.Errorf("the goal is still met: %+v, %+v", f.Values, f.Goals)
	}
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct {
		value float64
		unit  Unit
		want  string
	}{
		{0.1152, Seconds, "115 ms"},
		{0.0000094, Seconds, "9.40 µs"},
		{12.34, Seconds, "12.3 s"},
		{-0.00116, Seconds, "-1.16 ms"},
		{129_000, PerSecond, "129\u00a0000/s"},
		{3.5 * 1024, Bytes, "3.50 KiB"},
		{0.425, Share, "42 %"},
		{1.149, Ratio, "1.15"},
	} {
		if got := format(tt.value, tt.unit); got != tt.want {
			t.Errorf("%v %s: %q, want %q", tt.value, tt.unit, got, tt.want)
		}
	}
	if got := quantile([]float64{4, 1, 3, 2}, 0.5); got != 2 {
		t.Errorf("the median of four is %v", got)
	}
	if got := steps(1500); !slices.Equal(got, []int{100, 200, 500, 1000, 1500}) {
		t.Errorf("%v", got)
	}
}
