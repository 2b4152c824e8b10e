//go:build unix

package locale_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
)

func TestSaysErrorsOfTheSystemInTheLanguage(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{
		Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 36696},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
	missing := &fs.PathError{Op: "open", Path: "/etc/keys", Err: syscall.ENOENT}
	for name, c := range map[string]struct {
		err     error
		russian string
	}{
		"bare":   {syscall.ENOSPC, "нет места на диске"},
		"a file": {missing, "/etc/keys: нет такого файла или папки"},
		"a file, within": {fmt.Errorf("reading the keys: %w", missing),
			"reading the keys: /etc/keys: нет такого файла или папки"},
		"an address": {refused, "127.0.0.1:36696: в подключении отказано: по этому адресу никто не слушает"},
		"a call":     {os.NewSyscallError("bind", syscall.EADDRINUSE), "адрес занят другой программой"},
		"late": {fmt.Errorf("asking: %w", context.DeadlineExceeded),
			"asking: ответа нет, время ожидания вышло"},
		"a rename":      {&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EACCES}, "b: нет прав"},
		"in the middle": {fmt.Errorf("%w, and more", syscall.ENOENT), "no such file or directory, and more"},
		"rare":          {syscall.EXDEV, syscall.EXDEV.Error()},
		"ours":          {errors.New("bad luck"), "bad luck"},
	} {
		if got := locale.New(locale.Russian).Error(c.err); got != c.russian {
			t.Errorf("%s: %q, want %q", name, got, c.russian)
		}
		if got := locale.New(locale.English).Error(c.err); got != c.err.Error() {
			t.Errorf("%s: %q, want %q", name, got, c.err)
		}
	}
}
