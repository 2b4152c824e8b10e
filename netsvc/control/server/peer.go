package server

import (
	"context"
	"log/slog"

	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

type peerKey struct{}

func withPeer(ctx context.Context, p socket.Peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

// CallerOf is who calls, by the context of a request that this server answers: what
// Nodes.Ask carries to another node.
func CallerOf(ctx context.Context) socket.Peer { return peerOf(ctx) }

// peerOf returns the peer that withPeer put there. Without one nobody may call.
func peerOf(ctx context.Context) socket.Peer {
	p, ok := ctx.Value(peerKey{}).(socket.Peer)
	if !ok {
		p.Refusal = "it is not known who calls"
	}
	return p
}

// peerAttrs are the peer for a log record.
func peerAttrs(p socket.Peer) []slog.Attr {
	attrs := []slog.Attr{slog.String("user", "unknown")}
	if p.Known {
		attrs = []slog.Attr{slog.Int("uid", p.UID), slog.String("user", p.User)}
	}
	if p.Node != "" {
		attrs = append(attrs, slog.String("from_node", p.Node))
	}
	return attrs
}
