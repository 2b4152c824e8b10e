package listen

import (
	"net"
	"syscall"
)

// crowded is never true: Windows bounds no handles.
func crowded(syscall.Conn) bool { return false }

func hasRoom(net.Listener, int) bool { return true }

// Reserved is 0.
func Reserved() int { return 0 }
