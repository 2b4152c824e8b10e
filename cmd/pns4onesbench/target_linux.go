package main

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// target is a server that sends one message to many sessions: the daemon, or what
// it is compared with. One goroutine uses it.
type target interface {
	server() *process
	// prepare makes what n sessions say first, which is the clients' work.
	prepare(n int) error
	// open opens sessions until there are n and returns when the server counts
	// them; settle then waits until the server rests.
	open(ctx context.Context, n int) error
	settle(ctx context.Context) error
	// send asks for one message to every session. It reports false if it could
	// not be asked for before earlier ones are answered.
	send() (bool, error)
	// messageBytes is what a session gets for one message.
	messageBytes() int
	clients() *loop
	stop()
}

// sockaddr is the address of a server in the form of the system; an address that
// stands for all interfaces becomes loopback.
func sockaddr(hostPort string) (*unix.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", hostPort)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", hostPort, err)
	}
	to := &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
	if ip := a.IP.To4(); ip != nil && !a.IP.IsUnspecified() {
		to.Addr = [4]byte(ip)
	}
	return to, nil
}
