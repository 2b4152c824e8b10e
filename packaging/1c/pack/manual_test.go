package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/lint"
)

var (
	sample  = regexp.MustCompile("(?s)```bsl\n(.*?)```")
	caption = regexp.MustCompile(`«([^«»]+(?:«[^«»]+»[^«»]*)?)»`)
	names   = regexp.MustCompile("`(pns4ones_[\\pL\\d_]+|[\\pL]+(?:Уведомлен|Пользовател)[\\pL]*)(?:\\([^`]*\\))?`")
)

// elsewhere are captions that the page takes from 1C and from the daemon, not from the
// extension.
var elsewhere = []string{
	"Конфигурация", "Расширения конфигурации", "Добавить", "Дополнение", "Загрузить конфигурацию из файлов",
	"Безопасный режим", "Защита от опасных действий", "Обновить конфигурацию базы данных", "Полные права",
	"Группы пользователей", "Все пользователи", "Успешно", "�", "…",
	"Сервис уведомлений прекратил работу", "Возникла ошибка при получении уведомлений от сервиса",
}

// TestThePageIsTrueToTheExtension: each caption and each name that 1c.md mentions is in
// one of the dumps, in both languages.
func TestThePageIsTrueToTheExtension(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, folder := range []string{extension, extensionBSP} {
		for _, file := range memory(t, folder) {
			all.Write(file.Data)
		}
	}
	text := all.String()
	for _, lang := range []string{"ru", "en"} {
		page, err := os.ReadFile(filepath.Join("..", "..", "doc", lang, "1c.md"))
		if err != nil {
			t.Fatal(err)
		}
		flat := strings.Join(strings.Fields(string(page)), " ")
		found := caption.FindAllStringSubmatch(flat, -1)
		if len(found) < 30 {
			t.Errorf("%s: only %d captions were found", lang, len(found))
		}
		for _, match := range found {
			if !known(match[1]) && !says(text, match[1]) {
				t.Errorf("%s: the extension has no «%s»", lang, match[1])
			}
		}
		for _, match := range names.FindAllStringSubmatch(flat, -1) {
			if !strings.Contains(text, match[1]) {
				t.Errorf("%s: the extension has no %s", lang, match[1])
			}
		}
	}
}

func known(caption string) bool { return slices.Contains(elsewhere, caption) }

// says reports whether a text has a caption, in which … stands for what the extension fills
// in when it runs.
func says(text, caption string) bool {
	parts := strings.Split(caption, "…")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(strings.Join(parts, `%\d`)).MatchString(text)
}

// TestSamplesOfThePages: what a page shows as 1C code parses, and every name in it is
// one of the extension, of the platform, or of the reader's own configuration.
func TestSamplesOfThePages(t *testing.T) {
	t.Parallel()
	platform, err := lint.With(`
		property Договор 0 SC sample
		property КодировкаТекста 0 SCX helper
		type ЗаписьТекста 0-5 SC helper
		method ЗаписатьСтроку 1-2 SC helper
		method ПолучитьПользователей 0 SX helper
		function ПустаяСтрока 1 SCX helper
		function Сообщить 1-2 SC helper`)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := dump.Modules(os.DirFS(extension))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../doc/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := 0
	for _, page := range pages {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, match := range sample.FindAllStringSubmatch(string(content), -1) {
			if strings.Contains(match[1], "HTTP") {
				continue // without the extension: it is about the protocol, and its names are the reader's
			}
			samples++
			file := fmt.Sprintf("%s, sample %d", page, i+1)
			for _, problem := range lint.Check(platform, append(ours, asModule(file, match[1]))) {
				var at *bsl.Error
				if !errors.As(problem, &at) || at.File == file {
					t.Error(problem)
				}
			}
		}
	}
	if samples < 6 {
		t.Errorf("only %d samples were found", samples)
	}
}

// asModule is a sample as a module: of a form, where it has directives; of the
// configuration, where it has methods; else what stands in a procedure on the server.
func asModule(file, source string) *lint.Module {
	m := &lint.Module{File: file, Source: source, Name: "Образец", Contexts: []bsl.Context{bsl.Server}}
	switch {
	case strings.Contains(source, "&НаКлиенте"):
		m.Kind, m.Contexts = lint.Form, []bsl.Context{bsl.Client}
		m.Items, m.Handlers = []string{"Договоры"}, []string{"ПриОткрытии", "ПриЗакрытии"}
	case !strings.Contains(source, "Экспорт\n"):
		m.Source = "Процедура Образец() Экспорт\n" + source + "КонецПроцедуры\n"
	}
	return m
}
