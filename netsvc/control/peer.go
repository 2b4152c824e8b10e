package control

import (
	"context"
	"log/slog"
)

// peer is who is on the other side of a connection, as the operating system told
// when it was accepted.
type peer struct {
	uid     int
	user    string // its name, or its number if it has none
	known   bool   // false: the system does not tell here
	refusal string // why it may not call; empty: it may
}

type peerKey struct{}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf returns the peer that withPeer put there. Without one nobody may call.
func peerOf(ctx context.Context) peer {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		p.refusal = "it is not known who calls"
	}
	return p
}

// attrs are the peer for a log record.
func (p peer) attrs() []slog.Attr {
	if !p.known {
		return []slog.Attr{slog.String("user", "unknown")}
	}
	return []slog.Attr{slog.Int("uid", p.uid), slog.String("user", p.user)}
}
