package config

import (
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// command is what the flags say.
type command struct {
	mode   Mode
	file   string // of -config
	values []given
}

// switches are the flags that take no value.
var switches = map[string]Mode{
	"h": ModeHelp, "help": ModeHelp, "?": ModeHelp,
	"version":      ModeVersion,
	"check":        ModeCheck,
	"print_config": ModePrintConfig,

	"reserve_ports": ModeReservePorts,
}

// otherFlags are the flags that are no settings, in the order of the help.
var otherFlags = []string{"config", "lang", "check", "print_config", "reserve_ports", "version", "h"}

// languages are the values of -lang, of which locale.Detect makes the most.
var languages = []string{string(locale.Russian), string(locale.English)}

// LangFlag returns the value of -lang; empty if there is none. It is needed before
// Load, whose own errors are to be said in that language.
func LangFlag(args []string) string {
	lang := ""
	for i, word := range args {
		name, value, hasValue := cutFlag(word)
		if name == "" {
			name, value, hasValue = cutBare(word)
		}
		switch {
		case name != "lang":
		case hasValue:
			lang = value
		case i+1 < len(args):
			lang = args[i+1]
		}
	}
	return lang
}

// parseFlags reads the command line in the old product's spellings: -name value,
// -name=value, the same after «/» and «--», and name=value. What follows a path's flag and
// begins with «/» is its value, even if there is a flag of that name: a folder
// may be called /config.
func (l *loader) parseFlags(args []string) command {
	var c command
	for len(args) > 0 {
		word := args[0]
		args = args[1:]
		name, value, hasValue := cutFlag(word)
		if name == "" {
			name, value, hasValue = cutBare(word)
		}
		if name == "" {
			l.misused(word, locale.NewText("config.stray_word"))
			continue
		}
		if mode, ok := switches[name]; ok {
			if hasValue {
				l.misused("-"+name, locale.NewText("config.takes_no_value"))
				continue
			}
			// Help beats everything else that is asked for.
			if c.mode != ModeHelp {
				c.mode = mode
			}
			continue
		}
		s, known := lookup(name)
		isConfig, isLang := name == "config", name == "lang"
		if !known && !isConfig && !isLang {
			l.misused("-"+name, locale.NewText("config.unknown_flag", "near", didYouMean(name, flagNames())))
			// Its value, if it has one, is not a stray word of its own.
			if !hasValue && len(args) > 0 && !isFlag(args[0]) {
				args = args[1:]
			}
			continue
		}
		if !hasValue {
			slashed := (isConfig || known && s.free) && len(args) > 0 && strings.HasPrefix(args[0], "/")
			if len(args) == 0 || isFlag(args[0]) && !slashed {
				l.misused("-"+name, locale.NewText("config.needs_value"))
				continue
			}
			value, args = args[0], args[1:]
		}
		if isLang {
			if _, ok := locale.ParseLang(value); !ok {
				l.misused("-"+name, wrongChoice(value, languages))
			}
			continue
		}
		if isConfig {
			if c.file = value; value == "" {
				l.misused("-"+name, locale.NewText("config.needs_value"))
			}
			continue
		}
		c.values = append(c.values, given{s, value, Problem{Key: "-" + name}})
	}
	return c
}

// misused notes that the command line itself is wrong.
func (l *loader) misused(word string, what *locale.Text) {
	l.usage = true
	l.problems = append(l.problems, &Problem{Key: word, What: what})
}

// cutFlag takes a word of the command line apart; name is empty if it is no flag.
func cutFlag(word string) (name, value string, hasValue bool) {
	rest := strings.TrimPrefix(word, "-")
	if rest == word {
		rest = strings.TrimPrefix(word, "/")
	} else {
		rest = strings.TrimPrefix(rest, "-")
	}
	if rest == word {
		return "", "", false
	}
	name, value, hasValue = strings.Cut(rest, "=")
	return strings.ReplaceAll(strings.ToLower(name), "-", "_"), value, hasValue
}

// cutBare takes apart a setting without a dash, name=value, which the old product
// takes too; name is empty if it is none.
func cutBare(word string) (name, value string, hasValue bool) {
	name, value, hasValue = strings.Cut(word, "=")
	if name = foldName(name); !hasValue || !takesValue(name) {
		return "", "", false
	}
	return name, value, true
}

// takesValue reports whether there is a flag of that name with a value.
func takesValue(name string) bool {
	_, known := lookup(name)
	return known || name == "config" || name == "lang"
}

// isFlag reports whether the word after a flag begins the next one: with two
// dashes always, else only if the name is known.
func isFlag(word string) bool {
	name, _, _ := cutFlag(word)
	if _, ok := switches[name]; ok {
		return true
	}
	return takesValue(name) || strings.HasPrefix(word, "--")
}

func flagNames() []string {
	return append(names(), "config", "lang", "check", "print_config", "reserve_ports", "version", "help")
}
