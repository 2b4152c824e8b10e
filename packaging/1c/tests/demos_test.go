package tests

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/onescript"
)

// demos are the files of demos/, each with how many users play it.
var demos = []struct {
	file  string
	users int
}{{"чат", 2}, {"чат", 3}, {"игра-двое", 2}, {"игра-трое", 3}, {"длительная-операция", 2}}

// TestDemonstrations plays each file of demos/ to its end: every user in a process of
// their own, all with one daemon. Whatever they know of each other went through it.
func TestDemonstrations(t *testing.T) {
	t.Parallel()
	oscript := engine(t)
	programs := build(t)
	library := prepare(t)
	for _, demo := range demos {
		t.Run(fmt.Sprintf("%s %d", demo.file, demo.users), func(t *testing.T) {
			t.Parallel()
			play(t, oscript, programs, library, demo.file, demo.users)
		})
	}
}

// play runs one file for each of the users.
func play(t *testing.T, oscript, programs, library, file string, users int) {
	t.Helper()
	first := startHelper(t, programs)
	app, err := first.app(t.Context(), json.RawMessage(`"общая"`))
	if err != nil {
		t.Fatal(err)
	}
	meeting := &meetings{users: users, places: map[string]*place{}}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	errs := make([]error, users)
	var playing sync.WaitGroup
	for i := range users {
		h, folder := first.another(t, app, meeting), t.TempDir()
		playing.Go(func() {
			errs[i] = runScript(ctx, folder, oscript, library, filepath.Join("demos", file+".os"), h,
				fmt.Sprintf("PNS4ONES_PLAYER=%d", i+1), fmt.Sprintf("PNS4ONES_PLAYERS=%d", users))
			if errs[i] != nil {
				cancel() // the others would wait for this one
			}
		})
	}
	playing.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Errorf("%v\nlog of the daemon:\n%s", err, first.daemonLog())
	}
}

// another is a helper for one more user of the same infobase and daemon.
func (h *helper) another(t *testing.T, app any, meeting *meetings) *helper {
	t.Helper()
	other := &helper{programs: h.programs, folder: h.folder, fake: h.fake, trusted: h.trusted, given: app, meeting: meeting}
	other.serve(t)
	return other
}

func (h *helper) prepared(context.Context, json.RawMessage) (any, error) { return h.given, nil }

// meetings are where those who play wait for each other.
type meetings struct {
	users  int
	mu     sync.Mutex
	places map[string]*place
}

type place struct {
	here int
	all  chan struct{} // closed when all are here
}

func (h *helper) meet(ctx context.Context, question json.RawMessage) (any, error) {
	var name string
	if err := json.Unmarshal(question, &name); err != nil {
		return nil, err
	}
	m := h.meeting
	m.mu.Lock()
	p := m.places[name]
	if p == nil {
		p = &place{all: make(chan struct{})}
		m.places[name] = p
	}
	if p.here++; p.here == m.users {
		close(p.all)
	}
	m.mu.Unlock()
	select {
	case <-p.all:
		return true, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// formXML is as much of a form's description as a stand-in needs.
type formXML struct {
	Attributes []struct {
		Name    string `xml:"name,attr"`
		Type    string `xml:"Type>Type"`
		Columns []struct {
			Name string `xml:"name,attr"`
			Type string `xml:"Type>Type"`
		} `xml:"Columns>Column"`
	} `xml:"Attributes>Attribute"`
	Items formItems `xml:"ChildItems"`
}

type formItems struct {
	List []struct {
		Name  string    `xml:"name,attr"`
		Items formItems `xml:"ChildItems"`
	} `xml:",any"`
}

// forms makes a class of each form of the extension: Форма and its name.
func forms(t *testing.T, library, appended string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(extension, "DataProcessors/*/Forms/*/Ext/Form.xml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no forms: %v", err)
	}
	for _, file := range files {
		var form formXML
		if err := xml.Unmarshal([]byte(strings.TrimPrefix(read(t, file), "\ufeff")), &form); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		variables := []string{"Элементы", "Параметры", "тест_Показывается"}
		var body strings.Builder
		for _, attribute := range form.Attributes {
			variables = append(variables, attribute.Name)
			fmt.Fprintf(&body, "%s = %s;\n", attribute.Name, empty(attribute.Type))
			for _, column := range attribute.Columns {
				fmt.Fprintf(&body, "%s.Колонки.Добавить(%q);\n", attribute.Name, column.Name)
			}
		}
		form.Items.each(func(name string) {
			fmt.Fprintf(&body, "Элементы.Вставить(%q, Новый Структура(\"Имя, Видимость, Доступность, ТекущиеДанные, ЦветТекста, ЦветТекстаЗаголовка\", %q, Истина, Истина));\n", name, name)
		})
		module := filepath.Join(filepath.Dir(file), "Form", "Module.bsl")
		name := filepath.Base(filepath.Dir(filepath.Dir(file)))
		write(t, library, "Классы", "Форма"+name, onescript.Module{
			File: module, Source: read(t, module), Context: bsl.Client, Twice: []string{shared}, Variables: variables,
			Appended: appended + read(t, "platform/form.os") + body.String(),
		})
	}
}

func (f formItems) each(do func(name string)) {
	for _, item := range f.List {
		do(item.Name)
		item.Items.each(do)
	}
}

// empty is the value that an attribute of a type begins with.
func empty(kind string) string {
	switch kind {
	case "xs:string":
		return `""`
	case "xs:decimal":
		return "0"
	case "xs:boolean":
		return "Ложь"
	case "v8:ValueTable":
		return "Новый ТаблицаЗначений"
	}
	return "Неопределено"
}
