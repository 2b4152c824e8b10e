// Package onescript makes copies of modules that OneScript can run. A copy is for one
// context; it differs from its source only by
//
//   - lines of the preprocessor and what they leave out, which are blank;
//   - identifiers of a fixed table, replaced within their line: what OneScript has under
//     the same name and does otherwise, the clock, the variable of the application
//     module, and the type of the add-in;
//   - variables on the first line, for the attributes of a form;
//   - text that is appended: global functions that OneScript lacks.
//
// So what runs is the module, and line numbers stay those of the source. The package
// must not know the scenarios.
package onescript

import (
	"fmt"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// Replaced names, and what stands for each in copies.
var replaced = map[string]string{
	"HTTPСоединение":           "HTTPСоединениеПлатформы",
	"ФоновыеЗадания":           "ФоновыеЗаданияПлатформы",
	"СостояниеФоновогоЗадания": "СостояниеФоновогоЗаданияПлатформы",
	"Константы":                "Платформа.КонстантыБазы",
	"Метаданные":               "Платформа.МетаданныеБазы",
	"ТекущаяУниверсальнаяДатаВМиллисекундах": "Платформа.Миллисекунды",
	"глПараметрыСервисаУведомлений":          "ПриложениеКлиента.глПараметрыСервисаУведомлений",
}

// replacedMembers are names after a point: OneScript takes them for its keywords where
// they are defined.
var replacedMembers = map[string]string{"Выполнить": "ВыполнитьМетод"}

// AddIn is the type that an extension creates by name, and what stands for it.
const (
	AddIn        = `Новый("AddIn.com_ptolkachev_PNS4OneSCompExtension.com_ptolkachev_PNS4OneSCompExtension")`
	addInStandIn = `Новый("КомпонентаДляТеста")`
)

// ClientSuffix is what the names of modules have in copies for the client, where the
// server has them too.
const ClientSuffix = "_Клиент"

// Module is a module to be copied.
type Module struct {
	File, Source string
	Context      bsl.Context
	Twice        []string // modules that both sides have, each in a copy of its own
	Application  bool     // it declares the variable that the others replace
	Variables    []string // for the attributes of a form
	Appended     string
}

// Copy returns the copy.
func (m Module) Copy() (string, error) {
	resolved, err := bsl.Resolve(m.File, m.Source, m.Context)
	if err != nil {
		return "", err
	}
	identifiers, err := bsl.Identifiers(m.File, resolved)
	if err != nil {
		return "", err
	}
	lines := strings.Split(resolved, "\n")
	for i := len(identifiers) - 1; i >= 0; i-- { // from the end: columns before stay right
		if with, ok := m.replacement(identifiers[i]); ok {
			at := identifiers[i]
			line := []rune(lines[at.Line-1])
			head, tail := line[:at.Column-1], line[at.Column-1+len([]rune(at.Name)):]
			lines[at.Line-1] = string(head) + with + string(tail)
		}
	}
	text := strings.ReplaceAll(strings.Join(lines, "\n"), AddIn, addInStandIn)
	var variables strings.Builder
	for _, name := range m.Variables {
		fmt.Fprintf(&variables, "Перем %s Экспорт; ", name)
	}
	return variables.String() + strings.TrimPrefix(text, "\ufeff") + "\n" + m.Appended, nil
}

func (m Module) replacement(at bsl.Identifier) (string, bool) {
	if at.AfterPoint {
		with, ok := replacedMembers[at.Name]
		return with, ok
	}
	if m.Context.AtClient() {
		for _, name := range m.Twice {
			if bsl.Same(name, at.Name) {
				return name + ClientSuffix, true
			}
		}
	}
	if m.Application && at.Name == "глПараметрыСервисаУведомлений" {
		return "", false
	}
	with, ok := replaced[at.Name]
	return with, ok
}
