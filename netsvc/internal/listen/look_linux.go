package listen

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/pns4ones/pns4ones/config"
)

// Look reports syscall.EADDRINUSE if a process of another user listens where the address
// wants to, as the kernel's table of sockets has it (proc(5), /proc/net/tcp). Nothing is
// bound. Sockets of this process's user, and of the owner of the file, are taken for those
// of a daemon that runs: it may be asked to reload, or to be upgraded.
func Look(a config.Address, owned string) error {
	users := []string{strconv.Itoa(os.Geteuid())}
	if info, err := os.Stat(owned); err == nil {
		if system, ok := info.Sys().(*syscall.Stat_t); ok {
			users = append(users, strconv.Itoa(int(system.Uid)))
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue // without /proc, or without IPv6
		}
		for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
			at, user, listens := parseSocket(lines.Text())
			if listens && overlaps(a, at) && user != users[0] && user != users[len(users)-1] {
				return syscall.EADDRINUSE
			}
		}
	}
	return nil
}

// parseSocket reads a line of the kernel's table of sockets, if it is of one that listens.
func parseSocket(line string) (at netip.AddrPort, user string, listens bool) {
	at, _, state, ok := parseTCP(line)
	fields := strings.Fields(line)
	if !ok || state != tcpListen || len(fields) < 8 {
		return netip.AddrPort{}, "", false
	}
	return at, fields[7], true
}

// overlaps reports whether a socket at that address keeps the other from being bound.
func overlaps(a config.Address, at netip.AddrPort) bool {
	if a.Port == 0 || int(at.Port()) != a.Port {
		return false
	}
	host, err := netip.ParseAddr(a.Host)
	everywhere := a.Host == "" || a.Host == "*" || a.Network.IsValid()
	switch {
	case everywhere || at.Addr().IsUnspecified():
		return true
	case a.Host == "localhost":
		return at.Addr().IsLoopback()
	}
	return err == nil && host.Unmap() == at.Addr()
}
