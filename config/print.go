package config

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pns4ones/pns4ones/config/locale"
)

// mask stands for a secret that is set.
const mask = "********"

// WriteTOML writes the settings in force as a commented pns4ones.toml. What was
// left at its default is commented out, so the file goes on following the
// defaults; a secret is masked, and commented out as well.
func WriteTOML(w io.Writer, r *Result, text *locale.Localizer) error {
	out := bufio.NewWriter(w)
	for i := range settings {
		s := &settings[i]
		if i > 0 {
			fmt.Fprintln(out)
		}
		help := text.T("config.help_" + s.name)
		if _, secret := s.value(&r.Config); secret {
			help += "\n" + text.T("config.secret_hidden")
		}
		for _, line := range wrap(help, 78) {
			fmt.Fprintln(out, "# "+line)
		}
		fmt.Fprintln(out, tomlLine(s, r))
	}
	return out.Flush()
}

func tomlLine(s *setting, r *Result) string {
	comment := "# "
	_, given := r.set[s.name]
	if _, secret := s.value(&r.Config); given && !secret && !s.secret {
		comment = ""
	}
	return comment + s.name + " = " + writtenValue(s, &r.Config)
}

// value is what a setting is, as it may be shown, and whether something secret is masked in
// it.
func (s *setting) value(c *Config) (shown string, secret bool) {
	value := s.get(c)
	switch {
	case s.secret && value != "":
		return mask, true
	case s.shown != nil:
		shown = s.shown(c)
		return shown, shown != value
	}
	return value, false
}

// writtenValue is the value of a setting as TOML has it; what is secret is masked.
func writtenValue(s *setting, c *Config) string {
	value, _ := s.value(c)
	switch s.kind {
	case number:
		return value
	case list:
		var items []string
		for item := range strings.SplitSeq(value, ", ") {
			if item != "" {
				items = append(items, strconv.Quote(item))
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return quoteTOML(value)
}

// quoteTOML writes a TOML basic string.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// WriteHelp writes how to call the daemon, in the form of the old product's
// manual: the usage, then every setting with its meaning.
func WriteHelp(w io.Writer, text *locale.Localizer, program string) error {
	out := bufio.NewWriter(w)
	fmt.Fprintln(out, text.T("config.usage"))
	indent := strings.Repeat(" ", utf8.RuneCountInString(program)+1)
	for i, s := range settings {
		before := indent
		if i == 0 {
			before = program + " "
		}
		fmt.Fprintf(out, "%s[-%s %s]\n", before, s.name, text.T("config.example_"+s.example))
	}
	fmt.Fprintf(out, "%s[-config %s] [-lang ru|en]\n", indent, text.T("config.example_file"))
	fmt.Fprintf(out, "%s[-check] [-print_config] [-reserve_ports] [-version] [-h]\n", indent)
	fmt.Fprintf(out, "%s install | uninstall | start | stop | where\n", program)
	fmt.Fprintf(out, "\n%s\n", text.T("config.parameters"))
	for i := range settings {
		s := &settings[i]
		describe(out, s.name, text.T("config.help_"+s.name))
		for _, choice := range describeChoices(text, s) {
			if choice.Help != "" {
				describe(out, "  "+choice.Name, choice.Help)
			}
		}
	}
	fmt.Fprintf(out, "\n%s\n", text.T("config.commands"))
	for _, name := range otherFlags {
		describe(out, name, text.T("config.help_"+name))
	}
	fmt.Fprintf(out, "\n%s\n", text.T("config.service_commands"))
	for _, name := range []string{"install", "uninstall", "start", "stop", "where"} {
		describe(out, name, text.T("config.help_"+name))
	}
	fmt.Fprintf(out, "\n%s\n", text.T("config.notes", "program", program))
	return out.Flush()
}

// Widths of the help, which fits a terminal of 80 columns.
const (
	nameWidth = 14
	helpWidth = 62
)

// describe writes a name and what it means beside it, or below it if the name is
// long.
func describe(out io.Writer, name, meaning string) {
	lines := wrap(meaning, helpWidth)
	head := "  " + name
	if utf8.RuneCountInString(head) > nameWidth {
		fmt.Fprintln(out, head)
		head = ""
	}
	for i, line := range lines {
		if i > 0 {
			head = ""
		}
		fmt.Fprintf(out, "%s%s%s\n", head, strings.Repeat(" ", max(0, nameWidth+2-utf8.RuneCountInString(head))), line)
	}
}

// wrap breaks a text into lines of at most width letters.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for word := range strings.FieldsSeq(paragraph) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				lines = append(lines, line)
				line = ""
			}
			if line != "" {
				line += " "
			}
			line += word
		}
		lines = append(lines, line)
	}
	return slices.Clip(lines)
}
