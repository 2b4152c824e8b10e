package tests

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/onescript"
)

// demo is a file of demos/, and how many users play it.
type demo struct {
	file  string
	users int
}

var demos = []demo{{"чат", 2}, {"чат", 3}, {"игра-двое", 2}, {"игра-трое", 3}, {"длительная-операция", 2}}

func (d demo) name() string { return fmt.Sprintf("%s %d", d.file, d.users) }

// TestDemonstrations plays each file of demos/ to its end: every user in a process of
// their own, all with one daemon. Whatever they know of each other went through it.
func TestDemonstrations(t *testing.T) {
	t.Parallel()
	s := theStage(t)
	for _, d := range demos {
		t.Run(d.name(), func(t *testing.T) {
			t.Parallel()
			s.play(t, d, false)
		})
	}
}

// play runs one file for each of the users, with the real add-in or its stand-in.
func (s stage) play(t *testing.T, d demo, real bool) {
	t.Helper()
	first := startHelper(t, s.programs)
	app, err := first.app(t.Context(), json.RawMessage(`"общая"`))
	if err != nil {
		t.Fatal(err)
	}
	meeting := &meetings{users: d.users, places: map[string]*place{}}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	errs := make([]error, d.users)
	var playing sync.WaitGroup
	for i := range d.users {
		h, folder := first.another(t, app, meeting), t.TempDir()
		if real {
			h.raised = filepath.Join(folder, "events")
		}
		playing.Go(func() {
			errs[i] = runScript(ctx, folder, s.oscript, s.library, filepath.Join("demos", d.file+".os"), h,
				fmt.Sprintf("PNS4ONES_PLAYER=%d", i+1), fmt.Sprintf("PNS4ONES_PLAYERS=%d", d.users))
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
	other := &helper{
		programs: h.programs, folder: h.folder, fake: h.fake, trusted: h.trusted, given: app, meeting: meeting,
	}
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
	Events     []formEvent `xml:"Events>Event"`
	Attributes []struct {
		Name    string `xml:"name,attr"`
		Type    string `xml:"Type>Type"`
		Columns []struct {
			Name string `xml:"name,attr"`
			Type string `xml:"Type>Type"`
		} `xml:"Columns>Column"`
	} `xml:"Attributes>Attribute"`
	Commands []struct {
		Name   string `xml:"name,attr"`
		Action string `xml:"Action"`
	} `xml:"Commands>Command"`
	Items formItems `xml:"ChildItems"`
}

type formEvent struct {
	Name    string `xml:"name,attr"`
	Handler string `xml:",chardata"`
}

type formItem struct {
	Name     string      `xml:"name,attr"`
	DataPath string      `xml:"DataPath"`
	Events   []formEvent `xml:"Events>Event"`
	Items    formItems   `xml:"ChildItems"`
}

type formItems struct {
	List []formItem `xml:",any"`
}

// formVariables are what platform/form.os needs of a form's module.
var formVariables = []string{
	"Элементы", "Параметры", "тест_Показывается", "тест_Обработчики", "тест_Вызванные", "тест_Данные",
}

// forms makes a class of each form of the extension: Форма and its name.
func forms(t *testing.T, library, appended string, client bsl.Context) {
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
		variables := slices.Clone(formVariables)
		var body strings.Builder
		for _, attribute := range form.Attributes {
			variables = append(variables, attribute.Name)
			fmt.Fprintf(&body, "%s = %s;\n", attribute.Name, empty(attribute.Type))
			for _, column := range attribute.Columns {
				fmt.Fprintf(&body, "%s.Колонки.Добавить(%q);\n", attribute.Name, column.Name)
			}
		}
		handler := func(what, procedure string) {
			fmt.Fprintf(&body, "тест_Обработчики.Вставить(%q, %q);\n", what, procedure)
		}
		for _, event := range form.Events {
			handler("."+event.Name, event.Handler)
		}
		for _, command := range form.Commands {
			handler(command.Name, command.Action)
		}
		form.Items.each(func(item formItem) {
			fmt.Fprintf(&body, "Элементы.Вставить(%q, тест_Элемент(%[1]q));\n", item.Name)
			fmt.Fprintf(&body, "тест_Данные.Вставить(%q, %q);\n", item.Name, item.DataPath)
			for _, event := range item.Events {
				handler(item.Name+"."+event.Name, event.Handler)
			}
		})
		module := filepath.Join(filepath.Dir(file), "Form", "Module.bsl")
		name := filepath.Base(filepath.Dir(filepath.Dir(file)))
		write(t, library, "Классы", "Форма"+name, onescript.Module{
			File: module, Source: read(t, module), Context: client, Twice: []string{shared}, Variables: variables,
			Appended: appended + read(t, "platform/form.os") + body.String(),
		})
	}
}

func (f formItems) each(do func(formItem)) {
	for _, item := range f.List {
		do(item)
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
