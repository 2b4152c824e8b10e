package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// sending is what the flags of send say.
type sending struct {
	app           string
	ib            string
	users, groups []string
	all           bool
	to            wire.Recipient // of those, the one that is sent to
	message       wire.Message
	data          []string
	url           string
	serverKey     string
	token         string // that the key was changed for
	insecure      bool
	require       bool     // a session for every recipient
	unconfirmed   []string // nodes that may or may not have got it
	waiting       int      // of the sessions that it was sent to, those that are away and may come back
	unnamed       int      // how many such there are at most, where the sender's way does not name them
}

// Bounds of one command.
const (
	maxRecipients = 1000
	maxBodyBytes  = 1 << 20 // of --body -; the daemon takes no larger message either
)

// sendCommand sends a message, through the control channel or as a sender does.
func (p *program) sendCommand() *cobra.Command {
	var s sending
	cmd := p.command("send", nil, func(cmd *cobra.Command, args []string) error {
		if err := s.place(args); err != nil {
			return err
		}
		return p.send(cmd.Context(), &s)
	})
	cmd.Use = "send --app … --ib … --user … | --group … | --all [<" + p.text.T("admin.arg_text") + ">]"
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
		}
		return nil
	}
	flags := cmd.Flags()
	flags.StringVar(&s.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&s.ib, "ib", "", p.text.T("admin.flag_ib_name"))
	flags.StringArrayVar(&s.users, "user", nil, p.text.T("admin.flag_users"))
	flags.StringArrayVar(&s.groups, "group", nil, p.text.T("admin.flag_groups"))
	flags.BoolVar(&s.all, "all", false, p.text.T("admin.flag_all"))
	flags.StringVar(&s.message.Notification.Title, "title", "", p.text.T("admin.flag_title"))
	flags.StringVar(&s.message.Notification.Body, "body", "", p.text.T("admin.flag_body"))
	flags.StringVar(&s.message.Notification.Icon, "icon", "", p.text.T("admin.flag_icon"))
	flags.StringVar(&s.message.Notification.Action, "action", "", p.text.T("admin.flag_action"))
	flags.BoolVar(&s.message.Notification.Important, "important", false, p.text.T("admin.flag_important"))
	flags.StringVar(&s.message.Topic, "topic", "", p.text.T("admin.flag_topic"))
	flags.StringArrayVar(&s.data, "data", nil, p.text.T("admin.flag_data"))
	flags.BoolVar(&s.require, "require-delivery", false, p.text.T("admin.flag_require_delivery"))
	flags.StringVar(&s.url, "http", "", p.text.T("admin.flag_http"))
	flags.StringVar(&s.serverKey, "server-key", "", p.text.T("admin.flag_server_key"))
	flags.BoolVar(&s.insecure, "insecure", false, p.text.T("admin.flag_insecure"))
	p.completeNames(cmd)
	return cmd
}

// place puts the text of the command line where there is room for it.
func (s *sending) place(args []string) error {
	if len(args) == 0 {
		return nil
	}
	n := &s.message.Notification
	switch {
	case n.Title == "":
		n.Title = args[0]
	case n.Body == "":
		n.Body = args[0]
	default:
		return wrongUsage("admin.text_twice")
	}
	return nil
}

// sentTo is what came of sending to one recipient.
type sentTo struct {
	User     string `json:"user_id,omitempty"`
	Group    string `json:"user_group,omitempty"`
	Sessions int    `json:"sessions"`
}

func (p *program) send(ctx context.Context, s *sending) error {
	if err := s.complete(); err != nil {
		return err
	}
	if err := p.readBody(s); err != nil {
		return err
	}
	deliver, done, err := p.deliverer(ctx, s)
	if err != nil {
		return err
	}
	defer done()
	recipients := s.recipients()
	results := []sentTo{}
	sessions := 0
	for _, to := range recipients {
		n, err := deliver(ctx, to)
		if err != nil {
			if len(recipients) > 1 {
				p.warn("admin.sent_partly", "done", len(results), "all", len(recipients), "at",
					locale.Clean(nameOf(to)))
			}
			return err
		}
		results = append(results, sentTo{to.UserID, to.UserGroup, n})
		sessions += n
	}
	return p.reportSent(s, results, sessions)
}

// reportSent says how many sessions got it, and who did not.
func (p *program) reportSent(s *sending, results []sentTo, sessions int) error {
	var without []string
	for _, r := range results {
		if r.Sessions == 0 {
			without = append(without, r.User+r.Group)
		}
	}
	if sessions > 0 {
		p.say("admin.sent", "N", sessions)
	}
	if s.waiting > 0 {
		p.say("admin.sent_waiting", "waiting", s.waiting)
	}
	slices.Sort(s.unconfirmed)
	unconfirmed := slices.Compact(s.unconfirmed)
	p.unconfirmed(unconfirmed)
	if s.unnamed > 0 {
		p.warn("admin.unconfirmed_count", "N", s.unnamed)
	}
	unusable := s.message.UnusableKeys()
	if len(unusable) > 0 {
		p.warn("admin.unusable_keys", "keys", quoted(unusable))
	}
	if p.json {
		object := struct {
			Sessions         int      `json:"sessions"`
			Waiting          int      `json:"waiting,omitempty"` // of these, those that are away and may come back
			UnconfirmedNodes []string `json:"unconfirmed_nodes,omitempty"`
			Unconfirmed      int      `json:"unconfirmed,omitempty"` // how many nodes, with --http
			Recipients       []sentTo `json:"recipients,omitempty"`
			UnusableKeys     []string `json:"unusable_keys,omitempty"`
		}{sessions, s.waiting, unconfirmed, s.unnamed, nil, unusable}
		if len(results) > 1 {
			object.Recipients = results
		}
		if err := p.printJSON(object); err != nil {
			return err
		}
	}
	var undelivered *locale.Text
	switch {
	case len(without) == 0:
		return nil
	case sessions > 0:
		undelivered = locale.NewText("admin.sent_to_some", "who", quoted(without))
	case len(s.groups) > 0:
		undelivered = locale.NewText("admin.sent_to_no_group")
	default:
		undelivered = locale.NewText("admin.sent_to_nobody")
	}
	if s.require {
		return undeliveredError{undelivered}
	}
	if !p.quiet {
		fmt.Fprintln(p.stderr, p.text.Error(undelivered))
	}
	return nil
}

// nameOf is what a recipient is called on the command line.
func nameOf(to wire.Recipient) string { return to.UserID + to.UserGroup }

// quoted lists words, each in quotation marks: one may be empty, or end in a blank.
func quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = `"` + locale.Clean(word) + `"`
	}
	return strings.Join(all, ", ")
}

// complete checks who is to get the message and works out the data.
func (s *sending) complete() error {
	named := 0
	for _, given := range []bool{len(s.users) > 0, len(s.groups) > 0, s.all} {
		if given {
			named++
		}
	}
	switch {
	case named != 1 || slices.Contains(s.users, "") || slices.Contains(s.groups, ""):
		return wrongUsage("admin.one_recipient")
	case len(s.users) > maxRecipients || len(s.groups) > maxRecipients:
		return wrongUsage("admin.too_many_recipients", "most", maxRecipients)
	case s.ib == "":
		return wrongUsage("admin.needs_flag", "flag", "--ib")
	case s.app == "" && s.url == "":
		return wrongUsage("admin.needs_flag", "flag", "--app")
	case s.url == "" && (s.serverKey != "" || s.insecure):
		return wrongUsage("admin.needs_flag", "flag", "--http")
	}
	for _, item := range s.data {
		key, value, ok := strings.Cut(item, "=")
		if !ok {
			return wrongUsage("admin.bad_data", "item", locale.Clean(item))
		}
		s.message.Data = append(s.message.Data, wire.Pair{Key: key, Value: value})
	}
	if string(s.message.AppendJSON(nil)) == "{}" {
		return wrongUsage("admin.empty_message")
	}
	return nil
}

// readBody reads a body that comes from standard input.
func (p *program) readBody(s *sending) error {
	body := &s.message.Notification.Body
	if *body != "-" {
		return nil
	}
	if p.onTerminal() {
		p.say("admin.reading_body")
	}
	content, err := io.ReadAll(io.LimitReader(p.stdin, maxBodyBytes+1))
	switch {
	case err != nil:
		return failure("admin.cannot_read", "path", "-", "error", files.WithoutPath(err))
	case len(content) > maxBodyBytes:
		return wrongUsage("admin.body_too_large")
	case !utf8.Valid(content):
		return wrongUsage("admin.body_not_utf8")
	}
	*body = strings.TrimRight(string(content), "\r\n")
	if string(s.message.AppendJSON(nil)) == "{}" {
		return wrongUsage("admin.empty_message")
	}
	return nil
}

// recipients are those that the flags name, each once.
func (s *sending) recipients() []wire.Recipient {
	if s.all {
		return []wire.Recipient{{Type: wire.ToAll, IbID: s.ib}}
	}
	var all []wire.Recipient
	add := func(to wire.Recipient) {
		if !slices.Contains(all, to) {
			all = append(all, to)
		}
	}
	for _, user := range s.users {
		add(wire.Recipient{Type: wire.ToUser, IbID: s.ib, UserID: user})
	}
	for _, group := range s.groups {
		add(wire.Recipient{Type: wire.ToGroup, IbID: s.ib, UserGroup: group})
	}
	return all
}

// deliver sends the message to one recipient and returns how many sessions that reached.
type deliver func(ctx context.Context, to wire.Recipient) (sessions int, err error)

// deliverer is the way that the message goes. Call done in the end.
func (p *program) deliverer(ctx context.Context, s *sending) (way deliver, done func(), err error) {
	if s.url == "" {
		return p.throughControl(ctx, s)
	}
	if s.serverKey == "" {
		s.serverKey = p.getenv("PNS4ONES_SERVER_KEY")
	}
	if s.serverKey == "" {
		return nil, nil, wrongUsage("admin.needs_server_key")
	}
	return func(ctx context.Context, to wire.Recipient) (int, error) {
		s.to = to
		return sendOverHTTP(ctx, s)
	}, func() {}, nil
}

// throughControl finds out which ids the names of the command line mean, and sends through
// the control channel.
func (p *program) throughControl(ctx context.Context, s *sending) (way deliver, done func(), err error) {
	client, err := p.daemon()
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			client.Close()
		}
	}()
	a, err := find(ctx, client, s.app)
	if err != nil {
		return nil, nil, err
	}
	if s.ib, err = p.infobaseID(ctx, client, a.ID, s.ib); err != nil {
		return nil, nil, err
	}
	for i := range s.users {
		if s.users[i], err = p.userID(ctx, client, a.ID, s.ib, s.users[i]); err != nil {
			return nil, nil, err
		}
	}
	return func(ctx context.Context, to wire.Recipient) (int, error) {
		sent, err := client.SendCounting(ctx, a.ID, to, s.message)
		s.waiting += sent.Waiting
		s.unconfirmed = append(s.unconfirmed, sent.UnconfirmedNodes...)
		return sent.Sessions, err
	}, client.Close, nil
}
