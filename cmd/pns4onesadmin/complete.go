package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// What the shell completes with what the daemon knows. Whoever presses the key waits for
// it, so it is asked for a moment only; without an answer nothing is completed.
const completionPatience = time.Second

// maxCompletions is how many users are offered.
const maxCompletions = 100

// completeIDs has the shell know the ids that the flags app, ib and user of a command
// take, each with its name.
func (p *program) completeIDs(cmd *cobra.Command) {
	for flag, complete := range map[string]cobra.CompletionFunc{"app": p.completeApps, "ib": p.completeInfobases,
		"user": p.completeUsers} {
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, complete)
		}
	}
}

// completed asks the daemon for what can be completed.
func (p *program) completed(ask func(ctx context.Context, client *control.Client) ([]string, error)) ([]string,
	cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	client := control.NewClient(p.controlPath())
	defer client.Close()
	words, err := ask(ctx, client)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completion is an id with its name, as cobra has it: shells show both and insert the id.
func completion(id, name string) string {
	if name == "" || name == id {
		return locale.Clean(id)
	}
	return cobra.CompletionWithDesc(locale.Clean(id), locale.Clean(name))
}

func (p *program) completeApps(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) (words []string, err error) {
		apps, err := client.Apps(ctx)
		for _, a := range apps {
			words = append(words, completion(a.ID, a.Title))
		}
		return words, err
	})
}

// appGiven is the id of the app that the command line so far names; empty: it names none.
func appGiven(ctx context.Context, cmd *cobra.Command, client *control.Client) (string, error) {
	given, err := cmd.Flags().GetString("app")
	if err != nil || given == "" {
		return "", nil
	}
	a, err := find(ctx, client, given)
	return a.ID, err
}

func (p *program) completeInfobases(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) (words []string, err error) {
		appID, err := appGiven(ctx, cmd, client)
		if err != nil {
			return nil, err
		}
		found, err := client.Infobases(ctx, appID)
		for _, ib := range found {
			words = append(words, completion(ib.ID, ib.Name))
		}
		return words, err
	})
}

func (p *program) completeUsers(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) (words []string, err error) {
		appID, err := appGiven(ctx, cmd, client)
		if err != nil {
			return nil, err
		}
		found, err := client.People(ctx, appID, begun, maxCompletions)
		for _, one := range found.People {
			if strings.HasPrefix(one.UserID, begun) {
				words = append(words, completion(one.UserID, one.UserName))
			}
		}
		return words, err
	})
}

// completePeople completes the name of somebody, or the id of one who has none.
func (p *program) completePeople(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completed(func(ctx context.Context, client *control.Client) (words []string, err error) {
		appID, err := appGiven(ctx, cmd, client)
		if err != nil {
			return nil, err
		}
		found, err := client.People(ctx, appID, begun, maxCompletions)
		for _, one := range found.People {
			word := locale.Clean(one.UserName)
			if word == "" {
				word = locale.Clean(one.UserID)
			}
			if strings.HasPrefix(word, begun) {
				words = append(words, completion(word, one.IbName))
			}
		}
		return words, err
	})
}
