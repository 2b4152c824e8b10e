package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
)

func bsp(t *testing.T) dump.Profile {
	t.Helper()
	profile, err := profileBSP(os.DirFS(extension))
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

// TestTheSecondExtensionKeepsTheRules checks extension-bsp.
func TestTheSecondExtensionKeepsTheRules(t *testing.T) {
	t.Parallel()
	problems, err := dump.Check(os.DirFS(extensionBSP), bsp(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Error(problem)
	}
}

// TestABrokenSecondExtensionIsRefused breaks each rule that holds for it, some by objects
// that it does not have.
func TestABrokenSecondExtensionIsRefused(t *testing.T) {
	t.Parallel()
	const (
		tell  = "CommonModules/pns4onesБСП_Уведомления"
		code  = tell + "/Ext/Module.bsl"
		mail  = "CommonModules/УправлениеЭлектроннойПочтой"
		task  = "Tasks/ЗадачаИсполнителя"
		whole = "Configuration.xml"
		own   = "DataProcessors/pns4onesБСП_Х"
		form  = own + "/Forms/Ф"
	)
	head, _, _ := strings.Cut(string(memory(t, extensionBSP)[whole].Data), "\n\t<Configuration")
	object := func(kind, name, more, children string) string {
		return fmt.Sprintf("%s<%s uuid=\"00000000-0000-4000-8000-%012x\">"+
			"<Properties><Name>%s</Name>%s</Properties><ChildObjects>%s</ChildObjects></%[2]s></MetaDataObject>",
			head, kind, len(name), name, more, children)
	}
	catalog := map[string]string{
		"Catalogs/Пользователи.xml": object("Catalog", "Пользователи", "<ObjectBelonging>Adopted</ObjectBelonging>", ""),
	}
	processor := map[string]string{
		own + ".xml":                  object("DataProcessor", "pns4onesБСП_Х", "", "<Form>Ф</Form>"),
		form + ".xml":                 object("Form", "Ф", "", ""),
		form + "/Ext/Form.xml":        `<Form xmlns="http://v8.1c.ru/8.3/xcf/logform" version="2.13"><Attributes/></Form>`,
		form + "/Ext/Form/Module.bsl": "",
	}
	withProcessor := "<DataProcessor>pns4onesБСП_Х</DataProcessor><Task>"
	for _, test := range []breach{
		{1, tell + ".xml", `version="2.13"`, `version="2.16"`, "the version is", nil},
		{2, mail + "/Ext/Module.bsl", "", "", "the file is not there", nil},
		{3, whole, "<Task>", "<DataProcessor>Х</DataProcessor><Task>", "does not begin with pns4onesБСП_",
			map[string]string{"DataProcessors/Х.xml": object("DataProcessor", "Х", "", "")}},
		{4, mail + ".xml", `<CommonModule uuid="`, `<CommonModule uuid="X`, "is no uuid", nil},
		{4, whole, `<Configuration uuid="`, `<Configuration uuid="0`, "is no uuid", nil},
		{5, whole, "<NamePrefix>pns4onesБСП_", "<NamePrefix>pns4ones_", "NamePrefix", nil},
		{6, mail + ".xml", "90433152", "90433153", "extends", nil},
		{6, task + ".xml", "<ExtendedConfigurationObject>3ad08f4a-6202-4099-b6cc-bc116e6731a0</ExtendedConfigurationObject>",
			"", "extends", nil},
		{6, whole, "<Task>", "<Catalog>Пользователи</Catalog><Task>", "is adopted", catalog},
		{7, whole, "<Task>", withProcessor, "the generated types are", processor},
		{8, tell + ".xml", "<ServerCall>false", "<ServerCall>true", "the flags are", nil},
		{9, whole, "<Task>", withProcessor, "0 main attributes", processor},
		{10, code, `"pns4onesБСП_Уведомления.УведомитьОЗадаче"`, `"pns4onesБСП_Уведомления.Нет"`,
			"there is no exported method", nil},
		{11, whole, "<Task>", withProcessor, "no role has a right", processor},
		{12, whole, "<Task>", withProcessor, "is in no section", processor},
		{14, mail + "/Ext/Module.bsl", "УведомитьОПисьмах()", "УведомитьОПисьмах(1)", "takes 0 arguments", nil},
		{14, code, "pns4ones_СервисУведомлений.ОтправитьУведомлениеПользователю(Строка(Пользователь), Сообщение)",
			"pns4ones_СервисУведомлений.ОтправитьУведомлениеПользователю(Сообщение)", "needs its argument", nil},
		{14, task + "/Ext/ObjectModule.bsl", "ЭтоНовый()", "ЭтоСтарый()", "there is no method", nil},
	} {
		t.Run(fmt.Sprintf("%d %s", test.rule, test.want), func(t *testing.T) {
			t.Parallel()
			test.refused(t, memory(t, extensionBSP), bsp(t))
		})
	}
}
