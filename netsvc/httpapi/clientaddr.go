package httpapi

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr is the address a request comes from, for the log: that of the peer,
// or, if the peer is loopback or a trusted proxy, the right-most address in
// X-Forwarded-For that is neither (protocol.md section 3.3). What stands to the
// left of it may have been written by anyone. It is the zero Addr if the peer
// has no IP address.
func clientAddr(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap().WithZone("")
	forwarded := r.Header["X-Forwarded-For"]
	for i := len(forwarded) - 1; i >= 0; i-- {
		rest := forwarded[i]
		for rest != "" {
			if !believed(client, trusted) {
				return client
			}
			var hop string
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, hop = rest[:comma], rest[comma+1:]
			} else {
				rest, hop = "", rest
			}
			next, ok := parseHop(strings.TrimSpace(hop))
			if !ok {
				return client
			}
			client = next
		}
	}
	return client
}

// parseHop reads one element of X-Forwarded-For. IIS writes a port after it.
func parseHop(hop string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(hop, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	if a, err := netip.ParseAddrPort(hop); err == nil {
		return a.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}

func believed(a netip.Addr, trusted []netip.Prefix) bool {
	if a.IsLoopback() {
		return true
	}
	for _, network := range trusted {
		if network.Contains(a) {
			return true
		}
	}
	return false
}
