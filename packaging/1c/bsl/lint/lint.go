// Package lint checks that names in modules of 1C mean something where they stand: each
// is a local, a variable or method of its module, an exported method of another module
// that exists in the same context, an attribute or item of its form, or in the table of
// the platform's names (platform.txt). It counts arguments, looks up procedures that are
// named in strings for continuations and wait handlers, and refuses synchronous use of
// an add-in, and numbers that are joined to text without Формат: the platform writes
// 1000 with a no-break space.
//
// It executes nothing and knows no types: that a value has a property, and whether what
// goes to a server call may travel, it cannot tell. It must not know of dumps; what a
// module belongs to is told by package dump.
package lint

import (
	"fmt"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// Kind is what a module belongs to.
type Kind int

// The kinds of modules.
const (
	Common Kind = iota
	Application
	Form
	Object // of a data processor or another object
	Command
)

// Module is a module to check, with what is around it.
type Module struct {
	Name, File, Source string
	Kind               Kind
	Contexts           []bsl.Context // where it is compiled
	ServerCall         bool          // its methods may be called from the client
	Global             bool          // its exported methods are called without its name
	Attributes         []string      // of the form, or of the object
	Items              []string      // of the form
	Handlers           []string      // procedures that the form or the platform calls
}

type checker struct {
	platform *Platform
	modules  []*Module
	parsed   map[*Module]map[bsl.Context]*bsl.Module
	problems []error
	seen     map[string]bool
}

// Check returns all that is wrong with modules, each problem with file and position.
func Check(platform *Platform, modules []*Module) []error {
	c := &checker{
		platform: platform, modules: modules,
		parsed: map[*Module]map[bsl.Context]*bsl.Module{}, seen: map[string]bool{},
	}
	for _, m := range modules {
		c.parsed[m] = map[bsl.Context]*bsl.Module{}
		for _, context := range m.Contexts {
			parsed, err := bsl.Parse(m.File, m.Source, context)
			if err != nil {
				c.add(err)
				continue
			}
			c.parsed[m][context] = parsed
		}
	}
	if len(c.problems) > 0 {
		return c.problems // names of a module that cannot be read would all be unknown
	}
	for _, m := range modules {
		for _, context := range m.Contexts {
			c.module(m, c.parsed[m][context], context)
		}
		c.unused(m)
	}
	return c.problems
}

// add keeps a problem once: the same may be found in each context.
func (c *checker) add(err error) {
	if !c.seen[err.Error()] {
		c.seen[err.Error()] = true
		c.problems = append(c.problems, err)
	}
}

func (c *checker) module(m *Module, parsed *bsl.Module, context bsl.Context) {
	if m.Kind == Common && len(parsed.Vars)+len(parsed.Body) > 0 {
		c.add(&bsl.Error{File: m.File, Position: bsl.Position{Line: 1, Column: 1},
			Text: "a common module has only methods"})
	}
	for _, method := range parsed.Methods {
		if _, taken := c.platform.functions[strings.ToLower(method.Name)]; taken {
			c.add(&bsl.Error{File: m.File, Position: method.Position,
				Text: fmt.Sprintf("the platform has a method %s: ours would hide it, or not compile", method.Name)})
		}
		where, ok := methodContext(m, method)
		if !ok {
			c.add(&bsl.Error{File: m.File, Position: method.Position,
				Text: "a method of a form or a command says by one directive where it runs"})
			continue
		}
		if m.Kind == Form && !where.runs(context) {
			continue
		}
		s := &scope{checker: c, module: m, parsed: parsed, context: context, method: method, where: where}
		s.check(method.Body)
	}
	if m.Kind != Form || context == bsl.Client {
		s := &scope{checker: c, module: m, parsed: parsed, context: context,
			where: place{client: context == bsl.Client, server: true, form: true}}
		s.check(parsed.Body)
	}
}

// place is where a method of a form runs.
type place struct {
	client, server bool
	form           bool // it sees the form's attributes
}

func (p place) runs(context bsl.Context) bool {
	return context == bsl.Client && p.client || context == bsl.Server && p.server
}

func methodContext(m *Module, method *bsl.Method) (place, bool) {
	if m.Kind != Form && m.Kind != Command {
		return place{client: true, server: true, form: true}, true
	}
	found, n := place{}, 0
	for _, directive := range method.Directives {
		switch strings.ToLower(directive.Name) {
		case "наклиенте", "atclient":
			found = place{client: true, form: true}
		case "насервере", "atserver":
			found = place{server: true, form: true}
		case "насерверебезконтекста", "atservernocontext":
			found = place{server: true}
		case "наклиентенасерверебезконтекста", "atclientatservernocontext":
			found = place{client: true, server: true}
		default:
			continue
		}
		n++
	}
	return found, n == 1
}

// unused finds methods that are neither exported nor named by anybody.
func (c *checker) unused(m *Module) {
	named := map[string]bool{}
	for _, handler := range m.Handlers {
		named[strings.ToLower(handler)] = true
	}
	defined := map[string]bsl.Position{}
	for _, parsed := range c.parsed[m] {
		visit := func(node any) bool {
			switch node := node.(type) {
			case *bsl.Name:
				named[strings.ToLower(node.Name)] = true
			case *bsl.Literal:
				named[strings.ToLower(node.Text)] = true
			}
			return true
		}
		bsl.Walk(parsed.Body, visit)
		for _, method := range parsed.Methods {
			bsl.Walk(method.Body, visit)
			if !method.Exported && len(method.Directives) < 2 && !intercepts(method) {
				defined[method.Name] = method.Position
			}
		}
	}
	for name, at := range defined {
		if !named[strings.ToLower(name)] {
			c.add(&bsl.Error{File: m.File, Position: at, Text: fmt.Sprintf("nobody calls %s", name)})
		}
	}
}

// intercepts reports whether a method of an extension stands by one of the
// configuration: &После("…").
func intercepts(method *bsl.Method) bool {
	for _, directive := range method.Directives {
		if directive.Argument != "" {
			return true
		}
	}
	return false
}

// common returns our common module of a name.
func (c *checker) common(name string) *Module {
	for _, m := range c.modules {
		if m.Kind == Common && bsl.Same(m.Name, name) {
			return m
		}
	}
	return nil
}
