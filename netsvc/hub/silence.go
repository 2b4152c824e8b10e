package hub

import (
	"net"
	"syscall"
	"time"
)

// watchSilence has the system end the connection of a peer that acknowledges nothing for
// PeerTimeout, whether it is sent anything meanwhile or not (protocol.md section 5).
func (h *Hub) watchSilence(conn net.Conn, raw syscall.RawConn) {
	tcp, ok := conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	limits := h.limits.Load()
	if !ok || limits.PeerTimeout == 0 {
		return
	}
	// Both fail if the connection is gone, which whoever reads will notice.
	tcp.SetKeepAliveConfig(probes(limits.KeepAlive, limits.PeerTimeout))
	endUnacknowledged(raw, limits.PeerTimeout)
}

// maxProbes is less than any system's limit.
const maxProbes = 100

// probes are those that find a silent peer out: the first after the lesser of keepAlive and
// half of peerTimeout, the last when that has gone by.
func probes(keepAlive, peerTimeout time.Duration) net.KeepAliveConfig {
	idle := min(keepAlive, peerTimeout/2)
	rest := peerTimeout - idle
	every := max(idle/3, rest/maxProbes, time.Second)
	return net.KeepAliveConfig{Enable: true, Idle: idle, Interval: every, Count: int((rest + every - 1) / every)}
}

// whyEnded says why a connection ended on which reading or writing failed: otherwise, unless
// the system gave up a silent peer. It says so to only one of the two, so the silence itself
// is asked about too.
func (h *Hub) whyEnded(raw syscall.RawConn, err error, otherwise closeReason) closeReason {
	silent, known := silence(raw)
	most := h.limits.Load().PeerTimeout
	if isSilence(err) || known && most > 0 && silent+silenceSlack >= most {
		return closedSilent
	}
	return otherwise
}

// silenceSlack is more than the system's clocks differ.
const silenceSlack = 100 * time.Millisecond

// isSilent reports whether a peer that takes nothing does not acknowledge anything either. It
// may have lost its way to us and find it again: that is left to PeerTimeout.
func (h *Hub) isSilent(raw syscall.RawConn) bool {
	silent, known := silence(raw)
	return known && silent >= h.limits.Load().WriteTimeout
}

// unreadTime is how long a peer that is not silent may take nothing while something waits.
func (h *Hub) unreadTime(raw syscall.RawConn) time.Duration {
	limits := h.limits.Load()
	if _, known := silence(raw); known {
		return limits.WriteTimeout
	}
	return max(limits.WriteTimeout, limits.PeerTimeout)
}
