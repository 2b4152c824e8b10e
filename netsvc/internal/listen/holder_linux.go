package listen

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// maxHolders is how many connections are named.
const maxHolders = 5

// tcpStates are the states of a connection by the kernel's numbers (include/net/tcp_states.h).
var tcpStates = map[uint64]string{
	1: "ESTABLISHED", 2: "SYN-SENT", 3: "SYN-RECV", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: "TIME-WAIT",
	7: "CLOSE", 8: "CLOSE-WAIT", 9: "LAST-ACK", tcpListen: "LISTEN", 11: "CLOSING",
}

const tcpListen = 10

// holdersOf returns who has a port of an address, or of any if that is not valid: whether
// somebody listens on it, and which connections go out from it. What cannot be found
// out is nobody.
func holdersOf(addr netip.Addr, port int) (listened bool, connections []string) {
	h := holders{addr: addr, port: port}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		h.read(f)
		f.Close()
	}
	return h.listened, h.connections
}

// holders are who has a port, as far as the tables that were read show it.
type holders struct {
	addr        netip.Addr // not valid: any
	port        int
	listened    bool
	connections []string // maxHolders at most
	seen        map[[2]netip.AddrPort]bool
}

// read reads a table of the kernel. A table that changes meanwhile may show a connection
// twice.
func (h *holders) read(table io.Reader) {
	for lines := bufio.NewScanner(table); lines.Scan(); {
		local, remote, state, ok := parseTCP(lines.Text())
		connection := [2]netip.AddrPort{local, remote}
		switch {
		case !ok || int(local.Port()) != h.port,
			h.addr.IsValid() && local.Addr() != h.addr && !local.Addr().IsUnspecified():
		case state == tcpListen:
			h.listened = true
		case len(h.connections) < maxHolders && !h.seen[connection]:
			if h.seen == nil {
				h.seen = make(map[[2]netip.AddrPort]bool)
			}
			h.seen[connection] = true
			h.connections = append(h.connections, fmt.Sprintf("%s -> %s %s", local, remote, tcpStates[state]))
		}
	}
}

// parseTCP reads a line of /proc/net/tcp or tcp6 (proc_net_tcp in the kernel's
// documentation).
func parseTCP(line string) (local, remote netip.AddrPort, state uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return local, remote, 0, false
	}
	local, okLocal := parseTCPAddress(fields[1])
	remote, okRemote := parseTCPAddress(fields[2])
	state, err := strconv.ParseUint(fields[3], 16, 8)
	return local, remote, state, okLocal && okRemote && err == nil
}

// parseTCPAddress reads 0100007F:8F58: words of the address in the byte order of the
// machine, then the port.
func parseTCPAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	number, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), ok
}
