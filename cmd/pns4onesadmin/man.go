package main

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
)

// manTexts are the texts of the manual pages, manpages/LANG/NAME.SECTION.md, in the
// Markdown of roff.go. Commands, flags and settings come into them from the program.
//
//go:embed manpages/*/*.md
var manTexts embed.FS

// manNames are the pages that there are in each language.
var manNames = []string{"pns4ones.8", "pns4onesadmin.8", "pns4ones.toml.5"}

// manCommand writes the manual pages of both programs. Packages are built with it,
// so the help does not list it.
func (p *program) manCommand() *cobra.Command {
	cmd := p.command("man", []string{"folder"}, func(_ *cobra.Command, args []string) error {
		date, err := p.manDate()
		if err != nil {
			return err
		}
		for _, lang := range []locale.Lang{locale.English, locale.Russian} {
			for _, name := range manNames {
				file := filepath.Join(args[0], filepath.FromSlash(manPath(lang, name)))
				page, err := manPage(lang, name, date)
				if err != nil {
					return err
				}
				folder := filepath.Dir(file)
				if err := os.MkdirAll(folder, 0o755); err != nil {
					return failure("admin.cannot_make_folder", "path", folder, "error", files.WithoutPath(err))
				}
				if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
					return failure("admin.cannot_write", "path", file, "error", files.WithoutPath(err))
				}
				if _, err := fmt.Fprintln(p.stdout, file); err != nil {
					return err
				}
			}
		}
		return nil
	})
	cmd.Hidden = true
	cmd.ValidArgsFunction = nil // folders
	return cmd
}

// manPath is where man(1) looks for a page, below a folder like /usr/share/man.
func manPath(lang locale.Lang, name string) string {
	folder := "man" + strings.TrimPrefix(path.Ext(name), ".")
	if lang != locale.English {
		folder = path.Join(string(lang), folder)
	}
	return path.Join(folder, name)
}

// manDate is the day that the pages bear: that of SOURCE_DATE_EPOCH, so that a
// package built again is the same, else today.
func (p *program) manDate() (time.Time, error) {
	epoch := p.getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return time.Now().UTC(), nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return time.Time{}, failure("admin.bad_source_date", "value", locale.Clean(epoch))
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// manPage is a whole page in the language of man(7). An error is a mistake in its
// text, which the tests would have found.
func manPage(lang locale.Lang, name string, date time.Time) (string, error) {
	source := path.Join("manpages", string(lang), name+".md")
	text, err := manTexts.ReadFile(source)
	if err != nil {
		return "", err
	}
	t, err := template.New(source).Funcs(manFunctions).Parse(string(text))
	if err != nil {
		return "", err
	}
	var filled bytes.Buffer
	if err := t.Execute(&filled, manDataIn(lang)); err != nil {
		return "", err
	}
	// The first line is the title of the manual.
	manual, body, _ := strings.Cut(filled.String(), "\n")
	section := strings.TrimPrefix(path.Ext(name), ".")
	title := strings.ToUpper(strings.TrimSuffix(name, "."+section))
	var page strings.Builder
	page.WriteString(`'\" -*- coding: UTF-8 -*-` + "\n")
	fmt.Fprintf(&page, ".\\\" Written by “%s man”.\n", commandName)
	fmt.Fprintf(&page, ".TH %s %s %s \"pns4ones %s\" \"%s\"\n",
		title, section, date.Format(time.DateOnly), version, strings.TrimPrefix(manual, "% "))
	// Words are neither divided nor spread: what is typed must be found in one piece.
	// A line of the source that ends a sentence makes no wider gap.
	page.WriteString(".nh\n.ad l\n.ss 12 0\n")
	page.WriteString(roff(body))
	return page.String(), nil
}

// manData is what the texts take from the program.
type manData struct {
	Commands    []describedCommand // those that the help lists
	GlobalFlags []describedFlag    // of every command
	Settings    []config.Description
	OtherFlags  []config.Description // of the daemon
	Paths       config.Paths         // of the packaged service
	Exit        exitStatuses
}

type describedCommand struct {
	Name, Arguments, Meaning string
	Flags                    []describedFlag
}

// describedFlag is a flag; Value names what it takes, if anything.
type describedFlag struct{ Shorthand, Name, Value, Meaning, Default string }

// exitStatuses are the exit statuses of the admin program.
type exitStatuses struct{ Done, Failed, Usage, Unreachable, NotFound, Undelivered int }

func manDataIn(lang locale.Lang) manData {
	text := locale.New(lang)
	p := &program{
		getenv: func(string) string { return "" },
		stdin:  strings.NewReader(""),
		stdout: io.Discard,
		stderr: io.Discard,
		text:   text,
	}
	root := p.rootCommand()
	root.InitDefaultHelpCmd()
	data := manData{
		GlobalFlags: manFlags(root.PersistentFlags()),
		Settings:    config.DescribeSettings(text, config.ServicePaths()),
		OtherFlags:  config.DescribeOtherFlags(text),
		Paths:       config.ServicePaths(),
		Exit:        exitStatuses{exitDone, exitFailed, exitUsage, exitUnreachable, exitNotFound, exitUndelivered},
	}
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			_, arguments, _ := strings.Cut(cmd.Use, " ")
			described := describedCommand{cmd.Name(), arguments, cmd.Short, manFlags(ownFlags(cmd))}
			data.Commands = append(data.Commands, described)
		}
	}
	return data
}

// manFlags describes flags. That of the help is the same everywhere: the text says
// it once.
func manFlags(flags *pflag.FlagSet) []describedFlag {
	var all []describedFlag
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		flag := describedFlag{Shorthand: f.Shorthand, Name: f.Name}
		flag.Value, flag.Meaning = pflag.UnquoteUsage(f)
		switch f.DefValue {
		case "", "false", "0", "0s", "[]": // that is: nothing
		default:
			flag.Default = f.DefValue
		}
		all = append(all, flag)
	})
	return all
}

// manFunctions are what the texts can call. All but those that return Markdown take
// and return plain texts.
var manFunctions = template.FuncMap{
	"plain":    markdown,
	"code":     func(text string) string { return "`" + text + "`" },
	"usage":    manUsage,
	"cut":      func(text, ending string) string { return strings.TrimSuffix(text, ending) },
	"unquoted": func(text string) string { return strings.Trim(text, `"[]`) },
}

var (
	manArgument = regexp.MustCompile(`<([^>]*)>`)
	manOptional = regexp.MustCompile(`\[([^]*<]*)\]`)
)

// manUsage is Markdown for what a command or a flag takes: «<app> <title>»,
// «<address>[:<port>]».
func manUsage(text string) string {
	text = manArgument.ReplaceAllString(markdown(text), "*$1*")
	return manOptional.ReplaceAllString(text, "[*$1*]")
}
