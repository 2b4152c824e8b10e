package lint_test

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/lint"
)

// around is what each module of the table stands beside.
func around(kind lint.Kind, source string, contexts ...bsl.Context) []*lint.Module {
	return []*lint.Module{
		{Name: "Проверяемый", File: "м", Source: source, Kind: kind, Contexts: contexts, Attributes: []string{"Реквизит"},
			Items: []string{"Поле"}},
		{Name: "Серверный", File: "с", Contexts: []bsl.Context{bsl.Server},
			Source: "Функция Ф(А, Б = 1) Экспорт\nВозврат А + Б;\nКонецФункции"},
		{Name: "Вызов", File: "в", Contexts: []bsl.Context{bsl.Server}, ServerCall: true,
			Source: "Процедура П() Экспорт\nКонецПроцедуры"},
		{Name: "Глобальный", File: "г", Contexts: []bsl.Context{bsl.Client}, Global: true,
			Source: "Процедура ПоЧасам() Экспорт\nКонецПроцедуры"},
		{File: "п", Kind: lint.Application, Contexts: []bsl.Context{bsl.Client}, Source: "Перем Общая Экспорт;"},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	method := func(body string) string {
		return "Процедура Т() Экспорт\n" + body + "\nКонецПроцедуры"
	}
	for _, test := range []struct {
		kind    lint.Kind
		context bsl.Context
		source  string
		want    string // empty: nothing is wrong
	}{
		{lint.Common, bsl.Server, method("А = Серверный.Ф(1);"), ""},
		{lint.Common, bsl.Server, method("А = Серверный.Ф();"), "м:2:15: Ф needs its argument А"},
		{lint.Common, bsl.Server, method("А = Серверный.Ф(, 2);"), "м:2:15: Ф needs its argument А"},
		{lint.Common, bsl.Server, method("А = Серверный.Ф(1, 2, 3);"), "м:2:15: Ф takes 2 arguments, not 3"},
		{lint.Common, bsl.Server, method("А = Серверный.Нет();"), "м:2:15: Серверный has no exported method Нет"},
		{lint.Common, bsl.Server, method("А = Вызов.П();"), "м:2:11: П is a procedure, it has no value"},
		{lint.Common, bsl.Server, method("А = Серверный.Поле;"), "м:2:15: a common module has no properties: Серверный.Поле"},
		{lint.Common, bsl.Server, method("Серверный = 1;"),
			"м:2:1: Серверный is a module or a method, nothing can be assigned to it"},
		{lint.Common, bsl.Client, method("А = Серверный.Ф(1);"),
			"м:2:5: the module Серверный is not there on the side of the client"},
		{lint.Common, bsl.Client, method("Вызов.П();"), ""},
		{lint.Common, bsl.Client, method("Общая = 1;\nА = Общая;"), ""},
		{lint.Common, bsl.Server, method("А = Общая;"), "м:2:5: Общая is unknown"},
		{lint.Common, bsl.Client, method("ПоЧасам();"), ""},
		{lint.Common, bsl.Client, method("УстановитьПривилегированныйРежим(Истина);"),
			"м:2:1: УстановитьПривилегированныйРежим is not there on the side of the client"},
		{lint.Common, bsl.Client, method("А = Б;"), "м:2:5: Б is unknown"},
		{lint.Common, bsl.Client, method("А = Сред();"), "м:2:5: Сред takes at least 2 arguments, not 0"},
		{lint.Common, bsl.Client, method("А = Новый Хвост;"), "м:2:5: there is no type Хвост"},
		{lint.Common, bsl.Client, method("А = Новый Структура;\nА.Взлететь();"), "м:3:3: no object has a method Взлететь"},
		{lint.Common, bsl.Client, method("ПодключитьОбработчикОжидания(\"ПоЧасам\", 1, Истина);"), ""},
		{lint.Common, bsl.Client, method("ПодключитьОбработчикОжидания(\"Т\", 1, Истина);"),
			"м:2:1: Т is no wait handler: a procedure without parameters of the form or of a global module"},
		{lint.Common, bsl.Client, method("А = Новый ОписаниеОповещения(\"Т\", Проверяемый);"),
			"м:2:5: Т is named in ОписаниеОповещения and takes 0 parameters: 1 to 3"},
		{lint.Common, bsl.Client, method("А = Новый(\"AddIn.х.у\");"), ""},
		{lint.Common, bsl.Server, method("А = Новый(\"AddIn.х.у\");"), "м:2:5: add-ins are used on the side of the client"},
		{lint.Common, bsl.Client, method("Компонента = Неопределено;\nКомпонента.Подключить();"),
			"м:3:12: the add-in is used synchronously: Подключить"},
		{lint.Common, bsl.Client, method("А = \"№\" + 5;"),
			"м:2:5: a number is joined to text: the platform writes 1000 with a space; use Формат or XMLСтрока"},
		{lint.Common, bsl.Client, method("А = \"№\" + Формат(5, \"ЧГ=0\");"), ""},
		{lint.Common, bsl.Client, "Процедура Т()\nКонецПроцедуры", "м:1:11: nobody calls Т"},
		{lint.Common, bsl.Client, "Процедура Формат() Экспорт\nКонецПроцедуры",
			"м:1:11: the platform has a method Формат: ours would hide it, or not compile"},
		{lint.Common, bsl.Client, "Перем А;", "м:1:1: a common module has only methods"},
		{lint.Form, bsl.Client, "&НаКлиенте\n" + method("Реквизит = Элементы.Поле.Имя;"), ""},
		{lint.Form, bsl.Client, "&НаКлиенте\n" + method("А = Элементы.Нет.Имя;"), "м:3:14: the form has no item Нет"},
		{lint.Form, bsl.Client, method("А = 1;"),
			"м:1:11: a method of a form or a command says by one directive where it runs"},
		{lint.Form, bsl.Server, "&НаСервереБезКонтекста\n" + method("А = Реквизит;"), "м:3:5: Реквизит is unknown"},
		{lint.Form, bsl.Server, "&НаСервере\n" + method("К();") + "\n&НаКлиенте\nПроцедура К()\nКонецПроцедуры",
			"м:3:1: К does not run on the side of the server"},
	} {
		problems := lint.Check(lint.TheTable(), around(test.kind, test.source, test.context))
		var got []string
		for _, problem := range problems {
			got = append(got, problem.Error())
		}
		if strings.Join(got, "\n") != test.want {
			t.Errorf("%s\ngot  %v\nwant %s", test.source, got, test.want)
		}
	}
}

// TestTheTableOfTheTests: a table may be longer by names of its own; one that is wrong is
// refused.
func TestTheTableOfTheTests(t *testing.T) {
	t.Parallel()
	platform, err := lint.With("function Взлететь 1 C a-test")
	if err != nil {
		t.Fatal(err)
	}
	if problems := lint.Check(platform,
		around(lint.Common, "Процедура Т() Экспорт\nВзлететь(1);\nКонецПроцедуры", bsl.Client)); problems != nil {
		t.Error(problems)
	}
	for _, line := range []string{"function Взлететь", "thing Взлететь 1 C a-test", "function Взлететь x C a-test",
		"function Взлететь 1 Q a-test", "function НСтр 1 C a-test"} {
		if _, err := lint.With(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
}
