package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// listening is what the flags of listen say.
type listening struct {
	app          string
	registration wire.Registration
	groups       []string // the first one is the registration's
	attrs        []string // name=value
	attributes   []wire.Attribute
	resume       bool
	service      string
	clientKey    string
	count        int
}

// listenCommand is a 1C session: it registers and prints what it gets.
func (p *program) listenCommand() *cobra.Command {
	var l listening
	cmd := p.command("listen", nil, func(cmd *cobra.Command, _ []string) error {
		switch {
		case l.app == "":
			return wrongUsage("admin.needs_flag", "flag", "--app")
		case l.registration.IbID == "":
			return wrongUsage("admin.needs_flag", "flag", "--ib")
		case l.count < 0:
			return wrongUsage("admin.bad_count")
		}
		if err := l.introduce(); err != nil {
			return err
		}
		// Only here an interrupt is a good end; elsewhere it kills.
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err := p.listen(ctx, &l)
		if ctx.Err() != nil {
			return nil // the person has heard enough
		}
		return err
	})
	cmd.Use = "listen --app … --ib … [--user …] [--group …]"
	flags := cmd.Flags()
	flags.StringVar(&l.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&l.registration.IbID, "ib", "", p.text.T("admin.flag_ib"))
	flags.StringVar(&l.registration.UserID, "user", "", p.text.T("admin.flag_user"))
	flags.StringArrayVar(&l.groups, "group", nil, p.text.T("admin.flag_groups"))
	flags.BoolVar(&l.resume, "resume", false, p.text.T("admin.flag_resume"))
	flags.StringArrayVar(&l.attrs, "attr", nil, p.text.T("admin.flag_attr"))
	flags.StringVar(&l.service, "service", "", p.text.T("admin.flag_service"))
	flags.StringVar(&l.clientKey, "client-key", "", p.text.T("admin.flag_client_key"))
	flags.IntVar(&l.count, "count", 0, p.text.T("admin.flag_count"))
	cmd.RegisterFlagCompletionFunc("app", p.completeApps)
	return cmd
}

// introduce makes groups and attributes of what the flags say.
func (l *listening) introduce() error {
	for i, group := range l.groups {
		if i == 0 {
			l.registration.UserGroup = group
		} else {
			l.attributes = append(l.attributes, wire.Attribute{Name: "group", Value: group})
		}
	}
	for _, attr := range l.attrs {
		name, value, found := strings.Cut(attr, "=")
		a := wire.Attribute{Name: name, Value: value}
		if !found || a.Check() != nil {
			return wrongUsage("admin.bad_attribute", "attribute", locale.Clean(attr))
		}
		l.attributes = append(l.attributes, a)
	}
	return nil
}

// connectTimeout bounds connecting and being registered.
const connectTimeout = 10 * time.Second

func (p *program) listen(ctx context.Context, l *listening) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	client, err := p.daemon()
	if err != nil {
		return err
	}
	defer client.Close()
	if l.clientKey == "" {
		l.clientKey = p.getenv("PNS4ONES_CLIENT_KEY")
	}
	// With key and address given, no daemon is needed on this machine.
	remote := l.clientKey != "" && l.service != ""
	if l.service != "" && !strings.Contains(strings.TrimPrefix(l.service, "["), ":") {
		l.service = net.JoinHostPort(strings.Trim(l.service, "[]"), strconv.Itoa(config.DefaultSessionsPort))
	}
	if remote {
		l.registration.AppID = l.app
	} else if err := p.lookUp(ctx, client, l); err != nil {
		return err
	}
	key, err := wire.ParseClientKey(l.clientKey)
	if err != nil {
		return wrongUsage("admin.bad_client_key")
	}
	connecting, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	listen, attributes := receive, l.attributes
	if l.resume {
		var r *resuming
		r, attributes = p.resuming(l, key)
		listen = r.receive
	}
	session, err := wire.Dial(connecting, l.service, l.registration, key, attributes...)
	if err != nil {
		return failure("admin.cannot_connect", "address", l.service, "error", networkError(err))
	}
	defer session.Close()
	if !l.resume {
		defer context.AfterFunc(ctx, func() { session.Close() })()
	}

	messages := make(chan []byte)
	ended := make(chan error, 1)
	left := make(chan struct{})
	go func() {
		defer close(left)
		ended <- listen(ctx, session, messages)
	}()
	if l.resume {
		defer func() { // the goodbye has left before the program does
			stop()
			<-left
		}()
	}
	confirmed := false
	if !remote {
		if confirmed, err = registered(connecting, client, session.LocalAddr(), l.registration, ended); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	listening := either(confirmed || remote, "admin.listening", "admin.listening_unlisted")
	p.say(listening, "address", l.service, "app", l.registration.AppID)
	return p.printMessages(l.count, !confirmed, messages, ended)
}

// lookUp asks the daemon for what the flags leave out.
func (p *program) lookUp(ctx context.Context, client *control.Client, l *listening) error {
	a, err := find(ctx, client, l.app)
	if err != nil {
		return err
	}
	l.registration.AppID = a.ID
	if l.clientKey == "" {
		l.clientKey = a.ClientKey
	}
	if l.service != "" {
		return nil
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	l.service, err = reachable(status.Service)
	return err
}

// reachable turns an address that is listened on into one to connect to.
func reachable(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", failure("admin.no_address", "address", address)
	}
	if network, err := netip.ParsePrefix(host); err == nil {
		// The service admits only that network. A connection to an address of this
		// machine comes from that same address.
		host = insideOf(network)
		if host == "" {
			return "", failure("admin.no_address", "address", address)
		}
	}
	if host == "*" || host == "" || host == "localhost" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// insideOf returns an address of this machine in the network, "" if it has none.
func insideOf(network netip.Prefix) string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range addrs {
		if own, err := netip.ParsePrefix(a.String()); err == nil && network.Contains(own.Addr()) {
			return own.Addr().String()
		}
	}
	return ""
}

// receive passes on messages until the session ends.
func receive(ctx context.Context, session *wire.Client, messages chan<- []byte) error {
	for {
		text, err := session.Receive()
		if err != nil {
			return err
		}
		select {
		case messages <- text:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lookEvery is the pause between questions whether the session is there.
const lookEvery = 10 * time.Millisecond

// registered waits until the daemon has the session; the protocol has no reply.
// It is false when ctx ends while the connection lives on: behind a proxy the
// session has another address.
func registered(
	ctx context.Context, client *control.Client, local net.Addr, r wire.Registration, ended <-chan error,
) (bool, error) {
	addr := local.String()
	query := control.SessionQuery{AppID: r.AppID, IbID: r.IbID, UserID: r.UserID, Text: addr}
	for {
		page, err := client.Sessions(ctx, query)
		switch {
		case ctx.Err() != nil:
			return false, nil
		case err != nil:
			return false, err
		}
		// The text may also be the beginning of another's address.
		if slices.ContainsFunc(page.Sessions, func(s control.Session) bool { return s.Addr == addr }) {
			return true, nil
		}
		select {
		case <-ended:
			return false, failure("admin.registration_refused")
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return false, nil
		}
	}
}

// printMessages prints what comes, until count messages (0: no limit) or the end.
// With unconfirmed it is not known whether the session was accepted: an end
// before the first message then most likely says that it was not.
func (p *program) printMessages(count int, unconfirmed bool, messages <-chan []byte, ended <-chan error) error {
	for n := 0; count == 0 || n < count; n++ {
		select {
		case text := <-messages:
			if err := p.printMessage(text); err != nil {
				return err
			}
		case err := <-ended:
			switch {
			case unconfirmed && n == 0:
				return failure("admin.registration_refused")
			case errors.Is(err, io.EOF):
				return failure("admin.session_ended")
			}
			return failure("admin.session_broken", "error", networkError(err))
		}
	}
	return nil
}

// printMessage prints a frame's JSON as it is, or its contents for a person.
func (p *program) printMessage(text []byte) error {
	if p.json {
		_, err := fmt.Fprintf(p.stdout, "%s\n", text)
		return err
	}
	m, err := parseMessage(text)
	if err != nil {
		return failure("admin.session_broken", "error", err)
	}
	head := time.Now().Format("15:04:05")
	if m.Topic != "" {
		head += "  " + p.text.T("admin.message_topic", "topic", locale.Clean(m.Topic))
	}
	if m.Notification.Important {
		head += "  " + p.text.T("admin.message_important")
	}
	fmt.Fprintln(p.stdout, head)
	for _, line := range []string{m.Notification.Title, m.Notification.Body, m.Notification.Action} {
		if line != "" {
			fmt.Fprintln(p.stdout, locale.CleanLines(line))
		}
	}
	for _, pair := range m.Data {
		fmt.Fprintf(p.stdout, "  %s = %s\n", locale.Clean(pair.Key), locale.Clean(pair.Value))
	}
	return nil
}

// parseMessage reads a frame's JSON with the parser of requests, whose message
// has the same form.
func parseMessage(text []byte) (wire.Message, error) {
	request := append([]byte(`{"recipient":{"type":"all","ibid":"-"},"message":`), text...)
	_, m, err := wire.ParseRequest(append(request, '}'))
	return m, err
}
