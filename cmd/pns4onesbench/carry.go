//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// carry is a run against a daemon that is there already.
type carry struct {
	*bench
	app, control         string // with these the rest is found out
	appID                string
	senders, service     string
	serverKey, clientKey string
	upTo                 int
	within               time.Duration

	loop   *loop
	sender *sender
}

// Carry is what «carry» found out.
type Carry struct {
	Steps   []CarryStep `json:"steps"`
	Carried int         `json:"carried"` // sessions at the last step that was good
}

// CarryStep is what was measured with a number of sessions; times are in seconds.
type CarryStep struct {
	Sessions        int     `json:"sessions"`
	ConnectsASecond float64 `json:"connects_a_second"`
	TimeToLast      float64 `json:"time_to_last"` // of a message to all, the median
	WorstTimeToLast float64 `json:"worst_time_to_last"`
	DeliveredShare  float64 `json:"delivered_share"`
	LatencyP50      float64 `json:"latency_p50"` // of a message to one
	LatencyP99      float64 `json:"latency_p99"`
	Good            bool    `json:"good"` // all was delivered, and in time
}

// carryCommand ramps up sessions of an app on a running daemon.
func (b *bench) carryCommand() *cobra.Command {
	c := &carry{bench: b}
	cmd := b.command("carry", "how many sessions a running daemon carries", c.run)
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&c.app, "app", "", "id or title of the app")
	flags.StringVar(&c.control, "control", "", "control channel (`path`) of a daemon on this machine, "+
		"which knows addresses and keys")
	flags.StringVar(&c.senders, "http", "", "where senders connect (`URL`)")
	flags.StringVar(&c.service, "service", "", "where sessions connect (`host:port`)")
	flags.StringVar(&c.serverKey, "server-key", "", "server `key`; better in PNS4ONES_SERVER_KEY, "+
		"for a command line can be seen by others")
	flags.StringVar(&c.clientKey, "client-key", "", "client `key`; better in PNS4ONES_CLIENT_KEY")
	flags.IntVar(&c.upTo, "up-to", 10_000, "sessions in the end")
	flags.DurationVar(&c.within, "within", 5*time.Second, "how long a message to all may take")
	return cmd
}

func (c *carry) run(ctx context.Context) error {
	if c.upTo < 1 || c.within <= 0 {
		return errTooFew
	}
	if err := c.find(ctx); err != nil {
		return err
	}
	c.pin = false // the daemon may be anywhere
	if err := c.prepare(c.upTo); err != nil {
		return err
	}
	c.report.Machine = describeMachine(&c.placement, "", "")
	key, err := wire.ParseClientKey(c.clientKey)
	if err != nil {
		return usageError{err}
	}
	to, err := sockaddr(c.service)
	if err != nil {
		return err
	}
	if c.sender, err = newSender(ctx, c.senders, c.serverKey); err != nil {
		return err
	}
	if c.loop, err = newLoop(); err != nil {
		return err
	}
	defer c.loop.close()
	for i := range c.upTo {
		packet, err := wire.AppendRegistration(nil, wire.Registration{
			AppID:  c.appID,
			IbID:   infobaseID,
			UserID: userID(i),
		}, key, c.attributesOf(i)...)
		if err != nil {
			return err
		}
		c.loop.packets = append(c.loop.packets, packet)
	}
	return c.ramp(ctx, to)
}

// find completes what was not given: from the control channel of a daemon on this
// machine, if an app was named without its keys.
func (c *carry) find(ctx context.Context) error {
	if c.serverKey == "" {
		c.serverKey = c.getenv("PNS4ONES_SERVER_KEY")
	}
	if c.clientKey == "" {
		c.clientKey = c.getenv("PNS4ONES_CLIENT_KEY")
	}
	if c.app == "" {
		return usageError{errors.New("name the app: --app")}
	}
	if c.serverKey != "" && c.clientKey != "" && c.senders != "" && c.service != "" {
		c.appID = c.app
		return nil
	}
	return c.ask(ctx)
}

func (c *carry) ask(ctx context.Context) error {
	paths := []string{c.control}
	if c.control == "" {
		paths = config.ControlCandidates(c.getenv)
	}
	var tried []error
	for _, path := range paths {
		client := control.NewClient(path)
		defer client.Close()
		status, err := client.Status(ctx)
		if err != nil {
			tried = append(tried, err)
			continue
		}
		return c.take(ctx, client, status)
	}
	return fmt.Errorf("no daemon was found on this machine; for another one give --http, --service, "+
		"PNS4ONES_SERVER_KEY and PNS4ONES_CLIENT_KEY, and the app's id:\n%w", errors.Join(tried...))
}

// take fills in what the daemon knows.
func (c *carry) take(ctx context.Context, client *control.Client, status control.Status) error {
	listed, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	apps := make([]*app.App, len(listed))
	for i, a := range listed {
		apps[i] = &app.App{ID: a.ID, Title: a.Title}
	}
	found, err := app.Match(apps, c.app)
	if err != nil {
		return err
	}
	for _, a := range listed {
		if a.ID == found.ID {
			c.appID, c.serverKey, c.clientKey = a.ID, a.ServerKey, a.ClientKey
		}
	}
	if c.senders == "" {
		scheme := "http://"
		if status.TLSExpiresAt != nil {
			scheme = "https://"
		}
		c.senders = scheme + onThisMachine(status.Listen)
	}
	if c.service == "" {
		c.service = onThisMachine(status.Service)
	}
	return nil
}

// onThisMachine is an address of the settings as a client on the same machine
// connects to it.
func onThisMachine(listen string) string {
	if port, ok := strings.CutPrefix(listen, "*:"); ok {
		return "localhost:" + port
	}
	return listen
}

// ramp opens more and more sessions, and measures at each step, until all are open
// or the daemon carries no more.
func (c *carry) ramp(ctx context.Context, to *unix.SockaddrInet4) error {
	if !c.json {
		fmt.Fprintf(c.stdout, "Senders %s, sessions %s\n\n", locale.Clean(c.senders), locale.Clean(c.service))
		c.row("sessions", "connects", "to the last", "delivered", "to one, p50", "p99")
	}
	result := &Carry{Steps: []CarryStep{}}
	var ended error
	for _, n := range steps(c.upTo) {
		step, err := c.step(ctx, to, n)
		if err != nil {
			ended = err
			break
		}
		result.Steps = append(result.Steps, step)
		if !c.json {
			c.row(
				number(float64(n)),
				format(step.ConnectsASecond, PerSecond),
				format(step.TimeToLast, Seconds),
				decimal(step.DeliveredShare*100, 2)+" %",
				format(step.LatencyP50, Seconds),
				format(step.LatencyP99, Seconds),
			)
		}
		if !step.Good {
			ended = fmt.Errorf("a message to all took %s (%v are allowed), %s %% were delivered",
				format(step.WorstTimeToLast, Seconds), c.within, decimal(step.DeliveredShare*100, 2))
			break
		}
		result.Carried = n
	}
	if c.json {
		c.report.Carry = result
		if err := c.writeJSON(); err != nil {
			return err
		}
	}
	if ended != nil {
		carried := number(float64(result.Carried))
		return fmt.Errorf("it carries %s sessions, and no more at the next step: %w", carried, ended)
	}
	if !c.json {
		carried := number(float64(result.Carried))
		fmt.Fprintf(c.stdout, "\nIt carries %s sessions. More were not asked for: --up-to\n", carried)
	}
	return nil
}

// row writes a line of the table, which grows while one watches.
func (c *carry) row(cells ...string) {
	for _, cell := range cells {
		fmt.Fprintf(c.stdout, "%14s", cell)
	}
	fmt.Fprintln(c.stdout)
}

// steps are the numbers of sessions to measure at.
func steps(upTo int) []int {
	var all []int
	for unit := 100; unit < upTo; unit *= 10 {
		for _, n := range []int{unit, 2 * unit, 5 * unit} {
			if n < upTo {
				all = append(all, n)
			}
		}
	}
	return append(all, upTo)
}

// step brings the sessions to n and measures with them.
func (c *carry) step(ctx context.Context, to *unix.SockaddrInet4, n int) (CarryStep, error) {
	step := CarryStep{Sessions: n}
	already, began := len(c.loop.sessions), time.Now()
	if err := c.loop.open(ctx, to, n, func() (int, error) { return c.registered(ctx) }); err != nil {
		return step, err
	}
	step.ConnectsASecond = float64(n-already) / time.Since(began).Seconds()

	m, err := messageOf(c.frameBytes)
	if err != nil {
		return step, err
	}
	frame := int64(frameBytesOf(m))
	all := wire.Recipient{Type: wire.ToAll, IbID: infobaseID}
	// The last session may have registered before others: a message to all counts them.
	for reached, tries := 0, 0; reached < n && tries < 3; tries++ {
		c.loop.expect(frame)
		if _, reached, err = c.send(ctx, all, m, c.loop.complete); err != nil {
			return step, err
		}
	}
	var times []float64
	delivered, sent := 0, 0
	for range c.pick(5, 2) {
		c.loop.expect(frame)
		took, _, err := c.send(ctx, all, m, c.loop.complete)
		if err != nil {
			return step, err
		}
		times = append(times, took.Seconds())
		sent += n
		delivered += int(c.loop.bytes / frame)
	}
	step.TimeToLast, step.WorstTimeToLast = median(times), slices.Max(times)
	step.DeliveredShare = float64(delivered) / float64(sent)
	step.Good = step.WorstTimeToLast <= c.within.Seconds() && delivered == sent && c.loop.closed == 0

	var latencies []float64
	for i := range c.pick(200, 5) {
		c.loop.expect(0)
		took, _, err := c.send(ctx, toUser(i*7919%n), m, func() bool { return c.loop.bytes >= frame })
		if err != nil {
			return step, err
		}
		latencies = append(latencies, took.Seconds())
	}
	step.LatencyP50, step.LatencyP99 = quantile(latencies, 0.5), quantile(latencies, 0.99)
	return step, nil
}

// registered returns how many sessions the daemon knows: all, if a message to the
// one that came last reaches it, else as many as before.
func (c *carry) registered(ctx context.Context) (int, error) {
	m := &wire.Message{Topic: "pns4onesbench"}
	last := len(c.loop.sessions)
	c.loop.expect(0)
	_, reached, err := c.send(ctx, toUser(last-1), m, func() bool { return c.loop.bytes >= int64(frameBytesOf(m)) })
	if err != nil || reached == 0 {
		return c.loop.registered, err
	}
	return last, nil
}

// send sends m and returns the sessions that the daemon names, and how long it took
// until done reported true; that is waited for only if there are any.
func (c *carry) send(
	ctx context.Context, to wire.Recipient, m *wire.Message, done func() bool,
) (took time.Duration, reached int, err error) {
	body, err := bodyOf(to, m)
	if err != nil {
		return 0, 0, err
	}
	type answer struct {
		reached int
		err     error
	}
	answers := make(chan answer, 1)
	began := time.Now()
	go func() {
		n, err := c.sender.post(ctx, body)
		answers <- answer{n, err}
	}()
	answered := false
	for {
		if err := c.loop.turn(time.Millisecond); err != nil {
			return 0, 0, err
		}
		if took == 0 && done() {
			took = time.Since(began)
		}
		select {
		case a := <-answers:
			if a.err != nil {
				return 0, 0, a.err
			}
			reached, answered = a.reached, true
		default:
		}
		late := time.Since(began) > c.within
		if answered && (took > 0 || reached == 0 || late) {
			break
		}
	}
	if took == 0 {
		took = time.Since(began)
	}
	return took, reached, nil
}
