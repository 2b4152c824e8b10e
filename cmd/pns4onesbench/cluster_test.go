//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// shortFolder is where the program makes what it needs: paths of sockets are short.
func shortFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "b")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	t.Setenv("TMPDIR", folder)
	return folder
}

// checkNothingLeft reports what the program has left in a folder, and processes that were
// started with what is there.
func checkNothingLeft(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		t.Errorf("%s was left", entry.Name())
	}
	commands, err := filepath.Glob("/proc/*/cmdline")
	if err != nil || len(commands) == 0 {
		t.Fatalf("%d processes: %v", len(commands), err)
	}
	for _, path := range commands {
		if command, err := os.ReadFile(path); err == nil && bytes.Contains(command, []byte(folder)) {
			t.Errorf("%s runs: %q", path, command)
		}
	}
}

// TestCluster runs a cluster with a few sessions. That messages reach them, and that none of
// them is lost in a hand-over, is checked by the scenario itself.
func TestCluster(t *testing.T) {
	natsPath := builtNATS(t)
	folder := shortFolder(t)
	for _, tt := range []struct {
		nodes, servers string
		has, lacks     string // figures
	}{
		{"2", "1", "cpu_with_session", "cpu_without_recipient lost_nats_killed"},
		{"3", "3", "cpu_without_recipient lost_nats_killed", ""},
	} {
		t.Run(tt.nodes+" nodes, "+tt.servers+" NATS servers", func(t *testing.T) {
			status, stdout, stderr := runBench(t, nil, "cluster", "--json", "--sessions", "20", "--runs", "1",
				"--nodes", tt.nodes, "--nats-servers", tt.servers, "--nats", natsPath)
			if status != exitDone {
				t.Fatalf("status %d: %s", status, stderr)
			}
			var report Report
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Scenarios) != 1 {
				t.Fatalf("%v\n%s", err, stdout)
			}
			var names []string
			for _, f := range report.Scenarios[0].Figures {
				checkFigure(t, f, 1)
				names = append(names, f.Name)
				if figureNames[f.Name] == "" {
					t.Errorf("%s has no name for people", f.Name)
				}
			}
			for _, name := range strings.Fields(tt.has) {
				if !slices.Contains(names, name) {
					t.Errorf("%s was not measured", name)
				}
			}
			for _, name := range strings.Fields(tt.lacks) {
				if slices.Contains(names, name) {
					t.Errorf("%s was measured", name)
				}
			}
			if versions := report.Machine.Versions; len(versions) != 4 {
				t.Errorf("NATS is not among the versions: %q", versions)
			}
		})
	}
	checkNothingLeft(t, folder)
}

// TestClusterIsInterrupted ends the program while a cluster runs: neither processes nor files
// are left.
func TestClusterIsInterrupted(t *testing.T) {
	natsPath := builtNATS(t)
	folder := shortFolder(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	watched := make(chan int)
	go func() {
		running := 0
		for again := time.Tick(5 * time.Millisecond); ctx.Err() == nil; {
			select {
			case <-again:
			case <-ctx.Done():
			}
			if sockets, _ := filepath.Glob(filepath.Join(folder, "*", "control.sock")); len(sockets) >= 2 {
				running = len(sockets)
				interrupt()
			}
		}
		watched <- running
	}()
	var said bytes.Buffer
	status := run(ctx, &bench{
		args:   []string{"cluster", "--daemon", daemonPath, "--nats", natsPath, "--pin=false", "--quick", "--nodes", "2"},
		getenv: func(string) string { return "" },
		stdout: io.Discard,
		stderr: &said,
	})
	interrupt()
	if running := <-watched; running < 2 || status != exitFailed {
		t.Errorf("%d nodes ran, status %d: %s", running, status, said.String())
	}
	checkNothingLeft(t, folder)
}

// natsBuilder has built the nats-server of the tests as the program does by default.
var natsBuilder = bench{stderr: io.Discard}

func builtNATS(t *testing.T) string {
	t.Helper()
	if err := natsBuilder.findNATS(t.Context()); err != nil {
		t.Fatal(err)
	}
	return natsBuilder.natsPath
}
