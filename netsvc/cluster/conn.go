package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// NATS says where the NATS servers are and who is there for them. Files are read at each
// connection.
type NATS struct {
	Servers        []string // nats:// or tls://, host and port; user and password or a token may be in it
	Credentials    string   // a .creds file or one with the seed of an nkey; empty: none
	CA             string   // PEM file; empty: the CAs of the system
	Certificate    string   // PEM files, of this client; empty: none
	CertificateKey string
}

// options are those of nats.go; errors show no secrets.
func (s *NATS) options() ([]nats.Option, error) {
	if len(s.Servers) == 0 {
		return nil, errors.New("no NATS server is named")
	}
	for i, server := range s.Servers {
		u, err := url.Parse(server)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return nil, fmt.Errorf("the NATS server number %d is not of the form nats://host:port or tls://host:port", i+1)
		}
	}
	var options []nats.Option
	if s.Credentials != "" {
		option, err := credentials(s.Credentials)
		if err != nil {
			return nil, err
		}
		options = append(options, option)
	}
	if s.CA != "" {
		options = append(options, nats.RootCAs(s.CA))
	}
	if s.Certificate != "" {
		options = append(options, nats.ClientCert(s.Certificate, s.CertificateKey))
	}
	return options, nil
}

// credentials tells by its content what kind of file it is.
func credentials(path string) (nats.Option, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the NATS credentials: %w", err)
	}
	defer clear(text)
	if bytes.Contains(text, []byte("BEGIN NATS USER JWT")) {
		return nats.UserCredentials(path), nil
	}
	option, err := nats.NkeyOptionFromSeed(path)
	if err != nil { // it may show a part of the file
		return nil, fmt.Errorf("%s holds neither NATS credentials nor the seed of an nkey", path)
	}
	return option, nil
}

// connect makes the connection, or begins to.
func (n *Node) connect() error {
	options, err := n.options.NATS.options()
	if err != nil {
		return err
	}
	options = append(options,
		nats.Name("pns4ones "+n.options.Name),
		nats.CustomInboxPrefix(n.subject(onAnswers)),
		nats.NoEcho(),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(), // rights that are mended work without a restart
		nats.ReconnectBufSize(-1),   // what is not sent now is not sent later
		nats.SetCustomDialer(&dialer{Dialer: net.Dialer{Timeout: dialTimeout}, node: n}),
		nats.SkipHostLookup(), // the dialer does that
		nats.CustomReconnectDelay(n.reconnectDelay),
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(dialTimeout),
		nats.FlusherTimeout(300*time.Millisecond),
		nats.ReconnectOnFlusherError(),
		nats.ConnectHandler(n.onConnect),
		nats.ReconnectHandler(n.onConnect),
		nats.DisconnectErrHandler(n.onDisconnect),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if !errors.Is(err, errNotYet) {
				n.log.Debug("NATS could not be connected to", slog.Any("error", err))
			}
		}),
		nats.ClosedHandler(func(*nats.Conn) { n.log.Debug("the connection to NATS is closed") }),
		nats.DiscoveredServersHandler(func(conn *nats.Conn) {
			n.log.Debug("NATS has named other servers", slog.Int("servers", len(conn.DiscoveredServers())))
		}),
		nats.LameDuckModeHandler(func(conn *nats.Conn) {
			n.log.Info("the NATS server is about to stop", slog.String("server", withoutSecrets(conn.ConnectedUrl())))
		}),
		nats.ErrorHandler(n.onError),
	)
	// nats.go calls the handlers one after the other, in the order of what happened.
	all := nats.GetDefaultOptions()
	all.Servers = n.options.NATS.Servers // nats.Connect would part a password with a comma
	for _, option := range options {
		if err := option(&all); err != nil {
			return fmt.Errorf("connecting to NATS: %w", err)
		}
	}
	if n.conn, err = all.Connect(); err != nil {
		return fmt.Errorf("connecting to NATS: %w", err)
	}
	return nil
}

// dialTimeout bounds one attempt to connect to a server.
const dialTimeout = 2 * time.Second

// errNotYet has nats.go connect in the background: its first attempt is made by the caller
// of Connect, who would wait for each server.
var errNotYet = errors.New("the connection is made in the background")

// dialer connects to servers once the node has subscribed: nats.go holds its lock while it
// dials.
type dialer struct {
	net.Dialer
	node *Node
}

// Dial connects; it ends with the node.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	select {
	case <-d.node.dialed:
		return d.DialContext(d.node.dialing, network, address)
	default:
		return nil, errNotYet
	}
}

// reconnectDelay is how long it is waited when no server could be connected to: not at all
// the first time, when none was tried. That a server refuses a node which was never connected
// is told nowhere else.
func (n *Node) reconnectDelay(int) time.Duration {
	if n.tried.Swap(true) {
		if err := n.conn.LastError(); err != nil {
			n.onError(n.conn, nil, err)
		}
		return 250*time.Millisecond + rand.N(250*time.Millisecond)
	}
	select {
	case <-n.dialed:
	case <-n.dialing.Done():
	}
	return 0
}

// onConnect is told of each connection that was made.
func (n *Node) onConnect(conn *nats.Conn) {
	n.part.Store(min(partBytes, max(conn.MaxPayload()/2, 4<<10)))
	server := withoutSecrets(conn.ConnectedUrl())
	n.mu.Lock()
	away := time.Since(n.cutOffSince).Round(time.Millisecond)
	first := n.connectedAt == 0
	if !n.connected {
		close(n.reconnected)
	}
	n.connected, n.connectedAt, n.server, n.denied = true, n.now(), server, ""
	n.hearsSince = n.connectedAt
	if !first {
		n.reconnects++
	}
	n.mu.Unlock()
	level := slog.LevelInfo
	if !first && away > time.Second { // nobody notices less
		level = slog.LevelWarn
	}
	n.log.Log(background, level, "connected to NATS", slog.String("server", server),
		slog.String("version", conn.ConnectedServerVersion()), slog.Duration("after", away))
	n.beat()
	if n.options.Connected != nil {
		n.tellOwner(func() { n.options.Connected(conn) })
	}
}

func (n *Node) onDisconnect(_ *nats.Conn, err error) {
	n.mu.Lock()
	before := n.connected
	n.connected, n.cutOffSince = false, time.Now()
	if before {
		n.reconnected = make(chan struct{})
	}
	n.mu.Unlock()
	if before {
		n.log.Info("disconnected from NATS", slog.Any("error", err))
	}
	if n.options.Disconnected != nil {
		n.tellOwner(func() { n.options.Disconnected(err) })
	}
}

// onError is told of what NATS refuses and of messages that this node was too slow for.
func (n *Node) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	attrs := []any{slog.Any("error", err)}
	if sub != nil {
		attrs = append(attrs, slog.String("subject", sub.Subject))
	}
	if why := n.whyDenied(err); why != "" {
		n.mu.Lock()
		n.denied = why
		n.mu.Unlock()
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		n.counts.dropped[droppedOverloaded].Add(1)
	}
	n.paces.report(n.now(), "NATS "+err.Error(), func() { n.log.Warn("NATS reports an error", attrs...) })
	if n.options.AsyncError != nil {
		n.tellOwner(func() { n.options.AsyncError(err) })
	}
}

// whyDenied says what NATS refuses of what the node needs for messages; empty: nothing. What else is
// kept in NATS by the same connection has rights of its own.
func (n *Node) whyDenied(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return "NATS refuses the user, the password or the credentials of this node: " + err.Error()
	case errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+n.subject("")):
		return "the NATS user has no right to something, give it in the configuration of NATS: " + err.Error()
	}
	return ""
}

// lookForRights connects again if NATS has refused something for a while: that it allows it by now it
// tells nobody, and a subscription that it has refused it does not know any more.
func (n *Node) lookForRights() {
	n.mu.Lock()
	due := n.denied != "" && n.connected && n.now()-n.connectedAt > n.timing.rights
	n.mu.Unlock()
	if !due {
		return
	}
	if err := n.conn.ForceReconnect(); err != nil {
		n.log.Debug("NATS could not be connected to", slog.Any("error", err))
	}
}

// subscription is one with its bounds.
type subscription struct {
	subject     string
	handle      nats.MsgHandler
	count, size int
}

// all are the subscriptions to what concerns all, messages first, and to what concerns this
// epoch.
func (n *Node) all() []subscription {
	l := n.life.Load()
	const small, few = 4 << 20, 8 << 10
	return []subscription{
		{n.subject(onMessages), n.receiveMessage, 64 << 10, 64 << 20},
		{n.subject(onHeartbeats), n.receiveHeartbeat, few, small},
		{n.subjectOf(l.epoch, toNode), n.receiveMessage, 64 << 10, 64 << 20},
		{n.subjectOf(l.epoch, confirming), n.receiveConfirmations, 64 << 10, 16 << 20},
		{n.subjectOf(l.epoch, asking), n.receiveQuestion, few, small},
		{n.subjectOf(l.epoch, streaming), n.receiveFrame, few, 8 * small},
		{n.subjectOf(l.epoch, aboutSessions), n.receiveSession, few, 8 * small},
		{n.subject(onAnswers + "." + l.epoch.String() + ".*"), n.receiveAnswer, few, small},
	}
}

// subscribe begins subscriptions, unless the node has left.
func (n *Node) subscribe(subscriptions ...subscription) error {
	n.subscribing.Lock()
	defer n.subscribing.Unlock()
	if n.left {
		return nil
	}
	for _, s := range subscriptions {
		sub, err := n.conn.Subscribe(s.subject, s.handle)
		if err == nil {
			err = sub.SetPendingLimits(s.count, s.size)
		}
		if err != nil {
			return err
		}
		n.subscriptions = append(n.subscriptions, sub)
		if s.subject == n.subject(onHeartbeats) {
			n.hearing.Store(sub)
		}
	}
	return nil
}

// unsubscribe ends what subscribe began, perhaps for good. Nobody waits for nats.go, which
// holds its lock while it connects: until then nothing comes.
func (n *Node) unsubscribe(leave bool) {
	n.subscribing.Lock()
	n.left = n.left || leave
	subscriptions := n.subscriptions
	n.subscriptions = nil
	n.subscribing.Unlock()
	n.unlessConnecting(func() {
		for _, sub := range subscriptions {
			if err := sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				n.log.Debug("a subscription could not be ended", slog.Any("error", err))
			}
		}
	})
}

// unlessConnecting does something with the connection, at once if there is one, else when
// nats.go lets go of it.
func (n *Node) unlessConnecting(do func()) {
	if n.isConnected() {
		do()
	} else {
		n.running.Go(do)
	}
}

// publishOut hands an envelope to NATS. Only the writer calls it: nats.go holds its lock
// while it writes into a full socket and while it dials, and nobody else shall wait for it.
func (n *Node) publishOut(o outgoing) {
	if o.written != nil {
		close(o.written)
		return
	}
	var err error
	if o.reply != "" {
		err = n.conn.PublishRequest(o.subject, o.reply, o.data)
	} else {
		err = n.conn.Publish(o.subject, o.data)
	}
	if err != nil {
		n.counts.notSent.Add(1)
		n.log.Debug("an envelope was not sent", slog.String("subject", o.subject), slog.Any("error", err))
	}
}

// outgoing is an envelope on its way to NATS.
type outgoing struct {
	subject, reply string
	data           []byte
	until          time.Duration // it is of no use later; 0: it always is
	written        chan struct{} // it is no envelope: is closed when its turn comes
}

// Bounds of what waits for the writer: more than may be in flight, so that nothing is
// refused before the connection stands still.
const (
	maxOutgoing      = 16 << 10
	maxOutgoingBytes = 2 * maxInFlightBytes
)

// writer is the queue of what goes to NATS, and the goroutine that takes it there.
type writer struct {
	mu    sync.Mutex
	some  sync.Cond
	queue []outgoing
	bytes int
	ended bool
}

func newWriter() *writer {
	w := new(writer)
	w.some.L = &w.mu
	return w
}

// put queues an envelope and reports whether there was room.
func (w *writer) put(o outgoing) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || len(w.queue) >= maxOutgoing || w.bytes+len(o.data) > maxOutgoingBytes && w.bytes > 0 {
		return false
	}
	w.queue = append(w.queue, o)
	w.bytes += len(o.data)
	if len(w.queue) == 1 {
		w.some.Signal()
	}
	return true
}

// run publishes what is queued until the end, in order.
func (w *writer) run(now func() time.Duration, publish func(outgoing)) {
	var batch []outgoing
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.ended {
			w.some.Wait()
		}
		if len(w.queue) == 0 {
			w.mu.Unlock()
			return
		}
		batch, w.queue = w.queue, batch[:0]
		w.mu.Unlock()
		done := 0
		for _, o := range batch {
			if o.until == 0 || now() <= o.until {
				publish(o)
			}
			done += len(o.data)
		}
		clear(batch)
		if cap(batch) > maxOutgoing/16 {
			batch = nil
		}
		w.mu.Lock()
		w.bytes -= done
		w.mu.Unlock()
	}
}

// end has run return when the queue is empty.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.some.Signal()
}

// serverNames are the servers without what is secret in their addresses.
func (s *NATS) serverNames() []string {
	names := make([]string, 0, len(s.Servers))
	for _, server := range s.Servers {
		names = append(names, withoutSecrets(server))
	}
	slices.Sort(names)
	return names
}

// withoutSecrets is the address of a server without user, password and token; empty if it
// is none.
func withoutSecrets(server string) string {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
