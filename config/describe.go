package config

import (
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// Description is what a person is told of a setting, or of a flag that is none,
// in one language.
type Description struct {
	Name    string
	Example string // a placeholder of its value, «<address>[:<port>]»; empty: it takes none
	Help    string

	// Of settings alone:

	Variable    string        // in the environment
	Default     string        // as it is written in TOML
	Choices     []Description // the values, if they are few; those that explain themselves have no Help
	Least, Most string        // the limits, if it has any
	Reload      string        // whether it can change while the daemon runs
}

// DescribeSettings describes all settings, in the order of the table. The
// defaults are those of a daemon with these places.
func DescribeSettings(text *locale.Localizer, p Paths) []Description {
	byDefault := &Result{Config: Default(p)}
	all := make([]Description, len(settings))
	for i := range settings {
		s := &settings[i]
		all[i] = Description{
			Name: s.name, Example: text.T("config.example_" + s.example), Help: text.T("config.help_" + s.name),
			Variable: variable(s.name), Default: writtenValue(s, &byDefault.Config),
			Choices: describeChoices(text, s), Least: s.limits.least, Most: s.limits.most,
			Reload: text.T("config.reload_never"),
		}
		if s.live.possible != nil {
			all[i].Reload = text.T("config.reload_" + s.live.rule)
		}
	}
	return all
}

// describeChoices describes the values of a setting that has a choice of them.
func describeChoices(text *locale.Localizer, s *setting) []Description {
	var choices []Description
	for _, name := range s.limits.choices {
		choice := Description{Name: name}
		id := "config.help_" + s.name + "_" + name
		if help := text.T(id); help != id {
			choice.Help = help
		}
		choices = append(choices, choice)
	}
	return choices
}

// DescribeOtherFlags describes the daemon's flags that are no settings.
func DescribeOtherFlags(text *locale.Localizer) []Description {
	all := make([]Description, len(otherFlags))
	for i, name := range otherFlags {
		all[i] = Description{Name: name, Help: text.T("config.help_" + name)}
		switch name {
		case "config":
			all[i].Example = text.T("config.example_file")
		case "lang":
			all[i].Example = strings.Join(languages, "|")
		}
	}
	return all
}
