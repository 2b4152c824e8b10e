package main

import (
	_ "embed" // for the contract
	"fmt"
	"io/fs"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl/dump"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/lint"
)

//go:embed contract.txt
var contract string

// profile is what the rules of a dump must know of the extension in
// packaging/1c/extension.
func profile() dump.Profile {
	const (
		module   = "pns4ones_СервисУведомлений"
		settings = "InformationRegister.pns4ones_НастройкиСервисаУведомлений"
	)
	return dump.Profile{
		Prefix: "pns4ones_",
		// Loaded over the extension of the former product, it keeps the settings and the
		// roles of users only with these.
		Identity: map[string]string{
			"Configuration": "da0d74ae-e58c-4d04-99fd-42e764325b98",
			settings:        "cf53d6d4-5940-4091-95e4-df254292422b",
			settings + ".Resource.ИспользоватьСервисУведомлений":      "c34f7ec2-c719-43cd-8267-f4fdf348866f",
			settings + ".Resource.ИдентификаторПриложения":            "c3f72e80-32a5-4141-957d-542988d3c8b5",
			settings + ".Resource.АдресСервераОтправленияУведомлений": "3adaf777-2401-4a05-a9d2-cd01cf79c6a6",
			settings + ".Resource.АдресСервераПолученияУведомлений":   "c3bdbc5d-f1cc-4498-857b-341323332a6a",
			settings + ".Resource.ИспользоватьЗащищенноеСоединение":   "69798897-7ea4-4554-9161-bf38e4c3f2ae",
			"Role.pns4ones_АдминистрированиеСервисаУведомлений":       "e3d81384-2612-4993-a92b-e0f3c1dfb6a7",
			"Role.pns4ones_ИспользованиеСервисаУведомлений":           "a7cfc42b-a630-4001-b7a5-1cbdc7c3bbc2",
			"Subsystem.pns4ones_СервисУведомлений":                    "5df9c6f1-59b6-4571-9861-c02fcb305afd",
		},
		Flags: map[string]string{
			module:                      "Server ExternalConnection",
			module + "ВызовСервера":     "Server ServerCall",
			module + "Клиент":           "ClientManagedApplication",
			module + "Глобальный":       "Global ClientManagedApplication",
			module + "КлиентСервер":     "ClientManagedApplication Server ExternalConnection",
			module + "КлиентПовтИсп":    "ClientManagedApplication DuringSession",
			module + "Переопределяемый": "Server ExternalConnection",
			module + "БСП":              "Server ExternalConnection",
			module + "ПовтИсп":          "Server ExternalConnection DuringSession",

			"pns4ones_ДемонстрацияКлиент": "ClientManagedApplication",
			"pns4ones_Демонстрация":       "Server",
		},
		Contract: contract,
		Secrets:  []string{"InformationRegister.pns4ones_СекретыСервисаУведомлений"},
		Platform: lint.TheTable(),
	}
}

// profileBSP is the same of packaging/1c/extension-bsp, which calls the modules of the
// other one. БСП's objects have the same uuids in all configurations that have them.
func profileBSP(extension fs.FS) (dump.Profile, error) {
	called, err := dump.Modules(extension)
	if err != nil {
		return dump.Profile{}, fmt.Errorf("reading the modules that the second extension calls: %w", err)
	}
	platform, err := lint.With(`
		function ЗафиксироватьТранзакцию 0 SX helper
		function НачатьТранзакцию 0-1 SX helper
		function ОтменитьТранзакцию 0 SX helper
		function ТекущаяДатаСеанса 0 SX helper
		function ЭтоНовый 0 SX helper
		property ДополнительныеСвойства 0 SX helper
		property ОбменДанными 0 SX helper
		property РежимБлокировкиДанных 0 SX helper
		property Ссылка 0 SX helper
		type БлокировкаДанных 0 SX helper
		method Заблокировать 0 SX helper
		method УстановитьЗначение 2 SX helper`)
	if err != nil {
		return dump.Profile{}, err
	}
	return dump.Profile{
		Prefix:   "pns4onesБСП_",
		Identity: map[string]string{"Configuration": "56d4493c-e0ab-5bcb-8b06-9ada2b9a42f7"},
		Flags:    map[string]string{"pns4onesБСП_Уведомления": "Server ExternalConnection"},
		Adopted: map[string]string{
			"CommonModule.УправлениеЭлектроннойПочтой": "90433152-f389-4d45-8ccc-3eb6c7a7e1f0",
			"Task.ЗадачаИсполнителя":                   "3ad08f4a-6202-4099-b6cc-bc116e6731a0",
		},
		Others:   called,
		Platform: platform,
	}, nil
}
