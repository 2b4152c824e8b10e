package socket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/Microsoft/go-winio"
)

// TestDialTrustsItsOwnPipeOnly: whoever runs the client may run the daemon by hand. A pipe
// that was given to Everybody by its owner is nobody's to trust.
func TestDialTrustsItsOwnPipeOnly(t *testing.T) {
	path := fmt.Sprintf(`\\.\pipe\pns4ones-test-%d`, os.Getpid())
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Dial(ctx, path)
	if err != nil {
		t.Fatalf("its own pipe: %v", err)
	}
	conn.Close()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	// The owner Everybody can be given by an account with the right to restore files.
	if err := winio.EnableProcessPrivileges([]string{"SeRestorePrivilege"}); err != nil {
		t.Skipf("a pipe of another owner cannot be made here: %v", err)
	}
	foreign, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: "O:WDD:P(A;;GA;;;WD)"})
	if err != nil {
		t.Skipf("a pipe of another owner cannot be made here: %v", err)
	}
	defer foreign.Close()
	if conn, err := Dial(ctx, path); !errors.Is(err, ErrForeign) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("a pipe of Everybody: %v, want %v", err, ErrForeign)
	}
}
