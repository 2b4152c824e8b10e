package dump

import (
	"path"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// companions that each kind of item has; additions have two of their own.
var companions = map[string][]string{
	"LabelField": {"ContextMenu", "ExtendedTooltip"}, "InputField": {"ContextMenu", "ExtendedTooltip"},
	"CheckBoxField": {"ContextMenu", "ExtendedTooltip"}, "ProgressBarField": {"ContextMenu", "ExtendedTooltip"},
	"LabelDecoration": {"ContextMenu", "ExtendedTooltip"}, "PictureDecoration": {"ContextMenu", "ExtendedTooltip"},
	"UsualGroup": {"ExtendedTooltip"}, "Pages": {"ExtendedTooltip"}, "Page": {"ExtendedTooltip"},
	"Button": {"ExtendedTooltip"},
	"Table": {"ContextMenu", "AutoCommandBar", "ExtendedTooltip", "SearchStringAddition", "ViewStatusAddition",
		"SearchControlAddition"},

	"SearchStringAddition": {"ContextMenu", "ExtendedTooltip"}, "ViewStatusAddition": {"ContextMenu", "ExtendedTooltip"},
	"SearchControlAddition": {"ContextMenu", "ExtendedTooltip"},
}

// events that are used, each with the directive and the parameters of its handler.
var events = map[string]struct {
	directive string
	params    int
}{
	"OnCreateAtServer": {"НаСервере", 2}, "OnOpen": {"НаКлиенте", 1}, "OnClose": {"НаКлиенте", 1},
	"BeforeClose": {"НаКлиенте", 4}, "NotificationProcessing": {"НаКлиенте", 3}, "OnChange": {"НаКлиенте", 1},
	"Selection": {"НаКлиенте", 4}, "URLProcessing": {"НаКлиенте", 3}, "Click": {"НаКлиенте", 1},
}

// formParts is what a module of a form can name.
type formParts struct {
	attributes, items, handlers []string
}

// forms is rule 9.
func (d *dump) forms() {
	for _, o := range append(d.of("Form"), d.of("CommonForm")...) {
		d.form(formFile(o))
	}
}

func formFile(o object) string { return strings.TrimSuffix(o.path, ".xml") + "/Ext/Form.xml" }

func (d *dump) form(file string) {
	root := d.docs[file]
	if root == nil {
		return
	}
	f := formChecker{dump: d, file: file, names: map[string]bool{}, ids: map[string]map[string]bool{}}
	f.module, _ = bsl.Parse(file, d.source(path.Dir(file)+"/Form/Module.bsl"), bsl.Client)
	if f.module == nil {
		return // rule 14 says why
	}
	main := 0
	for _, attribute := range root.child("Attributes").children {
		f.id("attributes", attribute)
		var columns []string
		for _, column := range attribute.child("Columns").children {
			columns = append(columns, column.attributes["name"])
		}
		f.attributes = append(f.attributes, attributeOf{attribute.attributes["name"], columns})
		if attribute.child("MainAttribute").text == "true" {
			main++
		}
	}
	if main != 1 {
		d.fail(9, file, root.line, "%d main attributes, want one", main)
	}
	for _, command := range root.child("Commands").children {
		f.id("commands", command)
		f.commands = append(f.commands, command.attributes["name"])
		f.handler(command, command.child("Action").text, "НаКлиенте", 1)
	}
	f.eventsOf(root)
	for _, item := range root.child("ChildItems").children {
		f.item(item)
	}
}

type attributeOf struct {
	name    string
	columns []string
}

type formChecker struct {
	*dump
	file       string
	module     *bsl.Module
	attributes []attributeOf
	commands   []string
	names      map[string]bool
	ids        map[string]map[string]bool
}

// id notes the id of a pool and the name of an item, both of which are there once.
func (f *formChecker) id(pool string, e *element) {
	if f.ids[pool] == nil {
		f.ids[pool] = map[string]bool{}
	}
	id := e.attributes["id"]
	if id == "" || f.ids[pool][id] {
		f.fail(9, f.file, e.line, "the id %q of %s is there twice or missing", id, e.attributes["name"])
	}
	f.ids[pool][id] = true
	key := pool + "." + strings.ToLower(e.attributes["name"])
	if f.names[key] {
		f.fail(9, f.file, e.line, "the name %s is there twice", e.attributes["name"])
	}
	f.names[key] = true
}

func (f *formChecker) item(e *element) {
	f.id("items", e)
	want, known := companions[e.name]
	if !known {
		f.fail(9, f.file, e.line, "items of the kind %s are not proven", e.name)
		return
	}
	var got []string
	for _, child := range e.children {
		if slices.Contains(want, child.name) {
			got = append(got, child.name)
			f.id("items", child)
			for _, inside := range companions[child.name] {
				companion := child.child(inside)
				if companion.name == "" {
					f.fail(9, f.file, child.line, "%s has no %s", child.attributes["name"], inside)
					continue
				}
				f.id("items", companion)
			}
		}
	}
	if !slices.Equal(got, want) {
		f.fail(9, f.file, e.line, "%s has %v, want %v", e.attributes["name"], got, want)
	}
	if at := e.child("DataPath"); at.name != "" {
		f.dataPath(at)
	}
	if command := e.child("CommandName"); command.name != "" {
		name, own := strings.CutPrefix(command.text, "Form.Command.")
		if !own || !slices.Contains(f.commands, name) {
			f.fail(9, f.file, command.line, "the form has no command %s", command.text)
		}
	}
	f.eventsOf(e)
	for _, child := range e.child("ChildItems").children {
		f.item(child)
	}
}

func (f *formChecker) dataPath(at *element) {
	head, column, isColumn := strings.Cut(at.text, ".")
	for _, attribute := range f.attributes {
		if attribute.name == head && (!isColumn || slices.Contains(attribute.columns, column)) {
			return
		}
	}
	f.fail(9, f.file, at.line, "the form has no attribute %s", at.text)
}

func (f *formChecker) eventsOf(e *element) {
	for _, event := range e.child("Events").children {
		known, ok := events[event.attributes["name"]]
		if !ok {
			f.fail(9, f.file, event.line, "the event %s is not proven", event.attributes["name"])
			continue
		}
		f.handler(event, event.text, known.directive, known.params)
	}
}

func (f *formChecker) handler(e *element, name, directive string, params int) {
	method := f.module.Method(name)
	switch {
	case method == nil:
		f.fail(9, f.file, e.line, "the module of the form has no procedure %s", name)
	case method.Function || len(method.Params) != params:
		f.fail(9, f.file, e.line, "%s must be a procedure with %d parameters", name, params)
	case len(method.Directives) != 1 || method.Directives[0].Name != directive:
		f.fail(9, f.file, e.line, "%s must be &%s", name, directive)
	}
}

// partsOf returns what the module of a form can name.
func partsOf(root *element) formParts {
	var parts formParts
	for _, attribute := range root.child("Attributes").children {
		parts.attributes = append(parts.attributes, attribute.attributes["name"])
	}
	root.each(func(e *element) {
		switch e.name {
		case "Event", "Action":
			parts.handlers = append(parts.handlers, e.text)
		case "Attribute", "Command", "Column":
		default:
			if name := e.attributes["name"]; name != "" {
				parts.items = append(parts.items, name)
			}
		}
	})
	return parts
}
