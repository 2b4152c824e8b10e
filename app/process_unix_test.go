//go:build unix

package app_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
)

// What can only be shown by a process of its own, which is killed or has its rights
// taken away, runs in this test binary again, with its role in the environment.
const roleVariable = "APP_TEST_ROLE"

var roles = map[string]func(path string) error{
	"create apps until killed": createUntilKilled,
	"run out of space":         runOutOfSpace,
	"open without permission":  openWithoutPermission,
}

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := roles[role](os.Getenv("APP_TEST_PATH")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func process(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	// Under -race, a process would wait a second at its end.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "APP_TEST_PATH="+path, "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestKilledProcessLosesNoAcknowledgedApp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "pns4ones.db")
	var acknowledged []string
	const rounds = 12
	for range rounds {
		acknowledged = append(acknowledged, createAndKill(t, path, rand.IntN(20))...)
		r := open(t, path, app.Options{})
		for _, id := range acknowledged {
			get(t, r, id)
		}
		if n := len(r.List()) - len(acknowledged); n < 0 || n > rounds {
			t.Errorf("%d apps that nobody was told of", n)
		}
		closeRegistry(t, r)
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged in any round")
	}
}

// createAndKill lets a process create apps, kills it once it has acknowledged n, and
// returns the ids of all it had.
func createAndKill(t *testing.T, path string, n int) (ids []string) {
	t.Helper()
	cmd := process(t, "create apps until killed", path)
	cmd.Stderr = os.Stderr
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		if len(ids) == n {
			cmd.Process.Kill() // in the middle of what comes next; what it has printed is still read
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		ids = append(ids, strings.TrimSpace(line))
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process was not killed: %v", err)
	}
	return ids
}

func createUntilKilled(path string) error {
	r, err := app.Open(path, app.Options{})
	if err != nil {
		return err
	}
	for {
		a, err := r.Create("a")
		if err != nil {
			return err
		}
		fmt.Println(a.ID)
	}
}

func TestChangeThatCannotBeStoredIsNotVisible(t *testing.T) {
	t.Parallel()
	if out, err := process(t, "run out of space", dbPath(t)).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// runOutOfSpace limits the size of files for this process, first so that the
// database cannot grow, then so that none of its pages can be written but the metas.
func runOutOfSpace(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	told := 0
	r, err := app.Open(path, app.Options{Changed: func(string, *app.App) { told++ }})
	if err != nil {
		return err
	}
	a, err := r.Create("first")
	if err != nil {
		return err
	}
	token, err := r.Authorize(a.ServerKeys[0].Key, time.Hour)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	created := 1
	err = withFileLimit(info.Size(), func() error {
		for ; created < 1000; created++ {
			if _, err := r.Create("more"); err != nil {
				return wantTooLarge("create", err)
			}
		}
		return errors.New("the database never had to grow")
	})
	if err != nil {
		return err
	}
	err = withFileLimit(int64(2*os.Getpagesize()), func() error {
		return errors.Join(
			wantTooLarge("create", second(r.Create("more"))),
			wantTooLarge("rename", second(r.Rename(a.ID, "other"))),
			wantTooLarge("server key", second(r.RotateServerKey(a.ID, 0))),
			wantTooLarge("remove", r.Remove(a.ID)),
			wantTooLarge("import", second(r.Import(strings.NewReader(entryA)))),
		)
	})
	if err != nil {
		return err
	}
	if n := len(r.List()); n != created || told != created {
		return fmt.Errorf("%d changes were acknowledged, %d are visible, %d were told", created, n, told)
	}
	if got, err := r.CheckToken(token.Value); got != a || err != nil {
		return fmt.Errorf("after changes that failed: %v: %w", got, err)
	}
	if _, err := r.Create("last"); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	before := r.List()
	if err := r.Close(); err != nil {
		return err
	}
	if r, err = app.Open(path, app.Options{}); err != nil {
		return err
	}
	if !reflect.DeepEqual(r.List(), before) {
		return errors.New("after reopening, the apps are others")
	}
	return r.Close()
}

func wantTooLarge(what string, err error) error {
	// bbolt does not pass on which error it was, only its text.
	if err == nil || !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		return fmt.Errorf("%s: got %v, want %w", what, err, syscall.EFBIG)
	}
	return nil
}

func withFileLimit(bytes int64, do func() error) error {
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		return err
	}
	limit := was
	limit.Cur = uint64(bytes)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return errors.Join(do(), syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was))
}

func TestOpenWithoutPermission(t *testing.T) {
	t.Parallel()
	const missing, made = false, true
	for _, c := range []struct {
		name         string
		file         bool
		folder, mode fs.FileMode // the mode is that of the file
	}{
		{"folder may not be written", missing, 0o500, 0},
		{"folder may not be entered", missing, 0o400, 0},
		{"folder may not be entered, file is there", made, 0o400, 0o600},
		{"file may not be read", made, 0o700, 0o200},
		{"file may not be written", made, 0o700, 0o400},
	} {
		t.Run(c.name, func(t *testing.T) {
			above := t.TempDir()
			folder := filepath.Join(above, "data")
			path := filepath.Join(folder, "pns4ones.db")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.Chmod(folder, 0o700) })
			var before fileState
			if c.file {
				closeRegistry(t, open(t, path, app.Options{}))
				before = fingerprint(t, path)
				before.mode = c.mode
			}
			if os.Getuid() == 0 { // which may do anything; the process becomes someone who may not
				for _, name := range []string{filepath.Dir(above), above, folder, path} {
					if err := os.Chown(name, nobody, nobody); err != nil && (c.file || name != path) {
						t.Fatal(err)
					}
				}
			}
			if c.file {
				if err := os.Chmod(path, c.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(folder, c.folder); err != nil {
				t.Fatal(err)
			}
			if out, err := process(t, "open without permission", path).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			if err := os.Chmod(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			if left := must[[]os.DirEntry](t)(os.ReadDir(folder)); c.file != (len(left) == 1) {
				t.Errorf("in the folder: %v", left)
			}
			if c.file && os.Getuid() == 0 && fingerprint(t, path) != before {
				t.Error("the file changed")
			}
		})
	}
}

const nobody = 65534

func openWithoutPermission(path string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	_, err := app.Open(path, app.Options{})
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("got %v, want fs.ErrPermission", err)
	}
	if n := strings.Count(err.Error(), path); n != 1 {
		return fmt.Errorf("the error says the path %d times: %w", n, err)
	}
	if _, err := app.Look(path); !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look: got %v, want fs.ErrPermission", err)
	}
	return nil
}
