package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// daemon is pns4ones as the packages have it, on free loopback ports, with
// settings and a database of its own.
type daemon struct {
	*process
	path      string // of the binary
	folder    string
	control   *control.Client
	senders   *unix.SockaddrInet4
	host      string // of the senders' address
	service   *unix.SockaddrInet4
	app       control.App
	key       *wire.ClientKey
	token     string
	message   *wire.Message
	sessions  *loop
	toAll     *poster
	infobases int  // the sessions are spread over; 0: one
	plain     bool // its sessions say nothing of themselves
	oneOfMany bool // the sessions are those of a cluster, which ends them
	bench     *bench
}

// startTime bounds how long the daemon may take to serve.
const startTime = 10 * time.Second

// startDaemon starts a daemon with one app. More settings are lines of TOML.
func (b *bench) startDaemon(ctx context.Context, more ...string) (*daemon, error) {
	return b.startDaemonAt(ctx, b.daemonPath, more...)
}

// startOther starts the other build, whose sessions are always like those of the released add-ins.
func (b *bench) startOther(ctx context.Context) (*daemon, error) {
	d, err := b.startDaemonAt(ctx, b.otherPath)
	if err == nil {
		d.plain = true
	}
	return d, err
}

// startDaemonAt is startDaemon with another binary.
func (b *bench) startDaemonAt(ctx context.Context, path string, more ...string) (_ *daemon, err error) {
	d, err := b.newDaemon(path, more...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	if err := d.launch(ctx); err != nil {
		return nil, err
	}
	if d.sessions, err = newLoop(); err != nil {
		return nil, err
	}
	return d, d.createApp(ctx)
}

// newDaemon makes what a daemon needs, but does not start it.
func (b *bench) newDaemon(path string, more ...string) (*daemon, error) {
	d := &daemon{bench: b, path: path}
	var err error
	if d.message, err = messageOf(b.frameBytes); err != nil {
		return nil, err
	}
	if d.folder, err = os.MkdirTemp("", "pns4onesbench"); err != nil {
		return nil, fmt.Errorf("making a folder for the daemon: %w", err)
	}
	socket := filepath.Join(d.folder, "control.sock")
	lines := append([]string{
		`listen = "127.0.0.1:0"`, `service = "127.0.0.1:0"`,
		fmt.Sprintf("data_dir = %q", d.folder), fmt.Sprintf("control = %q", socket),
	}, more...)
	if err := os.WriteFile(d.settings(), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		os.RemoveAll(d.folder)
		return nil, fmt.Errorf("writing the daemon's settings: %w", err)
	}
	d.control = control.NewClient(socket)
	d.control.Wait = startTime
	return d, nil
}

func (d *daemon) settings() string { return filepath.Join(d.folder, "pns4ones.toml") }

// launch starts the daemon, also after its end, and returns when it serves.
func (d *daemon) launch(ctx context.Context) error {
	cmd := exec.Command(d.path, "-config", d.settings())
	// What this machine has of pns4ones is none of our business.
	cmd.Env = append(withoutSettings(os.Environ()),
		"PNS4ONES_LANG=en", "CONFIGURATION_DIRECTORY="+d.folder, "STATE_DIRECTORY="+d.folder)
	var err error
	if d.process, err = d.bench.startProcess("pns4ones", cmd); err != nil {
		return err
	}
	status, err := d.control.Status(ctx)
	if err != nil {
		return d.failed(err)
	}
	if d.senders, err = sockaddr(status.Listen); err != nil {
		return err
	}
	d.host = status.Listen
	d.service, err = sockaddr(status.Service)
	return err
}

// createApp creates the app whose sessions are measured, and gets a token of it.
func (d *daemon) createApp(ctx context.Context) error {
	var err error
	if d.app, err = d.control.CreateApp(ctx, "pns4onesbench"); err != nil {
		return d.failed(err)
	}
	if d.key, err = wire.ParseClientKey(d.app.ClientKey); err != nil {
		return err
	}
	sender, err := newSender(ctx, d.host, d.app.ServerKey)
	if err != nil {
		return d.failed(err)
	}
	d.token = sender.token
	return nil
}

// withoutSettings leaves the daemon's settings out of an environment.
func withoutSettings(environ []string) []string {
	var rest []string
	for _, v := range environ {
		if !strings.HasPrefix(v, "PNS4ONES_") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") {
			rest = append(rest, v)
		}
	}
	return rest
}

func (d *daemon) server() *process { return d.process }
func (d *daemon) clients() *loop   { return d.sessions }

// stop ends the daemon and forgets all it had.
func (d *daemon) stop() {
	if d.toAll != nil {
		d.toAll.close()
	}
	if d.sessions != nil && !d.oneOfMany {
		d.sessions.close()
	}
	if d.control != nil {
		d.control.Close()
	}
	if d.process != nil {
		d.process.stop()
	}
	os.RemoveAll(d.folder)
}

// infobase is where a session is.
func (d *daemon) infobase(number int) string {
	if d.infobases <= 1 {
		return infobaseID
	}
	return fmt.Sprintf("%s-%d", infobaseID, number%d.infobases)
}

// prepare makes the packets of n sessions. That takes the clients' time, which is
// not what is measured.
func (d *daemon) prepare(n int) error {
	for i := len(d.sessions.packets); i < n; i++ {
		packet, err := wire.AppendRegistration(nil, wire.Registration{
			AppID:  d.app.ID,
			IbID:   d.infobase(i),
			UserID: userID(i),
		}, d.key, d.attributesOf(i)...)
		if err != nil {
			return fmt.Errorf("making the packet of a session: %w", err)
		}
		d.sessions.packets = append(d.sessions.packets, packet)
	}
	return nil
}

func (d *daemon) open(ctx context.Context, n int) error {
	if err := d.prepare(n); err != nil {
		return err
	}
	err := d.sessions.open(ctx, d.service, n, func() (int, error) {
		status, err := d.control.Status(ctx)
		return status.Sessions, err
	})
	if err != nil {
		return d.failed(err)
	}
	return nil
}

func (d *daemon) settle(context.Context) error { return d.quiet() }

// posters is how many connections ask for broadcasts. Each waits for its answer.
const posters = underWay

func (d *daemon) send() (bool, error) {
	if d.toAll == nil {
		var err error
		if d.toAll, err = d.poster(wire.Recipient{
			Type: wire.ToAll,
			IbID: infobaseID,
		}, d.message, posters, false); err != nil {
			return false, err
		}
	}
	return d.toAll.post()
}

// poster sends m to a recipient again and again.
func (d *daemon) poster(to wire.Recipient, m *wire.Message, conns int, fresh bool) (*poster, error) {
	body, err := bodyOf(to, m)
	if err != nil {
		return nil, err
	}
	return newPoster(d.sessions, d.senders, postRequest(d.host, d.token, body), conns, fresh), nil
}

func (d *daemon) messageBytes() int { return frameBytesOf(d.message) }

// attributesOf is what a session of this daemon says of itself.
func (d *daemon) attributesOf(number int) []wire.Attribute {
	if d.plain {
		return nil
	}
	return d.bench.attributesOf(number)
}
