package dump

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/lint"
)

// lintModules returns those of a dump as package lint wants them.
func (d *dump) lintModules() []*lint.Module {
	var list []*lint.Module
	for _, file := range d.paths() {
		if path.Ext(file) != ".bsl" {
			continue
		}
		list = append(list, d.lintModule(file))
	}
	return list
}

func (d *dump) lintModule(file string) *lint.Module {
	m := &lint.Module{File: file, Source: d.source(file)}
	kind, owner := ownerOf(file)
	switch base := path.Base(file); {
	case base == "ManagedApplicationModule.bsl":
		m.Kind, m.Contexts = lint.Application, []bsl.Context{bsl.Client}
	case base == "CommandModule.bsl":
		m.Kind, m.Contexts = lint.Command, []bsl.Context{bsl.Client}
		m.Handlers = []string{"ОбработкаКоманды"}
	case kind == "CommonModule":
		o, _ := d.object("CommonModule." + owner)
		m.Name = owner
		if o.node != nil {
			m.Contexts, m.ServerCall, m.Global = contextsOf(flagsOf(o.node))
		}
		if o.node != nil && isAdopted(o.node) {
			m.Contexts = []bsl.Context{bsl.Server}
		}
	case base == "ObjectModule.bsl" || base == "ManagerModule.bsl":
		m.Kind, m.Contexts = lint.Object, []bsl.Context{bsl.Server, bsl.ExternalConnection}
	default:
		m.Kind, m.Contexts = lint.Form, []bsl.Context{bsl.Client, bsl.Server}
		if root := d.docs[path.Dir(path.Dir(file))+"/Form.xml"]; root != nil {
			parts := partsOf(root)
			m.Attributes, m.Items, m.Handlers = parts.attributes, parts.items, parts.handlers
		}
	}
	return m
}

func contextsOf(flags string) (contexts []bsl.Context, serverCall, global bool) {
	for _, flag := range strings.Fields(flags) {
		switch flag {
		case "ClientManagedApplication":
			contexts = append(contexts, bsl.Client)
		case "Server":
			contexts = append(contexts, bsl.Server)
		case "ExternalConnection":
			contexts = append(contexts, bsl.ExternalConnection)
		case "ServerCall":
			serverCall = true
		case "Global":
			global = true
		}
	}
	return contexts, serverCall, global
}

// libraryNames of БСП may stand in strings of one module, and nowhere as names.
var libraryNames = []string{
	"ОбщегоНазначения", "ОбщегоНазначенияКлиент", "СтандартныеПодсистемыСервер", "СтандартныеПодсистемыКлиент",
	"Пользователи",
	"ДлительныеОперации", "ДлительныеОперацииКлиент", "СтроковыеФункцииКлиентСервер", "УправлениеЭлектроннойПочтой",
}

// modules is rule 14: they parse and every name in them means something.
func (d *dump) modules() {
	modules := d.lintModules()
	for _, m := range modules {
		for i, line := range strings.Split(m.Source, "\n") {
			indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
			if strings.Contains(indent, " ") {
				d.fail(14, m.File, i+1, "a line begins with spaces: modules are indented by tabs")
			}
		}
	}
	for _, err := range lint.Check(d.profile.Platform, slices.Concat(modules, d.profile.Others)) {
		var at *bsl.Error
		if !errors.As(err, &at) {
			d.fail(14, "", 0, "%v", err)
			continue
		}
		rule := 14
		if strings.Contains(at.Text, "ОписаниеОповещения") || strings.Contains(at.Text, "wait handler") ||
			strings.Contains(at.Text, "there is no procedure") {
			rule = 10
		}
		d.fail(rule, at.File, at.Line, "%d: %s", at.Column, at.Text)
	}
	for _, m := range modules {
		d.library(m)
	}
}

// library refuses names of БСП as identifiers, in all modules but adopted ones.
func (d *dump) library(m *lint.Module) {
	if o, exists := d.object("CommonModule." + m.Name); exists && isAdopted(o.node) {
		return
	}
	for _, context := range m.Contexts {
		parsed := d.parse(m, context)
		if parsed == nil {
			continue
		}
		for _, method := range parsed.Methods {
			bsl.Walk(method.Body, func(node any) bool {
				if name, ok := node.(*bsl.Name); ok && slices.Contains(libraryNames, name.Name) && len(d.profile.Adopted) == 0 {
					d.fail(14, m.File, name.Line, "%s is of БСП: without it the module would not compile", name.Name)
				}
				return true
			})
		}
	}
}

var (
	formString     = regexp.MustCompile(`^Обработка\.([\pL\d_]+)\.Форма\.([\pL\d_]+)$`)
	templateString = regexp.MustCompile(`^ОбщийМакет\.([\pL\d_]+)$`)
	commandString  = regexp.MustCompile(`^e1cib/command/Обработка\.([\pL\d_]+)\.Команда\.([\pL\d_]+)$`)
	jobString      = regexp.MustCompile(`^(pns4ones[\pL\d]*_[\pL\d_]+)\.([\pL\d_]+)$`)
)

// strings is rule 10: forms, templates, commands and methods that strings name exist.
func (d *dump) strings() {
	modules := d.lintModules()
	for _, m := range modules {
		for _, context := range m.Contexts {
			parsed := d.parse(m, context)
			if parsed == nil {
				continue
			}
			for _, method := range parsed.Methods {
				bsl.Walk(method.Body, func(node any) bool {
					if literal, ok := node.(*bsl.Literal); ok && literal.Kind == bsl.String {
						if err := d.named(literal.Text, modules); err != nil {
							d.fail(10, m.File, literal.Line, "%v", err)
						}
					}
					return true
				})
			}
		}
	}
}

func (d *dump) named(text string, modules []*lint.Module) error {
	if found := formString.FindStringSubmatch(text); found != nil {
		if d.docs["DataProcessors/"+found[1]+"/Forms/"+found[2]+".xml"] == nil {
			return fmt.Errorf("there is no form %s", text)
		}
	}
	if found := templateString.FindStringSubmatch(text); found != nil {
		if _, exists := d.object("CommonTemplate." + found[1]); !exists {
			return fmt.Errorf("there is no template %s", text)
		}
	}
	if found := commandString.FindStringSubmatch(text); found != nil {
		if !d.hasCommand(found[1], found[2]) {
			return fmt.Errorf("there is no command %s", text)
		}
	}
	if found := jobString.FindStringSubmatch(text); found != nil {
		for _, m := range modules {
			if m.Name != found[1] {
				continue
			}
			parsed := d.parse(m, bsl.Server)
			if parsed != nil && (parsed.Method(found[2]) == nil || !parsed.Method(found[2]).Exported) {
				return fmt.Errorf("there is no exported method %s", text)
			}
		}
	}
	return nil
}

func (d *dump) hasCommand(processor, command string) bool {
	o, exists := d.object("DataProcessor." + processor)
	if !exists {
		return false
	}
	for _, child := range o.node.child("ChildObjects").children {
		if child.name == "Command" && child.child("Properties", "Name").text == command {
			return true
		}
	}
	return false
}

// Modules returns the modules of a dump as package lint takes them: what others call is
// looked up in them.
func Modules(folder fs.FS) ([]*lint.Module, error) {
	d, err := load(folder, Profile{})
	if err != nil {
		return nil, err
	}
	d.wellFormed()
	d.declared()
	if len(d.problems) > 0 {
		return nil, d.problems[0]
	}
	return d.lintModules(), nil
}
