package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/pns4ones/pns4ones/config/files/filestest"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// callerVariable makes the test binary call the channel it names, and print what
// came of it.
const callerVariable = "PNS4ONES_TEST_CALL"

func TestMain(m *testing.M) {
	path := os.Getenv(callerVariable)
	if path == "" {
		os.Exit(m.Run())
	}
	_, err := control.NewClient(path).Status(context.Background())
	if e, ok := errors.AsType[*control.ConnectError](err); ok {
		fmt.Printf("connect %d %s", e.Kind, e.Group)
	} else if e, ok := errors.AsType[*control.Error](err); ok {
		fmt.Printf("refused %d %s %s", e.Status, e.Code, e.Message)
	} else {
		fmt.Print(err)
	}
	os.Exit(0)
}

// callAs calls the channel from a process of another user. Tests that need it run
// as root only.
func callAs(t *testing.T, path string, who *syscall.Credential) string {
	t.Helper()
	c := exec.Command("/proc/self/exe")
	c.Env = []string{callerVariable + "=" + path, "GORACE=atexit_sleep_ms=0"}
	c.Dir = "/"
	c.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	out, err := c.Output()
	if err != nil {
		t.Fatalf("calling as %+v: %v", who, err)
	}
	return string(out)
}

func TestOtherUsersAreAdmittedByGroupOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can call as other users")
	}
	t.Parallel()
	const socketGroup = 54321
	path := filepath.Join(filestest.OpenFolder(t), "s")
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	// A group that has no name, so that the test needs none on the machine: the
	// channel keeps the group that its folder hands on.
	if err := errors.Join(os.Chown(filepath.Dir(path), 0, socketGroup),
		os.Chmod(filepath.Dir(path), 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	if ln, err = socket.Listen(path); err != nil {
		t.Fatal(err)
	}
	d := serve(t, path, ln, nil)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	gid := info.Sys().(*syscall.Stat_t).Gid
	const done = "<nil>"
	stranger := &syscall.Credential{Uid: 65534, Gid: 65534}
	denied := fmt.Sprintf("connect %d ", control.ConnectDenied)
	refused := fmt.Sprintf("refused %d %s user ", http.StatusForbidden, control.CodeForbidden)

	for name, test := range map[string]struct {
		who  *syscall.Credential
		want string
	}{
		"a stranger":          {stranger, denied},
		"primary group":       {&syscall.Credential{Uid: 54322, Gid: gid}, done},
		"supplementary group": {&syscall.Credential{Uid: 54322, Gid: 54322, Groups: []uint32{4, gid}}, done},
		"root without groups": {&syscall.Credential{Uid: 0, Gid: 65534}, done},
	} {
		if got := callAs(t, path, test.who); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if got := callAs(t, path, stranger); got == denied {
		t.Errorf("%q does not name the group", got)
	}

	// The mode alone would let everybody in; the peer check does not.
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, groups := range [][]uint32{nil, {4, 5}, many(40)} {
		who := &syscall.Credential{Uid: 65534, Gid: 65534, Groups: groups}
		if got := callAs(t, path, who); !strings.HasPrefix(got, refused) {
			t.Errorf("a stranger past the mode: %s, want %s", got, refused)
		}
	}
	d.log.Line(t, "level=WARN", "control request refused", "uid=65534")
	who := &syscall.Credential{Uid: 65534, Gid: 65534, Groups: append(many(40), gid)}
	if got := callAs(t, path, who); got != done {
		t.Errorf("a member among many groups: %s", got)
	}
}

// many returns n groups that nobody has.
func many(n int) []uint32 {
	groups := make([]uint32, n)
	for i := range groups {
		groups[i] = 60000 + uint32(i)
	}
	return groups
}
