package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestMain(m *testing.M) {
	plantFaults()
	testscript.Main(m, map[string]func(){"pns4ones": main})
}

// TestScripts runs the daemon's command line. In the scripts «refuses» runs a
// start that must fail: with status 1, and without a change to any file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			taken, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Defer(func() { taken.Close() })
			env.Setenv("TAKEN", taken.Addr().String())
			// Under the race detector a process would sleep for a second as it ends.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("PNS4ONES_LANG", "en")
			env.Setenv("PNS4ONES_LISTEN", "127.0.0.1:0")
			env.Setenv("PNS4ONES_SERVICE", "127.0.0.1:0")
			env.Setenv("PNS4ONES_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			env.Setenv("PNS4ONES_CONTROL", filepath.Join(env.WorkDir, "data", "control.sock"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":         exits,
			"refuses":       refuses,
			"newerdatabase": makeNewerDatabase,
			"certificate":   makeCertificate,
			"halfdatabase":  makeHalfDatabase,
		},
	})
}

// exits runs a command that must end with the given status.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("it ended with %v, want exit status %s", err, args[0])
	}
}

func refuses(ts *testscript.TestScript, _ bool, args []string) {
	before := listing(ts)
	err := ts.Exec("pns4ones", args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		ts.Fatalf("it ended with %v, want exit status 1", err)
	}
	if after := listing(ts); after != before {
		ts.Fatalf("files were changed from\n%s\nto\n%s", before, after)
	}
}

// listing is what is in the script's folder, with sizes and times.
func listing(ts *testscript.TestScript) string {
	var b strings.Builder
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || path == filepath.Join(root, ".tmp") {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		return nil
	}))
	return b.String()
}

// makeNewerDatabase writes a database of a version that does not exist yet.
func makeNewerDatabase(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
	db, err := bbolt.Open(path, 0o600, nil)
	ts.Check(err)
	ts.Check(db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("apps")); err != nil {
			return err
		}
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return meta.Put([]byte("schema_version"), []byte("999"))
	}))
	ts.Check(db.Close())
}

// makeHalfDatabase writes a database of which one meta page is damaged.
func makeHalfDatabase(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	apps, err := app.Open(path, app.Options{})
	ts.Check(err)
	_, err = apps.Create("a")
	ts.Check(err)
	ts.Check(apps.Close())
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	_, err = file.WriteAt(make([]byte, 100), 0)
	ts.Check(err)
	ts.Check(file.Close())
}

// makeCertificate has openssl write NAME.crt and NAME.key.
func makeCertificate(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes",
		"-subj", "/CN=localhost", "-days", "365", "-keyout", name+".key", "-out", name+".crt").CombinedOutput()
	if err != nil {
		ts.Fatalf("openssl: %v\n%s", err, out)
	}
}

// start starts the daemon as a process of its own and returns when it serves.
func start(t *testing.T, folder string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// testscript.Main puts the daemon's name on the PATH; this test binary under
	// that name is the daemon.
	link := filepath.Join(t.TempDir(), "pns4ones")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(link)
	cmd.Env = append(os.Environ(), "PNS4ONES_LANG=en", "PNS4ONES_LISTEN=127.0.0.1:0", "PNS4ONES_SERVICE=127.0.0.1:0",
		"PNS4ONES_DATA_DIR="+folder, "PNS4ONES_CONTROL="+filepath.Join(folder, "control.sock"))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if regexp.MustCompile(`^  Control:`).MatchString(lines.Text()) {
			return cmd
		}
	}
	t.Fatal("the daemon did not start")
	return nil
}

// TestKeepsEveryAcknowledgedAppThroughKill kills the daemon with SIGKILL while
// apps are being created, several times over.
func TestKeepsEveryAcknowledgedAppThroughKill(t *testing.T) {
	folder := t.TempDir()
	ctx := context.Background()
	client := control.NewClient(filepath.Join(folder, "control.sock"))
	acknowledged := make(map[string]bool)
	for round := range 5 {
		daemon := start(t, folder)
		enough := make(chan struct{})
		killed := make(chan struct{})
		go func() {
			<-enough
			daemon.Process.Kill()
			close(killed)
		}()
		for n := 0; ; n++ {
			if n == 20+7*round {
				close(enough) // the loop goes on meanwhile
			}
			a, err := client.CreateApp(ctx, fmt.Sprintf("app %d of round %d", n, round))
			if err != nil {
				break
			}
			acknowledged[a.ID] = true
		}
		<-killed
		daemon.Wait()
		client.Close()
	}
	start(t, folder)
	apps, err := client.Apps(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range apps {
		delete(acknowledged, a.ID)
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged apps are gone", len(acknowledged))
	}
}
