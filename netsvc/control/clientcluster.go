package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
)

// JoinCluster decides whose apps hold where the daemon and its cluster differ, JoinMerging or
// JoinTaking. It takes a while if there are many.
func (c *Client) JoinCluster(ctx context.Context, apps string) (joined Joined, err error) {
	body, err := json.Marshal(JoinBody{apps})
	if err != nil {
		return Joined{}, fmt.Errorf("encoding the request: %w", err)
	}
	err = c.send(ctx, c.imports, "POST", "/cluster/join", bytes.NewReader(body), readInto(&joined))
	return joined, err
}

// RestoreCluster gives the cluster the apps of the daemon, and makes what was lost in NATS
// anew. It takes a while if there are many.
func (c *Client) RestoreCluster(ctx context.Context) (joined Joined, err error) {
	err = c.send(ctx, c.imports, "POST", "/cluster/restore", nil, readInto(&joined))
	return joined, err
}

// ForgetNode has the nodes of the cluster not name a lost one any more.
func (c *Client) ForgetNode(ctx context.Context, name string) (Forgotten, error) {
	return ask[Forgotten](ctx, c, "DELETE", "/cluster/nodes/"+url.PathEscape(name), nil)
}
