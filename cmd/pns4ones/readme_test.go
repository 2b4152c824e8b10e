package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// readmes are README.md and its Russian twin.
var readmes = map[string]string{"en": "README.md", "ru": "packaging/doc/readme.ru.md"}

// shBlocks returns the commands of a page: its sh blocks.
func shBlocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestReadme runs every command of README.md and of its twin in the order of the page,
// as a newcomer would: the daemon in one terminal, the session in a second one, the
// rest in a third. What differs from the page: programs, ports and the daemon's files
// are of the test's own, and «go test» is not run within itself. Nothing may be left in
// the checkout: the commands handle keys.
func TestReadme(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the commands of README.md need %s", tool)
		}
	}
	before, programs := checkout(t), t.TempDir()
	for lang, page := range readmes {
		t.Run(lang, func(t *testing.T) { followReadme(t, lang, page, programs) })
	}
	for _, name := range checkout(t) {
		if !slices.Contains(before, name) {
			t.Errorf("the commands of README.md leave %s in the checkout", name)
		}
	}
}

// checkout lists what is in the folder that the commands of README.md are run in.
func checkout(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// followReadme does what a page says; the programs are built once for all pages.
func followReadme(t *testing.T, lang, page, programs string) {
	folder := t.TempDir()
	env := append(os.Environ(), "PNS4ONES_LANG="+lang,
		"PNS4ONES_LISTEN=localhost:0", "PNS4ONES_SERVICE=localhost:0",
		"PNS4ONES_DATA_DIR="+folder, "PNS4ONES_CONTROL="+filepath.Join(folder, "control.sock"),
		"GOTMPDIR="+t.TempDir()) // «go run» is killed, and leaves what it has there
	// On a busy machine building takes as long as it takes.
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	if end, bounded := t.Deadline(); bounded {
		ctx, cancel = context.WithDeadline(ctx, end.Add(-10*time.Second))
	}
	defer cancel()

	var sendersPort string
	var sent []string // what the session has to get, as it stands in the message
	var listener *terminal
	ran := 0
	for _, block := range shBlocks(t, page) {
		for _, command := range commands(block) {
			ran++
			script := strings.NewReplacer(
				"go build -o . ", "go build -o "+programs+" ",
				"./pns4ones", programs+"/pns4ones",
				"localhost:36696", "localhost:"+sendersPort,
			).Replace(command)
			switch {
			case strings.HasPrefix(command, "go test"):
			case strings.HasPrefix(command, "go build") && built(programs):
			case strings.HasPrefix(command, "go run ./cmd/pns4ones"):
				daemon := openTerminal(ctx, t, env, script)
				sendersPort = regexp.MustCompile(`localhost:(\d+) \(HTTP\)`).FindStringSubmatch(daemon.waitFor(`localhost:\d+ \(HTTP\)`))[1]
				daemon.waitFor(` create "`)
			case strings.Contains(command, "pns4onesadmin listen"):
				listener = openTerminal(ctx, t, env, script)
				listener.waitFor(`(?i)waiting|сообщени`)
			default:
				out := run(ctx, t, env, folder, script)
				if !strings.Contains(command, "curl -i") {
					continue
				}
				if !strings.Contains(out, "X-Delivered-Sessions: 1") {
					t.Errorf("the sender's answer does not name one session:\n%s", out)
				}
				for _, text := range regexp.MustCompile(`"(?:Title|Body)": "([^"]+)"`).FindAllStringSubmatch(command,
					-1) {
					sent = append(sent, text[1])
				}
			}
		}
	}
	if ran < 15 {
		t.Fatalf("only %d commands were found in %s", ran, page)
	}
	if len(sent) != 2 {
		t.Fatalf("%s sends %q, expected a title and a body", page, sent)
	}
	for _, text := range sent {
		listener.waitFor(regexp.QuoteMeta(text))
	}
}

func built(programs string) bool {
	_, err := os.Stat(filepath.Join(programs, "pns4onesadmin"))
	return err == nil
}

// commands splits a block: a line that goes on, in quotes or after a backslash,
// belongs to its command.
func commands(block string) []string {
	var all []string
	var current strings.Builder
	for line := range strings.Lines(block) {
		current.WriteString(line)
		text := current.String()
		if strings.Count(text, "'")%2 == 0 && !strings.HasSuffix(strings.TrimRight(line, "\n"), `\`) {
			if strings.TrimSpace(text) != "" {
				all = append(all, strings.TrimSpace(text))
			}
			current.Reset()
		}
	}
	return all
}

// run executes one command in the repository's root. Variables that it sets are
// kept for the commands that follow, as in one terminal.
func run(ctx context.Context, t *testing.T, env []string, folder, command string) string {
	t.Helper()
	state := filepath.Join(folder, "variables")
	script := fmt.Sprintf("set -euo pipefail\n[ ! -e %[1]s ] || . %[1]s\n%[2]s\ndeclare -p KEY TOKEN >%[1]s 2>/dev/null || true\n", state, command)
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = "../..", env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", command, err, out)
	}
	return string(out)
}

// terminal is a command that goes on running, and what it has printed.
type terminal struct {
	t    *testing.T
	ctx  context.Context
	mu   sync.Mutex
	out  bytes.Buffer
	more chan struct{} // told after each line
}

func openTerminal(ctx context.Context, t *testing.T, env []string, command string) *terminal {
	t.Helper()
	// In a process group of its own, so that what the command starts ends with it.
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir, cmd.Env = "../..", env
	ownGroup(cmd)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		endGroup(cmd)
		cmd.Wait()
		writer.Close()
	})
	term := &terminal{t: t, ctx: ctx, more: make(chan struct{}, 1)}
	go func() {
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			term.mu.Lock()
			fmt.Fprintln(&term.out, lines.Text())
			term.mu.Unlock()
			select {
			case term.more <- struct{}{}:
			default:
			}
		}
	}()
	return term
}

// waitFor waits until what was printed matches, and returns the match.
func (term *terminal) waitFor(pattern string) string {
	term.t.Helper()
	expression := regexp.MustCompile(pattern)
	for {
		term.mu.Lock()
		text := term.out.String()
		term.mu.Unlock()
		if match := expression.FindString(text); match != "" {
			return match
		}
		select {
		case <-term.more:
		case <-term.ctx.Done():
			term.t.Fatalf("did not print %s:\n%s", pattern, text)
		}
	}
}
