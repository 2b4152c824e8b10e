package main

import (
	"archive/zip"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
)

const (
	extension    = "../extension"
	extensionBSP = "../extension-bsp"
	module       = "CommonModules/pns4ones_СервисУведомлений/Ext/Module.bsl"
	client       = "CommonModules/pns4ones_СервисУведомленийКлиент/Ext/Module.bsl"
	settings     = "DataProcessors/pns4ones_НастройкаСервисаУведомлений"
	form         = settings + "/Forms/НастройкаСервисаУведомлений/Ext/Form.xml"
	chat         = "DataProcessors/pns4ones_ДемоЧатКлиент/Forms/ДемоЧатКлиент/Ext/Form.xml"
	rights       = "Roles/pns4ones_ИспользованиеСервисаУведомлений/Ext/Rights.xml"
	section      = "Subsystems/pns4ones_СервисУведомлений.xml"
	registerX    = "InformationRegisters/pns4ones_СекретыСервисаУведомлений.xml"
)

var update = flag.Bool("update", false, "add uuids of new objects to testdata/uuids; those that are there never change")

// TestTheExtensionKeepsAllRules checks the dump that is in the repository.
func TestTheExtensionKeepsAllRules(t *testing.T) {
	t.Parallel()
	problems, err := dump.Check(os.DirFS(extension), profile())
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// sources is the dump in memory, to be broken.
func sources(t *testing.T) fstest.MapFS { return memory(t, extension) }

func memory(t *testing.T, folder string) fstest.MapFS {
	t.Helper()
	files, err := load(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// breach is how a test breaks a rule: in the file the first old is replaced; with neither
// old nor fresh it is not there, and with only fresh it is that.
type breach struct {
	rule             int
	file, old, fresh string
	want             string
	also             map[string]string // files that are there besides
}

// refused checks that a dump which is broken is refused for just that.
func (b breach) refused(t *testing.T, files fstest.MapFS, profile dump.Profile) {
	t.Helper()
	for name, content := range b.also {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	switch {
	case b.old == "" && b.fresh == "":
		delete(files, b.file)
	case b.old == "":
		files[b.file] = &fstest.MapFile{Data: []byte(b.fresh)}
	default:
		content := string(files[b.file].Data)
		if !strings.Contains(content, b.old) {
			t.Fatalf("%s has no %q to break", b.file, b.old)
		}
		files[b.file] = &fstest.MapFile{Data: []byte(strings.Replace(content, b.old, b.fresh, 1))}
	}
	problems, err := dump.Check(files, profile)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		if problem.Rule == b.rule && strings.Contains(problem.Text, b.want) {
			return
		}
	}
	t.Errorf("no breach of rule %d with %q, but %v", b.rule, b.want, problems)
}

// TestABrokenExtensionIsRefused breaks each rule, most of them in more than one way.
func TestABrokenExtensionIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []breach{
		{1, form, "</Form>", "", "it cannot be read", nil},
		{1, form, `version="2.13"`, `version="2.14"`, "the version is", nil},
		{1, rights, "8.2/roles", "8.3/roles", "the root is", nil},
		{2, module, "", "", "the file is not there", nil},
		{1, "CommonModules/Лишний.xml", "", "<x/>", "the root is", nil},
		{2, "CommonModules/Лишний/Ext/Module.bsl", "", "А();", "no object has this file", nil},
		{2, "Configuration.xml", "<CommonTemplate>pns4ones_Компонента</CommonTemplate>", "", "no object has this file", nil},
		{2, "Configuration.xml", "<Subsystem>", "<CommonModule>pns4ones_СервисУведомлений</CommonModule><Subsystem>",
			"stands after kinds", nil},
		{2, "CommonModules/pns4ones_СервисУведомлений.xml", "<Name>pns4ones_СервисУведомлений<", "<Name>pns4ones_Другой<",
			"the name is", nil},
		{5, "Configuration.xml", "<NamePrefix>pns4ones_", "<NamePrefix>другой_", "NamePrefix", nil},
		{4, "CommonModules/pns4ones_СервисУведомлений.xml", `uuid="`, `uuid="Z`, "is no uuid", nil},
		{4, "Configuration.xml", "da0d74ae", "da0d74af", "data and roles of infobases hang on it", nil},
		{5, "Configuration.xml", "Version8_3_14", "Version8_3_20", "ConfigurationExtensionCompatibilityMode", nil},
		{5, "Configuration.xml", "9cd510cd", "9cd510ce", "the contained objects", nil},
		{5, "Configuration.xml", "<Vendor>pns4ones</Vendor>", "", "the properties", nil},
		{5, "Configuration.xml", ">Role.pns4ones_ИспользованиеСервисаУведомлений", ">Role.pns4ones_Нет", "the default role",
			nil},
		{6, "CommonModules/pns4ones_СервисУведомлений.xml", "<Comment/>",
			"<Comment/><ObjectBelonging>Adopted</ObjectBelonging>", "is adopted", nil},
		{6, form, "cfg:DataProcessorObject.pns4ones_НастройкаСервисаУведомлений", "cfg:CatalogRef.Пользователи",
			"of another configuration", nil},
		{6, form, "<Width>40</Width>", "<TextColor>style:Чужой</TextColor>", "the style", nil},
		{7, registerX, "InformationRegisterList.pns4ones_СекретыСервисаУведомлений", "InformationRegisterList.Другой",
			"a generated type", nil},
		{7, registerX, `category="List"`, `category="Список"`, "the generated types are", nil},
		{8, "CommonModules/pns4ones_СервисУведомлений.xml", "<ServerCall>false", "<ServerCall>true", "the flags are", nil},
		{9, form, `id="2"`, `id="1"`, "is there twice", nil},
		{9, form, "<DataPath>КлючСервера<", "<DataPath>КлючЧужой<", "the form has no attribute", nil},
		{9, form, "Form.Command.Проверить", "Form.Command.Нет", "the form has no command", nil},
		{9, form, "<Event name=\"OnChange\">КлючПриИзменении<", "<Event name=\"OnChange\">Нет<", "has no procedure", nil},
		{9, form, "<Event name=\"OnChange\">КлючПриИзменении<", "<Event name=\"OnChange\">ЗаписатьКлюч<",
			"must be &НаКлиенте", nil},
		{9, chat, "<DataPath>Участники.Имя<", "<DataPath>Участники.Возраст<", "the form has no attribute", nil},
		{9, chat, "<ContextMenu name=\"УчастникиСтрокаПоискаКонтекстноеМеню\" id=\"41\"/>", "", "has no ContextMenu", nil},
		{9, form, "<MainAttribute>true</MainAttribute>", "", "0 main attributes", nil},
		{9, form, "<ExtendedTooltip name=\"КлючСервераРасширеннаяПодсказка\"", "<ExtendedTooltip name=\"КлючКлиента\"",
			"is there twice", nil},
		{10, client, `"ПослеПодключенияКомпоненты", pns4`, `"ПослеЧегоТо", pns4`, "there is no procedure", nil},
		{10, client, `"pns4ones_ПроверитьОтправки"`, `"pns4ones_Нет"`, "is no wait handler", nil},
		{10, client, ".Форма.ОкноОжидания", ".Форма.Нет", "there is no form", nil},
		{10, client, "ОбщийМакет.pns4ones_Компонента", "ОбщийМакет.Нет", "there is no template", nil},
		{10, client, "Команда.СостояниеКомпонентыСервисаУведомлений", "Команда.Нет", "there is no command", nil},
		{11, rights, "Subsystem.pns4ones_СервисУведомлений", "InformationRegister.pns4ones_СекретыСервисаУведомлений",
			"it has the keys", nil},
		{11, rights, "<name>View</name>", "<name>Полет</name>", "has a right", nil},
		{11, rights, "<setForNewObjects>false", "<setForNewObjects>true", "does not name", nil},
		{11, "Roles/pns4ones_АдминистрированиеСервисаУведомлений/Ext/Rights.xml",
			"DataProcessor.pns4ones_НастройкаСервисаУведомлений<", "DataProcessor.pns4ones_Нет<", "does not exist", nil},
		{11, "Roles/pns4ones_ДемонстрацияСервисаУведомлений/Ext/Rights.xml",
			"DataProcessor.pns4ones_ДемоЧатКлиент.Command.ДемоЧатКлиент",
			"DataProcessor.pns4ones_ДемоЧатСервер.Command.ДемоЧатСервер", "no role has a right on", nil},
		{12, "Subsystems/pns4ones_СервисУведомлений/Subsystems/ДемонстрацияРаботыСУведомлениями.xml",
			"<xr:Item xsi:type=\"xr:MDObjectRef\">DataProcessor.pns4ones_ДемоЧатКлиент</xr:Item>", "", "is in no section", nil},
		{12, section, "DataProcessor.pns4ones_НастройкаСервисаУведомлений", "DataProcessor.pns4ones_Нет", "does not exist",
			nil},
		{13, template, "", "PK", "the build puts the bundle in place", nil},
		{14, module, "Результаты = Новый Соответствие;", "Результаты = Новый Соответствие", "expected between statements",
			nil},
		{14, module, "СтрШаблон(", "СтрШаблоон(", "there is no method", nil},
		{14, module, "Ответ.КодСостояния", "Ответ.КодСостояния(1)", "no object has a method", nil},
		{14, module, "Число(Настройки.Порт)", "\"порт\" + СтрДлина(Тело)", "a number is joined to text", nil},
		{14, module, "Возврат Base64Строка(", "Возврат pns4ones_СервисУведомленийКлиент.АдресКомпоненты(",
			"is not there on the side", nil},
		{14, client, "Компонента.НачатьПолучениеВерсия(", "Компонента.Подключить(", "synchronously", nil},
		{14, client, "ПараметрыСервиса().Компонента = Неопределено;", "Вопрос(\"?\");", "there is no method Вопрос", nil},
		{14, module, "ВТранзакции = ТранзакцияАктивна();", "ВТранзакции = ОбщегоНазначения.Х();", "ОбщегоНазначения", nil},
		{14, module, "\tЗащита = Неопределено;", "  Защита = Неопределено;", "begins with spaces", nil},
		{14, module, "Функция СобытиеОтправки()", "Функция Никому()\nВозврат 1;\nКонецФункции\nФункция СобытиеОтправки()",
			"nobody calls Никому", nil},
		{15, module, "ОтправитьУведомлениеВсемПользователям(Сообщение) Экспорт",
			"ОтправитьУведомлениеВсемПользователям(Сообщение, Еще = 1) Экспорт", "the contract has", nil},
		{15, client, "Тема = Неопределено) Экспорт", "Тема = \"\") Экспорт", "the contract has", nil},
	} {
		t.Run(fmt.Sprintf("%d %s", test.rule, test.want), func(t *testing.T) {
			t.Parallel()
			test.refused(t, sources(t), profile())
		})
	}
}

// TestNamesHaveThePrefix is rule 3, which each name of the dump breaks for another prefix.
func TestNamesHaveThePrefix(t *testing.T) {
	t.Parallel()
	other := profile()
	other.Prefix = "другой_"
	problems, err := dump.Check(os.DirFS(extension), other)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(problems, func(p dump.Problem) bool {
		return p.Rule == 3 && strings.Contains(p.Text, "does not begin with другой_")
	}) {
		t.Errorf("names without the prefix are taken: %v", problems)
	}
}

// bundle is an add-in as the build makes them, for a list of systems.
func bundle(t *testing.T, file string, systems ...string) string {
	t.Helper()
	var manifest strings.Builder
	manifest.WriteString(`<?xml version="1.0"?><bundle xmlns="http://v8.1c.ru/8.2/addin/bundle">`)
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for i, system := range systems {
		os, arch, _ := strings.Cut(system, " ")
		name := fmt.Sprintf(file, i)
		fmt.Fprintf(&manifest, `<component os=%q path=%q type="native" arch=%q/>`, os, name, arch)
		if _, err := archive.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	manifest.WriteString("</bundle>")
	entry, err := archive.Create("manifest.xml")
	if err == nil {
		_, err = entry.Write([]byte(manifest.String()))
	}
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "addin.zip")
	if err := os.WriteFile(path, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestPack makes the archive twice: it is the same, and has the dump with the add-in.
func TestPack(t *testing.T) {
	t.Parallel()
	addin := bundle(t, "addin_2_0_0_%d.bin", "Windows i386", "Windows x86_64", "Linux x86_64")
	var made [2][]byte
	for i := range made {
		archive := filepath.Join(t.TempDir(), "out.zip")
		if err := pack("..", addin, archive); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		made[i] = content
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two archives of the same differ")
	}
	reader, err := zip.NewReader(bytes.NewReader(made[0]), int64(len(made[0])))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range reader.File {
		names = append(names, file.Name)
	}
	for _, want := range []string{"pns4ones-1c/extension/Configuration.xml", "pns4ones-1c/extension-bsp/Configuration.xml",
		"pns4ones-1c/extension/" + template, "pns4ones-1c/install.sh", "pns4ones-1c/install.ps1"} {
		if !slices.Contains(names, want) {
			t.Errorf("the archive has no %s", want)
		}
	}
}

// TestPackRefuses what rule 13 refuses of an add-in.
func TestPackRefuses(t *testing.T) {
	t.Parallel()
	noZip := filepath.Join(t.TempDir(), "addin.zip")
	if err := os.WriteFile(noZip, []byte("no zip"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, addin := range map[string]string{
		"there is nothing for Linux x86_64": bundle(t, "addin_2_0_0_%d.bin", "Windows i386", "Windows x86_64"),
		"does not name its version":         bundle(t, "addin%d.bin", "Windows i386", "Windows x86_64", "Linux x86_64"),
		"it is no zip":                      noZip,
		"reading the add-in":                filepath.Join(t.TempDir(), "нет.zip"),
	} {
		err := pack("..", addin, filepath.Join(t.TempDir(), "out.zip"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestUUIDsNeverChange: an infobase that has the extension knows its objects by them.
func TestUUIDsNeverChange(t *testing.T) {
	t.Parallel()
	const golden = "testdata/uuids"
	uuid := regexp.MustCompile(`[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	var found []string
	for _, folder := range []string{extension, extensionBSP} {
		for name, file := range memory(t, folder) {
			if filepath.Ext(name) != ".xml" {
				continue
			}
			for _, one := range uuid.FindAllString(string(file.Data), -1) {
				if folder == extensionBSP {
					name = "bsp/" + strings.TrimPrefix(name, "bsp/")
				}
				found = append(found, one+" "+name)
			}
		}
	}
	slices.Sort(found)
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(found, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if !slices.Contains(found, strings.TrimSpace(line)) {
			t.Errorf("a released uuid is gone: %s", line)
		}
	}
}

// TestTheVersionOfTheAddIn: the extension offers the installation of a new add-in once,
// by the version that it knows of.
func TestTheVersionOfTheAddIn(t *testing.T) {
	t.Parallel()
	version, err := os.ReadFile("../addin/VERSION")
	if err != nil {
		t.Fatal(err)
	}
	want := "Функция ВерсияПакета()\n\tВозврат \"" + strings.TrimSpace(string(version)) + "\";"
	if content := string(sources(t)[client].Data); !strings.Contains(content, want) {
		t.Errorf("%s does not have %q", client, want)
	}
}
