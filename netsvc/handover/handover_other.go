//go:build !linux

package handover

import (
	"net"
	"os"
	"syscall"
)

// Send fails: see ErrUnsupported.
func Send(*net.UnixConn, []byte, []syscall.Conn) error { return ErrUnsupported }

// Receive fails: see ErrUnsupported.
func Receive(*net.UnixConn) ([]byte, []*os.File, error) { return nil, nil, ErrUnsupported }
