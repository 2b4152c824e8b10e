//go:build !linux

package listen

import "net/netip"

// holdersOf is not known here. Windows takes the ports of outgoing connections from
// 49152 on.
func holdersOf(netip.Addr, int) (listened bool, connections []string) { return false, nil }
