package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

// What the shell completes with what the daemon knows. Whoever presses the key waits for
// it, so it is asked for a moment only; without an answer nothing is completed.
const completionPatience = time.Second

// maxCompletions is how many users or sessions are offered.
const maxCompletions = 100

// completeNames has the shell know what the flags app, ib and user of a command take.
func (p *program) completeNames(cmd *cobra.Command) {
	for flag, complete := range map[string]cobra.CompletionFunc{
		"app": p.completeApps, "ib": p.completeInfobases, "user": p.completeUsers,
	} {
		if cmd.Flags().Lookup(flag) != nil {
			cmd.RegisterFlagCompletionFunc(flag, complete)
		}
	}
}

// completed asks the daemon for what can be completed.
func (p *program) completed(
	ask func(ctx context.Context, client *control.Client) ([]string, error),
) ([]string, cobra.ShellCompDirective) {
	if p.db != "" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
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

// candidate is something that can be completed: by its name if only it has that, or by
// its id.
type candidate struct{ id, name, about string }

// offers are those candidates that begin as the person has begun, each once, as cobra has
// them: with what tells them apart beside them.
func offers(begun string, all []candidate) (words []string) {
	ids := make(map[string]string) // of each name in lower case; empty: of several
	for _, c := range all {
		name := strings.ToLower(c.name)
		if id, met := ids[name]; met && id != c.id {
			ids[name] = ""
		} else {
			ids[name] = c.id
		}
	}
	offered := make(map[string]bool)
	offer := func(word, about string) {
		word, about = locale.Clean(word), locale.Clean(about)
		if !offered[word] && strings.HasPrefix(word, begun) {
			offered[word] = true
			words = append(words, cobra.CompletionWithDesc(word, about))
		}
	}
	for _, c := range all {
		about := c.about
		if about == "" {
			about = c.id
		}
		switch {
		case c.name != "" && ids[strings.ToLower(c.name)] != "" && strings.HasPrefix(c.name, begun):
			offer(c.name, about)
		case c.name != "":
			offer(c.id, c.name)
		default:
			offer(c.id, c.about)
		}
	}
	return words
}

func (p *program) completeApps(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		apps, err := client.Apps(ctx)
		all := make([]candidate, len(apps))
		for i, a := range apps {
			all[i] = candidate{id: a.ID, name: a.Title}
		}
		return offers(begun, all), err
	})
}

// completeFirstApp completes an app where the first argument is one, and nothing else.
func (p *program) completeFirstApp(
	cmd *cobra.Command, args []string, begun string,
) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.completeApps(cmd, args, begun)
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

func (p *program) completeInfobases(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		appID, err := appGiven(ctx, cmd, client)
		if err != nil {
			return nil, err
		}
		return infobaseOffers(ctx, client, appID, begun)
	})
}

func infobaseOffers(ctx context.Context, client *control.Client, appID, begun string) ([]string, error) {
	found, err := client.Infobases(ctx, appID)
	all := make([]candidate, len(found))
	for i, ib := range found {
		all[i] = candidate{id: ib.ID, name: ib.Name}
	}
	return offers(begun, all), err
}

func (p *program) completeUsers(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		appID, err := appGiven(ctx, cmd, client)
		if err != nil {
			return nil, err
		}
		return userOffers(ctx, client, appID, begun)
	})
}

func userOffers(ctx context.Context, client *control.Client, appID, begun string) ([]string, error) {
	found, err := client.People(ctx, appID, begun, maxCompletions)
	all := make([]candidate, len(found.People))
	for i, one := range found.People {
		all[i] = candidate{id: one.UserID, name: one.UserName}
	}
	return offers(begun, all), err
}

// completeExplain completes somebody, or an app, an infobase and a user.
func (p *program) completeExplain(
	cmd *cobra.Command, args []string, begun string,
) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		switch len(args) {
		case 0:
			appID, err := appGiven(ctx, cmd, client)
			if err != nil {
				return nil, err
			}
			people, err := client.People(ctx, appID, begun, maxCompletions)
			if err != nil {
				return nil, err
			}
			var all []candidate
			for _, one := range people.People {
				all = append(all, candidate{one.UserID, one.UserName, say.Name(one.IbID, one.IbName)})
			}
			apps, err := client.Apps(ctx)
			for _, a := range apps {
				all = append(all, candidate{id: a.ID, name: a.Title})
			}
			return offers(begun, all), err
		case 1, 2:
			a, err := find(ctx, client, args[0])
			if err != nil {
				return nil, err
			}
			if len(args) == 1 {
				return infobaseOffers(ctx, client, a.ID, begun)
			}
			return userOffers(ctx, client, a.ID, begun)
		}
		return nil, nil
	})
}

// completeSessions completes the numbers of sessions, those that came last first.
func (p *program) completeSessions(
	_ *cobra.Command, args []string, begun string,
) ([]string, cobra.ShellCompDirective) {
	return p.completed(func(ctx context.Context, client *control.Client) ([]string, error) {
		page, err := client.Sessions(ctx, control.SessionQuery{Sort: "-since", Limit: maxOfPage})
		given := make(map[string]bool)
		for _, id := range args {
			given[id] = true
		}
		var all []candidate
		for _, s := range page.Sessions {
			if !given[s.ID] && strings.HasPrefix(s.ID, begun) && len(all) < maxCompletions {
				about := say.Name(s.UserID, s.UserName) + ", " + say.Name(s.IbID, s.IbName)
				all = append(all, candidate{id: s.ID, about: about})
			}
		}
		return offers(begun, all), err
	})
}
