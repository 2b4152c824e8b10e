package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

// explained is about whom explain is asked.
type explained struct {
	who                  string // a part of a user's id or name; empty: the others say it
	app, ib, user, group string
}

// maxExplained is how many users of a name are explained; of more the list is shown.
const maxExplained = 5

// explainCommand says why a message did or did not arrive.
func (p *program) explainCommand() *cobra.Command {
	var about explained
	cmd := p.command("explain", nil, func(cmd *cobra.Command, args []string) error {
		if err := about.take(args); err != nil {
			return err
		}
		return p.withDaemon(func(client *control.Client) error { return p.explain(cmd.Context(), client, about) })
	})
	who, appArg := "<"+p.text.T("admin.arg_who")+">", "<"+p.text.T("admin.arg_app")+">"
	cmd.Use = "explain " + who + " | " + appArg + " <" + p.text.T("admin.arg_ib") + "> " + who
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 || len(args) > 3 || slices.Contains(args, "") {
			return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
		}
		return nil
	}
	cmd.ValidArgsFunction = p.completeExplain
	flags := cmd.Flags()
	flags.StringVar(&about.app, "app", "", p.text.T("admin.flag_app"))
	flags.StringVar(&about.ib, "ib", "", p.text.T("admin.flag_ib_name"))
	flags.StringVar(&about.user, "user", "", p.text.T("admin.flag_user_name"))
	flags.StringVar(&about.group, "group", "", p.text.T("admin.flag_group"))
	p.completeNames(cmd)
	return cmd
}

// take puts the arguments in their places and checks what there is.
func (about *explained) take(args []string) error {
	byFlag := about.ib != "" || about.user != "" || about.group != ""
	switch {
	case len(args) == 3 && (byFlag || about.app != ""):
		return wrongUsage("admin.explain_who_or_ids")
	case len(args) == 3:
		about.app, about.ib, about.user = args[0], args[1], args[2]
	case len(args) == 1:
		about.who = args[0]
	}
	switch {
	case about.who != "" && byFlag:
		return wrongUsage("admin.explain_who_or_ids")
	case about.who != "":
		return nil
	case about.app == "":
		return wrongUsage("admin.needs_flag", "flag", "--app")
	case about.ib == "":
		return wrongUsage("admin.needs_flag", "flag", "--ib")
	case about.user == "" && about.group == "":
		return wrongUsage("admin.needs_flag", "flag", "--user")
	}
	return nil
}

func (p *program) explain(ctx context.Context, client *control.Client, about explained) error {
	apps, err := client.Apps(ctx)
	if err != nil {
		return err
	}
	appID := ""
	if about.app != "" {
		a, err := match(apps, about.app)
		if err != nil {
			return err
		}
		appID = a.ID
	}
	if about.who != "" {
		return p.explainPeople(ctx, client, apps, appID, about.who)
	}
	if about.ib, err = p.infobaseID(ctx, client, appID, about.ib); err != nil {
		return err
	}
	if about.user != "" {
		if about.user, err = p.userID(ctx, client, appID, about.ib, about.user); err != nil {
			return err
		}
	}
	explanation, err := client.Explain(ctx, appID, about.ib, about.user, about.group)
	if err != nil {
		return err
	}
	if p.json {
		return p.printJSON(explanation)
	}
	return p.printExplanation(explanation, apps)
}

func (p *program) printExplanation(explanation control.Explanation, apps []control.App) error {
	for _, line := range p.words(apps).Explanation(explanation, time.Now()) {
		if _, err := fmt.Fprintln(p.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// explainPeople explains the users of a name: those who are called just so, or else all
// whose id or name has it.
func (p *program) explainPeople(ctx context.Context, client *control.Client, apps []control.App, appID,
	who string) error {
	found, err := client.People(ctx, appID, who, 0)
	if err != nil {
		return err
	}
	p.missing(found.MissingNodes)
	people, total := meant(found.People), found.Total
	if len(people) < len(found.People) {
		total = len(people)
	}
	words := p.words(apps)
	switch {
	case total == 0:
		return notFoundError{locale.NewText("admin.nobody_of_this_name", "who", locale.Clean(who))}
	case total > maxExplained:
		if err := p.printPeople(people, words); err != nil {
			return err
		}
		if more := total - len(people); more > 0 && !p.json {
			p.say("live.and_more", "N", more)
		}
		return failure("admin.many_of_this_name", "N", total)
	}
	explanations := []control.Explanation{}
	for i, one := range people {
		if one.IbID == "" {
			if !p.json {
				fmt.Fprintln(p.stdout, words.Text.T("live.explain_only_name", "user",
					say.InFull(one.UserID, one.UserName), "app", words.App(one.AppID)))
			}
			continue
		}
		explanation, err := client.Explain(ctx, one.AppID, one.IbID, one.UserID, "")
		if err != nil {
			return err
		}
		if p.json {
			explanations = append(explanations, explanation)
			continue
		}
		if i > 0 {
			fmt.Fprintln(p.stdout)
		}
		fmt.Fprintln(p.stdout, words.Text.T("live.explain_heading",
			"user", say.InFull(one.UserID, one.UserName), "ib", say.InFull(one.IbID, one.IbName),
			"app", words.App(one.AppID)))
		if err := p.printExplanation(explanation, apps); err != nil {
			return err
		}
	}
	if p.json {
		return p.printJSON(explanations)
	}
	return nil
}

// meant are those who match exactly, if there are such, or else all.
func meant(people []control.Person) []control.Person {
	exact := 0
	for exact < len(people) && people[exact].Exact {
		exact++
	}
	if exact > 0 {
		return people[:exact]
	}
	return people
}

func (p *program) printPeople(people []control.Person, words say.Words) error {
	if p.json {
		return p.printJSON(people)
	}
	rows := make([][]string, len(people))
	for i, one := range people {
		rows[i] = []string{
			p.named(one.UserID, one.UserName), p.named(one.IbID, one.IbName), words.App(one.AppID),
			count(p, one.Sessions), p.shortID(one.UserID),
		}
	}
	p.printTable([]column{
		{title: p.text.T("admin.column_user")},
		{title: p.text.T("admin.column_ib")},
		{title: p.text.T("admin.column_app")},
		{title: p.text.T("admin.column_sessions"), number: true},
		{title: p.text.T("admin.column_name_id")},
	}, rows)
	return nil
}
