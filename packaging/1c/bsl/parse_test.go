package bsl_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

var contexts = []bsl.Context{bsl.Server, bsl.Client, bsl.ExternalConnection}

// TestParsesPrograms reads nine programs about the whole language, which OneScript runs.
func TestParsesPrograms(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/programs/*.bsl")
	if err != nil || len(files) != 9 {
		t.Fatalf("%d programs, want 9 (%v)", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, context := range contexts {
			if _, err := bsl.Parse(file, string(source), context); err != nil {
				t.Errorf("%s: %v", context, err)
			}
		}
	}
}

// TestSaysWhereAModuleIsWrong has each kind of mistake once.
func TestSaysWhereAModuleIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ source, want string }{
		{"А = ;", `м:1:5: an expression expected, not ";"`},
		{"А = 1\nБ = 2;", `м:2:1: ; expected between statements, not "Б"`},
		{"Если А Тогда\nБ();", "м:2:5: конецесли expected at the end of Если, not the end of the module"},
		{"Если А\nБ();", `м:2:1: тогда expected after the condition, not "Б"`},
		{"А = \"строка", "м:1:5: the string is not closed"},
		{"А = \"строка\nБ = 1;", "м:1:5: the string is neither closed nor continued by | in a following line"},
		{"А = '2026';", "м:1:5: '2026' is no date: 8, 12 or 14 digits"},
		{"А = '20260101", "м:1:5: the date is not closed"},
		{"А = 1а;", "м:1:6: a letter follows the number 1"},
		{"А = Б $ В;", `м:1:7: "$" is no part of the language`},
		{"А + Б;", "м:1:1: an assignment or a call expected"},
		{"А;", "м:1:1: an assignment or a call expected"},
		{"А() = 1;", "м:1:1: nothing can be assigned to that"},
		{"А = Б.;", `м:1:7: a name expected after the point, not ";"`},
		{"А = (Б)(В);", "м:1:8: that cannot be called"},
		{"А = ?(Б, В);", `м:1:11: , expected between the parts of ?(), not ")"`},
		{"Прервать;", "м:1:1: прервать outside a loop"},
		{"Возврат 1;", "м:1:1: only a function returns a value"},
		{"Функция А()\nВозврат;\nКонецФункции", "м:2:1: a function returns a value"},
		{"Процедура А()\nВозврат 1;\nКонецПроцедуры", "м:2:1: only a function returns a value"},
		{"Процедура А()\nКонецФункции", `м:2:1: конецпроцедуры expected at the end of А, not "конецфункции"`},
		{"Процедура А()\nКонецПроцедуры\nПроцедура а()\nКонецПроцедуры", "м:3:11: а is there twice"},
		{"Процедура А(Б, б)\nКонецПроцедуры", "м:1:16: the parameter б is there twice"},
		{"Процедура А(Б = В)\nКонецПроцедуры", "м:1:17: the default of a parameter is a literal"},
		{"Процедура А()\nКонецПроцедуры\nПерем Б;", "м:3:1: variables of a module stand before its methods"},
		{"Перем А, а;", "м:1:10: the variable а is there twice"},
		{"&НаКлиенте\nА = 1;", `м:2:1: a directive stands before a method or a variable, not before "А"`},
		{"&\nА = 1;", "м:1:1: & without the name of a directive"},
		{"Пока А Б(); КонецЦикла;", `м:1:8: цикл expected at the beginning of a loop, not "Б"`},
		{"Для А = 1 Цикл КонецЦикла;", `м:1:11: по expected after the beginning of a loop, not "цикл"`},
		{"Попытка А(); КонецПопытки;", `м:1:14: исключение expected after Попытка, not "конецпопытки"`},
		{"А = Новый;", `м:1:10: a type expected after Новый, not ";"`},
		{"#Если Сервер Тогда\nА();", "м:1:1: #Если is not closed"},
		{"#Если Серверр Тогда\n#КонецЕсли", `м:1:1: "серверр" is no symbol of the preprocessor that is known here`},
		{"#Если Сервер\n#КонецЕсли", "м:1:1: #Если without Тогда"},
		{"#Если Сервер И Тогда\n#КонецЕсли", "м:1:1: the condition of #Если is not complete"},
		{"#Иначе", "м:1:1: #Иначе without its #Если"},
		{"#КонецЕсли", "м:1:1: #КонецЕсли without its #Если"},
		{"#Область А\n", "м:1:1: #Область is not closed"},
		{"#КонецОбласти\n", "м:1:1: #КонецОбласти without its #Область"},
		{"#Вставка\n", "м:1:1: #Вставка is no line of the preprocessor that is known here"},
		{strings.Repeat("(", 300), "м:1:201: nested deeper than 200"},
	} {
		module, err := bsl.Parse("м", test.source, bsl.Server)
		if err == nil {
			t.Errorf("%q is taken for right", test.source)
			continue
		}
		if module != nil {
			t.Errorf("%q: a module beside an error", test.source)
		}
		if diff := cmp.Diff(test.want, err.Error()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.source, diff)
		}
	}
}

// TestReadsWhatAModuleHas goes by what is in the tree.
func TestReadsWhatAModuleHas(t *testing.T) {
	t.Parallel()
	module, err := bsl.Parse("м", `
Перем Счет Экспорт, Внутри;
&НаКлиенте
&После("ПриНачалеРаботыСистемы")
Процедура А(Первый = Неопределено, Знач Второй, Третий = -1) Экспорт
	Перем Х;
	Объект.Выполнить(, "одна
		// между строками
		|вторая ""в кавычках""");
КонецПроцедуры
Function B() Return Not True; EndFunction`, bsl.Client)
	if err != nil {
		t.Fatal(err)
	}
	a := module.Method("а")
	if a == nil || !a.Exported || a.Function || len(a.Params) != 3 || a.Required() != 2 || !a.Params[1].ByValue {
		t.Fatalf("А is read as %+v", a)
	}
	if got := a.Params[2].Default.Text; got != "-1" {
		t.Errorf("the default of Третий is %q", got)
	}
	if got := a.Directives[1]; got.Name != "После" || got.Argument != "ПриНачалеРаботыСистемы" {
		t.Errorf("the directive is %+v", got)
	}
	if b := module.Method("B"); b == nil || !b.Function {
		t.Errorf("B is read as %+v", b)
	}
	if len(module.Vars) != 2 || !module.Vars[0].Exported || module.Vars[1].Exported {
		t.Errorf("variables: %+v", module.Vars)
	}
	var seen []string
	bsl.Walk(a.Body, func(node any) bool {
		switch node := node.(type) {
		case *bsl.Member:
			seen = append(seen, node.Name)
		case *bsl.Literal:
			seen = append(seen, node.Text)
		}
		return true
	})
	if diff := cmp.Diff([]string{"Выполнить", "одна\nвторая \"в кавычках\""}, seen); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
}

// TestResolveKeepsPlaces: what a context leaves out is blank, the rest where it was.
func TestResolveKeepsPlaces(t *testing.T) {
	t.Parallel()
	const source = "#Область О\n#Если Клиент Тогда\nК();\n#ИначеЕсли Не (Сервер Или Клиент) Тогда\nВ();\n" +
		"#Иначе\nС = \"\n|#Если\";\n#КонецЕсли\n#КонецОбласти\n"
	for context, want := range map[bsl.Context]string{
		bsl.Client:             "\n\nК();\n\n\n\n\n\n\n\n",
		bsl.Server:             "\n\n\n\n\n\nС = \"\n|#Если\";\n\n\n",
		bsl.ExternalConnection: "\n\n\n\nВ();\n\n\n\n\n\n",
	} {
		got, err := bsl.Resolve("м", source, context)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", context, diff)
		}
	}
}

// FuzzParse looks for a module that stops the parser, or of which it does not say where
// it is wrong.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/programs/*.bsl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(source))
	}
	f.Add("#Если Сервер Тогда\nА = ?(Б, \"\n|в\", '20260101');\n#КонецЕсли")
	f.Fuzz(func(t *testing.T, source string) {
		for _, context := range contexts {
			module, err := bsl.Parse("м", source, context)
			if err == nil {
				bsl.Walk(module.Body, func(any) bool { return true })
				continue
			}
			failure, ours := err.(*bsl.Error)
			lines := strings.Count(source, "\n") + 1
			if !ours || failure.Line < 1 || failure.Column < 1 || failure.Line > lines || failure.Text == "" {
				t.Fatalf("%q of %d lines: %v", source, lines, fmt.Sprintf("%#v", err))
			}
		}
	})
}
