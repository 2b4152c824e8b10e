package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/tui/cells"
)

// commandName is what the program is called in its help.
const commandName = "pns4onesadmin"

// rootCommand builds all commands, in the order of the help.
func (p *program) rootCommand() *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           commandName,
		Long:          p.text.T("admin.about"),
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				return p.printVersion()
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if _, known := locale.ParseLang(p.lang); !known && p.lang != "" {
				return wrongUsage("admin.unknown_lang", "lang", locale.Clean(p.lang))
			}
			return p.checkForm(cmd)
		},
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.Flags().BoolVar(&showVersion, "version", false, p.text.T("admin.cmd_version"))
	flags := root.PersistentFlags()
	flags.StringVar(&p.control, "control", "", p.text.T("admin.flag_control"))
	flags.StringVar(&p.db, "db", "", p.text.T("admin.flag_db"))
	flags.BoolVar(&p.json, "json", false, p.text.T("admin.flag_json"))
	flags.StringVarP(&p.form, "output", "o", "", p.text.T("admin.flag_output"))
	flags.BoolVarP(&p.quiet, "quiet", "q", false, p.text.T("admin.flag_quiet"))
	flags.StringVar(&p.lang, "lang", "", p.text.T("admin.flag_lang"))
	root.CompletionOptions.DisableDefaultCmd = true
	cobra.EnableCommandSorting = false

	root.AddCommand(p.panelCommand())
	root.AddCommand(p.appCommands()...)
	root.AddCommand(p.keysFileCommands()...)
	root.AddCommand(p.namesCommand())
	root.AddCommand(p.statusCommand())
	root.AddCommand(p.sessionCommands()...)
	root.AddCommand(
		p.infobasesCommand(),
		p.explainCommand(),
		p.nodesCommand(),
		p.clusterCommand(),
		p.logsCommand(),
		p.eventsCommand(),
		p.logLevelCommand(),
		p.reloadCommand(),
		p.upgradeCommand(),
		p.backupCommand(),
		p.sendCommand(),
		p.listenCommand(),
		p.completionCommand(root),
		p.manCommand(),
		p.versionCommand(),
	)
	root.RegisterFlagCompletionFunc("output", func(
		cmd *cobra.Command, _ []string, _ string,
	) ([]string, cobra.ShellCompDirective) {
		return allForms(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	root.RegisterFlagCompletionFunc("lang", completions("ru", "en"))
	help := &cobra.Command{
		Use: "help [" + p.text.T("admin.arg_command") + "]", Short: p.text.T("admin.cmd_help"),
		Example: p.text.T("admin.example_help"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, cmd := range root.Commands() {
				if len(args) == 0 && !cmd.Hidden {
					names = append(names, cmd.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			target, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(root, strings.Join(args, " "))
			}
			return target.Help()
		},
	}
	root.SetHelpCommand(help)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { p.writeHelp(cmd.OutOrStdout(), cmd) })
	for _, cmd := range append(root.Commands(), help, root) {
		cmd.DisableFlagsInUseLine = true
		cmd.Flags().SortFlags = false // the help has them as the commands do
		cmd.InitDefaultHelpFlag()
		cmd.Flags().Lookup("help").Usage = p.text.T("admin.flag_help")
	}
	return root
}

// unknownCommand says that there is no such command, and which may have been meant.
func unknownCommand(root *cobra.Command, name string) error {
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return wrongUsage("admin.unknown_command_near", "command", locale.Clean(name), "near", strings.Join(near, ", "))
	}
	return wrongUsage("admin.unknown_command", "command", locale.Clean(name))
}

// command makes a command whose description is the text admin.cmd_NAME and whose
// arguments are named by texts admin.arg_….
func (p *program) command(
	name string, arguments []string, run func(cmd *cobra.Command, args []string) error,
) *cobra.Command {
	use := name
	for _, argument := range arguments {
		use += " <" + p.text.T("admin.arg_"+argument) + ">"
	}
	return &cobra.Command{
		Use: use, Short: p.text.T("admin.cmd_" + name), Example: p.text.T("admin.example_" + name),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != len(arguments) {
				return wrongUsage("admin.wrong_arguments", "usage", commandName+" "+cmd.Use)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              run,
	}
}

// writeHelp writes the help in the form of the old product's manual.
func (p *program) writeHelp(w io.Writer, cmd *cobra.Command) {
	if cmd.HasParent() {
		for _, line := range cells.Wrap(cmd.Short, nameWidth+1+helpWidth) {
			fmt.Fprintln(w, line)
		}
		fmt.Fprintf(w, "\n%s\n  %s\n", p.text.T("admin.usage"), cmd.UseLine())
	} else {
		usage := p.text.T("admin.usage_line", "program", commandName)
		fmt.Fprintf(w, "%s\n\n%s\n  %s\n", cmd.Long, p.text.T("admin.usage"), usage)
		fmt.Fprintf(w, "\n%s\n", p.text.T("admin.commands"))
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				writeMeaning(w, c.Name(), c.Short)
			}
		}
	}
	p.writeFlags(w, "admin.flags", ownFlags(cmd))
	if !cmd.HasParent() {
		p.writeFlags(w, "admin.global_flags", cmd.Root().PersistentFlags())
		fmt.Fprintf(w, "\n%s\n", p.text.T("admin.epilogue", "program", commandName))
		return
	}
	fmt.Fprintf(w, "\n%s\n", p.text.T("admin.examples"))
	for line := range strings.Lines(cmd.Example) {
		fmt.Fprintf(w, "  %s %s\n", commandName, strings.TrimRight(line, "\n"))
	}
	var common []string
	cmd.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) { common = append(common, flagName(f)) })
	line := p.text.T("admin.common_flags", "flags", strings.Join(common, ", "), "program", commandName)
	fmt.Fprintln(w)
	for _, part := range cells.Wrap(line, nameWidth+1+helpWidth) {
		fmt.Fprintln(w, part)
	}
}

// flagName is a flag as its commands take it, by its shortest name.
func flagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand
	}
	if placeholder, _ := pflag.UnquoteUsage(f); f.Value.Type() != "bool" {
		name += " <" + placeholder + ">"
	}
	return name
}

// ownFlags are the flags of a command alone, in the order in which it has them.
func ownFlags(cmd *cobra.Command) *pflag.FlagSet {
	flags := cmd.LocalNonPersistentFlags()
	flags.SortFlags = false
	return flags
}

// Widths of the help, which fits a terminal of 80 columns.
const (
	nameWidth = 14
	helpWidth = 64
)

// writeFlags describes flags below a heading.
func (p *program) writeFlags(w io.Writer, heading string, flags *pflag.FlagSet) {
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if first {
			fmt.Fprintf(w, "\n%s\n", p.text.T(heading))
			first = false
		}
		placeholder, meaning := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if f.Value.Type() != "bool" {
			name += " <" + placeholder + ">"
		}
		writeMeaning(w, name, meaning)
	})
}

// writeMeaning writes a name and its meaning beside it, or below it if the name is
// long.
func writeMeaning(w io.Writer, name, meaning string) {
	below := strings.Repeat(" ", nameWidth+1)
	line := "  " + cells.Left(name, nameWidth-2) + " "
	if cells.Width(name) > nameWidth-2 {
		fmt.Fprintln(w, "  "+name)
		line = below
	}
	width := 0
	for word := range strings.FieldsSeq(meaning) {
		if width > 0 && width+1+cells.Width(word) > helpWidth {
			fmt.Fprintln(w, line)
			line, width = below, 0
		}
		if width > 0 {
			line += " "
			width++
		}
		line += word
		width += cells.Width(word)
	}
	fmt.Fprintln(w, line)
}

// completions are values that the shell knows of a flag.
func completions(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

func (p *program) versionCommand() *cobra.Command {
	return p.command("version", nil, func(*cobra.Command, []string) error { return p.printVersion() })
}

func (p *program) printVersion() error {
	_, err := fmt.Fprintln(p.stdout, commandName, version)
	return err
}
