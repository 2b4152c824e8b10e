package locale

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// The operating system says what is wrong in English; what people meet often is said in
// their language here. English texts, and so the logs, stay as the system has them.

// system says an error that has no text of its own.
func (l *Localizer) system(err error) string {
	said := err.Error()
	if l.lang == English {
		return said
	}
	id, cause := systemCause(err)
	if id == "" {
		return said
	}
	// Around the cause the packages os and net put words of their own, which a person does
	// not need; what else stands before it was put there by us.
	if before, ok := strings.CutSuffix(said, cause.Error()); ok {
		if where, wrapped := outermost(err, said); wrapped != "" {
			before = strings.TrimSuffix(said, wrapped)
			if where != "" {
				before += where + ": "
			}
		}
		return before + l.T(id)
	}
	return said
}

// systemCause is the text for the error of the system in err, empty if there is none, and that error.
func systemCause(err error) (id string, cause error) {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return systemTexts[number], number
	}
	for _, late := range []error{os.ErrDeadlineExceeded, context.DeadlineExceeded} {
		if errors.Is(err, late) {
			return "system.timed_out", late
		}
	}
	return "", nil
}

// outermost finds the outermost error of the packages os and net that said ends with, and
// what it is about: a path, an address or nothing.
func outermost(err error, said string) (where, wrapped string) {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if !strings.HasSuffix(said, e.Error()) {
			continue
		}
		switch e := e.(type) {
		case *fs.PathError:
			return e.Path, e.Error()
		case *os.LinkError:
			return e.New, e.Error()
		case *os.SyscallError:
			return "", e.Error()
		case *net.OpError:
			if e.Addr != nil {
				return e.Addr.String(), e.Error()
			}
			return "", e.Error()
		}
	}
	return "", ""
}
