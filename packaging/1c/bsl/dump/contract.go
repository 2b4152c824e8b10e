package dump

import (
	"fmt"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// contract is rule 15: methods that other people's code calls are there, with exactly
// these parameters and defaults. A line of the contract is
//
//	module Функция Имя(Первый, Знач Второй = Ложь)
func (d *dump) contract() {
	modules := d.lintModules()
	for line := range strings.Lines(d.profile.Contract) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		module, signature, _ := strings.Cut(line, " ")
		name, _, _ := strings.Cut(signature, "(")
		name = name[strings.LastIndex(name, " ")+1:]
		got := "no such module"
		for _, m := range modules {
			if m.Name != module || len(m.Contexts) == 0 {
				continue
			}
			got = "no such method"
			parsed := d.parse(m, m.Contexts[0])
			if parsed == nil {
				continue
			}
			if method := parsed.Method(name); method != nil && method.Exported {
				got = Signature(method)
			}
		}
		if got != signature {
			d.fail(15, "CommonModules/"+module+"/Ext/Module.bsl", 0, "%q, the contract has %q", got, signature)
		}
	}
}

// Signature is the head of a method in one line.
func Signature(method *bsl.Method) string {
	var params []string
	for _, param := range method.Params {
		text := param.Name
		if param.ByValue {
			text = "Знач " + text
		}
		if param.Default != nil {
			text += " = " + defaultText(param.Default)
		}
		params = append(params, text)
	}
	kind := "Процедура"
	if method.Function {
		kind = "Функция"
	}
	return fmt.Sprintf("%s %s(%s)", kind, method.Name, strings.Join(params, ", "))
}

func defaultText(value *bsl.Literal) string {
	switch {
	case value.Kind == bsl.String:
		return `"` + value.Text + `"`
	case value.Kind == bsl.Word:
		first := []rune(value.Text)
		return strings.ToUpper(string(first[:1])) + string(first[1:])
	}
	return value.Text
}
