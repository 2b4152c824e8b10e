// Package locale is the one catalogue of texts for people, in Russian and
// English. Both programs, their settings and the panel take every sentence
// they show from it; logs stay in English and do not use it.
//
// Texts live in text/PREFIX.LANG.toml, one file for each prefix of ids and
// language, so that each area of the program keeps its own. A text is a
// text/template; what it is given are the pairs passed to T. The package
// knows nothing of what the texts are about.
package locale

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

// Lang is a language of the catalogue.
type Lang string

// The languages of the catalogue. Russian is the default: the product's users
// are Russian-speaking.
const (
	Russian Lang = "ru"
	English Lang = "en"
)

// PluralKey names the argument of T that chooses the plural form.
const PluralKey = "N"

//go:embed text/*.toml
var texts embed.FS

// catalogue is parsed on first use, once for the process.
var catalogue = sync.OnceValue(func() *i18n.Bundle {
	bundle, err := load(texts)
	if err != nil {
		panic(err) // the texts are part of the binary; a test loads them
	}
	return bundle
})

func load(files fs.FS) (*i18n.Bundle, error) {
	bundle := i18n.NewBundle(language.Russian)
	bundle.RegisterUnmarshalFunc("toml", toml.Unmarshal)
	names, err := fs.Glob(files, "text/*.toml")
	if err != nil {
		return nil, fmt.Errorf("listing texts: %w", err)
	}
	for _, name := range names {
		if _, err := bundle.LoadMessageFileFS(files, name); err != nil {
			return nil, fmt.Errorf("reading texts: %s: %w", name, err)
		}
	}
	return bundle, nil
}

// Localizer gives the texts of one language. It may be used concurrently.
type Localizer struct {
	lang      Lang
	people    bool // see ForPeople
	localizer *i18n.Localizer
}

// New returns the texts in lang; for an unknown language, in Russian.
func New(lang Lang) *Localizer {
	if lang != English {
		lang = Russian
	}
	return &Localizer{lang: lang, localizer: i18n.NewLocalizer(catalogue(), string(lang))}
}

// Lang is the language of l.
func (l *Localizer) Lang() Lang { return l.lang }

// T returns the text id. The arguments are pairs of a name and a value for
// the text's template; a value that is itself a text or an error is
// translated first. An integer named "N" also chooses the plural form. An
// unknown id is returned as it is.
func (l *Localizer) T(id string, args ...any) string {
	config := i18n.LocalizeConfig{MessageID: id}
	if len(args) > 0 {
		values := make(map[string]any, len(args)/2)
		for i := 0; i+1 < len(args); i += 2 {
			name, ok := args[i].(string)
			if !ok {
				continue
			}
			values[name] = l.value(args[i+1])
			if name != PluralKey {
				continue
			}
			if count, counts := pluralCount(args[i+1]); counts {
				config.PluralCount, values[name] = count, l.Number(count)
			}
		}
		config.TemplateData = values
	}
	// An error may come with a usable text, in the default language.
	text, _ := l.localizer.Localize(&config)
	if text == "" {
		return id
	}
	return text
}

// value prepares an argument for a template: errors among the arguments,
// Text included, appear in the language of l, and what comes from outside is
// made harmless for a terminal.
func (l *Localizer) value(v any) any {
	switch v := v.(type) {
	case error:
		return CleanLines(l.Error(v))
	case string:
		return CleanLines(v)
	}
	return v
}

// pluralCount returns an integer in the form the plural rules take, and reports whether
// it is one.
func pluralCount(v any) (count string, counts bool) {
	switch reflect.ValueOf(v).Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return fmt.Sprintf("%d", v), true
	default:
		return "", false
	}
}

// Localized is an error that can be said in any language of the catalogue.
type Localized interface {
	error
	// Message returns the id of the text and the arguments for T.
	Message() (id string, args []any)
}

// Error says err in the language of l: the outermost Localized in its chain,
// else its own Error(). Errors that were joined are said a line each.
func (l *Localizer) Error(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if said, ok := e.(Localized); ok {
			id, args := said.Message()
			return l.T(id, args...)
		}
		if parts := joined(e); len(parts) > 0 {
			lines := make([]string, len(parts))
			for i, part := range parts {
				lines[i] = l.Error(part)
			}
			return strings.Join(lines, "\n")
		}
	}
	// Several errors wrapped by one sentence: the first that can be said.
	var said Localized
	if errors.As(err, &said) {
		id, args := said.Message()
		return l.T(id, args...)
	}
	if err == nil {
		return ""
	}
	return l.system(err)
}

// joined returns the parts of an error that is nothing but a list of errors, a
// line each, as errors.Join makes; nil for any other.
func joined(err error) []error {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	parts := list.Unwrap()
	lines := make([]string, len(parts))
	for i, part := range parts {
		lines[i] = part.Error()
	}
	if strings.Join(lines, "\n") != err.Error() {
		return nil
	}
	return parts
}
