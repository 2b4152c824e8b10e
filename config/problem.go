package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// Problem is one thing wrong with the settings, or worth a warning. It knows
// where it stands and can be said in any language of the catalogue. It holds no
// secret.
type Problem struct {
	File string // "" if it is not in a file
	Line int    // from 1; 0 if no line can be named
	Key  string // the setting, the flag (with its dash) or the variable; "" if none
	What *locale.Text
}

// Message implements locale.Localized: «file:line: key: what is wrong», on one line
// whatever the file holds.
func (p *Problem) Message() (id string, args []any) {
	what := p.What.OneLine()
	if where := p.where(); where != "" {
		return "config.problem", []any{"Where", locale.Clean(where), "What", what}
	}
	return what.Message()
}

// Error says the problem in English.
func (p *Problem) Error() string { return locale.New(locale.English).Error(p) }

func (p *Problem) where() string {
	var parts []string
	switch {
	case p.File != "" && p.Line > 0:
		parts = append(parts, fmt.Sprintf("%s:%d", p.File, p.Line))
	case p.File != "":
		parts = append(parts, p.File)
	}
	if p.Key != "" {
		parts = append(parts, shortened(p.Key))
	}
	return strings.Join(parts, ": ")
}

// maxKeyRunes is more than any setting's name has, and leaves room for what is wrong.
const maxKeyRunes = 64

func shortened(key string) string {
	if runes := []rune(key); len(runes) > maxKeyRunes {
		return string(runes[:maxKeyRunes]) + "…"
	}
	return key
}

// Error is all that is wrong with the settings.
type Error struct {
	Problems []*Problem
	// Usage: something is wrong with the command line itself, not with a value.
	Usage bool
}

// Error says the problems in English, a line each.
func (e *Error) Error() string { return errors.Join(e.Unwrap()...).Error() }

// Unwrap returns the problems, so that locale.Localizer.Error says each.
func (e *Error) Unwrap() []error {
	all := make([]error, len(e.Problems))
	for i, p := range e.Problems {
		all[i] = p
	}
	return all
}

// textOf returns the reason of a failed parse as a text.
func textOf(err error) *locale.Text {
	if t, ok := errors.AsType[*locale.Text](err); ok {
		return t
	}
	return locale.NewText("config.unexpected", "error", err.Error())
}
