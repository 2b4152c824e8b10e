package onescript_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/onescript"
)

func TestCopy(t *testing.T) {
	t.Parallel()
	module := onescript.Module{
		File: "м", Context: bsl.Client, Twice: []string{"Общий"}, Variables: []string{"Поле"}, Appended: "// дальше",
		Source: "#Если Сервер Тогда\nА = 1;\n#КонецЕсли\n" +
			"А = HTTPСоединение + \"HTTPСоединение\" + Б.HTTPСоединение; // HTTPСоединение\n" +
			"Общий.Выполнить();\nК = " + onescript.AddIn + ";",
	}
	got, err := module.Copy()
	if err != nil {
		t.Fatal(err)
	}
	want := "Перем Поле Экспорт; \n\n\n" +
		"А = HTTPСоединениеПлатформы + \"HTTPСоединение\" + Б.HTTPСоединение; // HTTPСоединение\n" +
		"Общий_Клиент.ВыполнитьМетод();\nК = Новый(\"КомпонентаДляТеста\");\n// дальше"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestCopiesAreTheModules: with what the table replaces put back, each line of a copy is
// the line of the source, or blank where the preprocessor leaves it out.
func TestCopiesAreTheModules(t *testing.T) {
	t.Parallel()
	back := strings.NewReplacer("HTTPСоединениеПлатформы", "HTTPСоединение",
		"СостояниеФоновогоЗаданияПлатформы", "СостояниеФоновогоЗадания",
		"ФоновыеЗаданияПлатформы", "ФоновыеЗадания", "Платформа.КонстантыБазы", "Константы",
		"Платформа.МетаданныеБазы", "Метаданные", "Платформа.Миллисекунды", "ТекущаяУниверсальнаяДатаВМиллисекундах",
		"ПриложениеКлиента.глПараметры", "глПараметры", "ВыполнитьМетод", "Выполнить",
		`Новый("КомпонентаДляТеста")`, onescript.AddIn, onescript.ClientSuffix+".", ".")
	modules := 0
	check := func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".bsl" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		modules++
		for _, context := range []bsl.Context{bsl.Client, bsl.Server, bsl.ExternalConnection} {
			module := onescript.Module{File: path, Source: string(source), Context: context,
				Twice: []string{"pns4ones_СервисУведомленийКлиентСервер"}}
			copied, err := module.Copy()
			if err != nil {
				return err
			}
			was, is := strings.Split(string(source), "\n"), strings.Split(strings.TrimSuffix(copied, "\n"), "\n")
			if len(was) != len(is) {
				t.Errorf("%s: %d lines of %d", path, len(is), len(was))
				continue
			}
			for i := range is {
				if is[i] != "" && back.Replace(is[i]) != was[i] {
					t.Errorf("%s:%d: %q of %q", path, i+1, is[i], was[i])
				}
			}
		}
		return nil
	}
	for _, folder := range []string{"../../extension", "../../extension-bsp"} {
		if err := filepath.WalkDir(folder, check); err != nil {
			t.Fatal(err)
		}
	}
	if modules < 20 {
		t.Errorf("only %d modules were found", modules)
	}
}
