package listen

import (
	"net"
	"syscall"
)

// crowded is never true: Windows bounds no handles.
func crowded(syscall.Conn) bool { return false }

func stillCrowded(net.Listener) bool { return false }

// reserved: see there.
const reserved = 0
