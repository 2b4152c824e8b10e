package tests

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/onescript"
)

var (
	sampleBlock = regexp.MustCompile("(?s)```bsl\n(.*?)```")
	comment     = regexp.MustCompile(`[ \t]*//.*`)
)

// pages are those with samples of 1C code, and what each sample becomes: a procedure
// Выполнить_ of a module, or the module or class itself.
var pages = map[string][]struct {
	kind, name string
	procedure  bool
	variables  []string
	context    bsl.Context
}{
	"1c.md": {
		{"Модули", "ОбразецОтправки", true, []string{"Договор"}, bsl.Server},
		{"Классы", "ОбразецОбработчика", false, formVariables, bsl.Client},
		{"Модули", "ОбразецПереопределения", false, nil, bsl.Server},
	},
	"names.md":   {{"Модули", "ОбразецИмен", true, nil, bsl.Server}},
	"senders.md": {{"Модули", "ОбразецБезРасширения", false, nil, bsl.Server}},
}

func blocks(t *testing.T, lang, page string) []string {
	t.Helper()
	var found []string
	for _, match := range sampleBlock.FindAllStringSubmatch(read(t, filepath.Join("../../doc", lang, page)), -1) {
		found = append(found, match[1])
	}
	return found
}

// samples makes modules of the samples of our pages; scenario 13 runs them.
func samples(t *testing.T, library, appended string) {
	t.Helper()
	for page, parts := range pages {
		found := blocks(t, "ru", page)
		if len(found) != len(parts) {
			t.Fatalf("%s has %d samples, %d are run", page, len(found), len(parts))
		}
		for i, part := range parts {
			// What follows the function shows how to call it, which the scenario does.
			source, more := found[i], appended
			if head, _, cut := strings.Cut(source, "КонецФункции\n\n"); cut && page == "senders.md" {
				source = head + "КонецФункции\n"
			}
			if part.procedure {
				source = "Процедура Выполнить_() Экспорт\n" + source + "КонецПроцедуры\n"
			}
			if part.kind == "Классы" {
				more += read(t, "platform/form.os")
			}
			write(t, library, part.kind, part.name, onescript.Module{
				File: page, Source: source, Context: part.context, Twice: []string{shared},
				Variables: part.variables, Appended: more,
			})
		}
	}
}

// TestSamplesAreTheSameInBothLanguages, so that running one runs the other.
func TestSamplesAreTheSameInBothLanguages(t *testing.T) {
	t.Parallel()
	plain := func(source string) string {
		return strings.ReplaceAll(comment.ReplaceAllString(source, ""), "Accounting", "Бухгалтерия")
	}
	for page := range pages {
		ru, en := blocks(t, "ru", page), blocks(t, "en", page)
		if len(ru) != len(en) {
			t.Errorf("%s: %d samples in Russian, %d in English", page, len(ru), len(en))
			continue
		}
		for i := range ru {
			if plain(ru[i]) != plain(en[i]) {
				t.Errorf("%s: sample %d is another one in English:\n%s", page, i+1, en[i])
			}
		}
	}
}
