package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui"
)

// panelCommand opens the panel.
func (p *program) panelCommand() *cobra.Command {
	var mouse bool
	var background string
	cmd := p.command("tui", nil, func(cmd *cobra.Command, _ []string) error {
		shade := tui.Background(background)
		switch shade {
		case tui.BackgroundAuto, tui.BackgroundDark, tui.BackgroundLight:
		default:
			return wrongUsage("admin.bad_background", "background", locale.Clean(background))
		}
		if p.json {
			return wrongUsage("admin.no_json")
		}
		in, out, ok := p.terminals()
		if !ok {
			return failure("admin.no_terminal")
		}
		return p.withDaemon(func(client *control.Client) error {
			// Why the daemon cannot be reached is said better here than in the panel.
			if _, err := client.Status(cmd.Context()); err != nil {
				return err
			}
			err := tui.Run(cmd.Context(), tui.Options{
				Daemon:     client,
				Text:       p.text,
				In:         in,
				Out:        out,
				Getenv:     p.getenv,
				Mouse:      mouse,
				Background: shade,
			})
			if errors.Is(err, tui.ErrNoTerminal) {
				return failure("admin.no_terminal")
			}
			return err
		})
	})
	cmd.Flags().BoolVar(&mouse, "mouse", false, p.text.T("admin.flag_mouse"))
	cmd.Flags().StringVar(&background, "background", string(tui.BackgroundAuto), p.text.T("admin.flag_background"))
	cmd.RegisterFlagCompletionFunc("background", completions("auto", "dark", "light"))
	return cmd
}
