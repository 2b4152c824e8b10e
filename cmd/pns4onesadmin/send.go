package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// sending is what the flags of send say.
type sending struct {
	app       string
	to        wire.Recipient
	all       bool
	message   wire.Message
	data      []string
	url       string
	serverKey string
	insecure  bool
}

// sendCommand sends a message, through the control channel or as a sender does.
func (p *program) sendCommand() *cobra.Command {
	var s sending
	cmd := p.command("send", nil, func(cmd *cobra.Command, _ []string) error { return p.send(cmd.Context(), &s) })
	flags := cmd.Flags()
	flags.StringVar(&s.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&s.to.IbID, "ib", "", p.text.T("admin.flag_ib"))
	flags.StringVar(&s.to.UserID, "user", "", p.text.T("admin.flag_user"))
	flags.StringVar(&s.to.UserGroup, "group", "", p.text.T("admin.flag_group"))
	flags.BoolVar(&s.all, "all", false, p.text.T("admin.flag_all"))
	flags.StringVar(&s.message.Notification.Title, "title", "", p.text.T("admin.flag_title"))
	flags.StringVar(&s.message.Notification.Body, "body", "", p.text.T("admin.flag_body"))
	flags.StringVar(&s.message.Notification.Icon, "icon", "", p.text.T("admin.flag_icon"))
	flags.StringVar(&s.message.Notification.Action, "action", "", p.text.T("admin.flag_action"))
	flags.BoolVar(&s.message.Notification.Important, "important", false, p.text.T("admin.flag_important"))
	flags.StringVar(&s.message.Topic, "topic", "", p.text.T("admin.flag_topic"))
	flags.StringArrayVar(&s.data, "data", nil, p.text.T("admin.flag_data"))
	flags.StringVar(&s.url, "http", "", p.text.T("admin.flag_http"))
	flags.StringVar(&s.serverKey, "server-key", "", p.text.T("admin.flag_server_key"))
	flags.BoolVar(&s.insecure, "insecure", false, p.text.T("admin.flag_insecure"))
	p.completeIDs(cmd)
	return cmd
}

func (p *program) send(ctx context.Context, s *sending) error {
	if err := s.complete(); err != nil {
		return err
	}
	var sessions int
	var err error
	if s.url != "" {
		if s.serverKey == "" {
			s.serverKey = p.getenv("PNS4ONES_SERVER_KEY")
		}
		if s.serverKey == "" {
			return wrongUsage("admin.needs_server_key")
		}
		sessions, err = sendOverHTTP(ctx, s)
	} else {
		sessions, err = p.sendThroughControl(ctx, s)
	}
	if err != nil {
		return err
	}
	switch {
	case sessions > 0:
		p.say("admin.sent", "N", sessions)
	case s.to.Type == wire.ToGroup:
		p.say("admin.sent_to_no_group")
	default:
		p.say("admin.sent_to_nobody")
	}
	unusable := s.message.UnusableKeys()
	if len(unusable) > 0 {
		p.say("admin.unusable_keys", "keys", quoted(unusable))
	}
	if p.json {
		return p.printJSON(struct {
			Sessions     int      `json:"sessions"`
			UnusableKeys []string `json:"unusable_keys,omitempty"`
		}{sessions, unusable})
	}
	return nil
}

// quoted lists words, each in quotation marks: one may be empty, or end in a blank.
func quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = `"` + locale.Clean(word) + `"`
	}
	return strings.Join(all, ", ")
}

// complete works out the recipient's type and the data.
func (s *sending) complete() error {
	named := 0
	for t, given := range map[wire.RecipientType]bool{
		wire.ToUser:  s.to.UserID != "",
		wire.ToGroup: s.to.UserGroup != "",
		wire.ToAll:   s.all,
	} {
		if given {
			s.to.Type = t
			named++
		}
	}
	switch {
	case named != 1:
		return wrongUsage("admin.one_recipient")
	case s.to.IbID == "":
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

func (p *program) sendThroughControl(ctx context.Context, s *sending) (int, error) {
	client, err := p.daemon()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	a, err := find(ctx, client, s.app)
	if err != nil {
		return 0, err
	}
	return client.Send(ctx, a.ID, s.to, s.message)
}
