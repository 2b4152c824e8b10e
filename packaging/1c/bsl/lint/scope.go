package lint

import (
	"fmt"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// scope is one method in one context.
type scope struct {
	*checker
	module  *Module
	parsed  *bsl.Module
	context bsl.Context
	method  *bsl.Method // nil: the body of the module
	where   place
	locals  map[string]bool
}

func (s *scope) fail(at bsl.Position, format string, args ...any) {
	s.add(&bsl.Error{File: s.module.File, Position: at, Text: fmt.Sprintf(format, args...)})
}

func (s *scope) check(body []bsl.Statement) {
	s.locals = map[string]bool{}
	if s.method != nil {
		for _, param := range s.method.Params {
			s.locals[strings.ToLower(param.Name)] = true
		}
		for _, variable := range s.method.Vars {
			s.locals[strings.ToLower(variable.Name)] = true
		}
	}
	// A name that is assigned anywhere in a method is a local of it, unless it is more.
	bsl.Walk(body, func(node any) bool {
		switch node := node.(type) {
		case *bsl.Assign:
			if name, ok := node.Target.(*bsl.Name); ok && !s.isVariable(name.Name) {
				s.locals[strings.ToLower(name.Name)] = true
			}
		case *bsl.Each:
			s.locals[strings.ToLower(node.Name)] = true
		case *bsl.Count:
			s.locals[strings.ToLower(node.Name)] = true
		}
		return true
	})
	bsl.Walk(body, s.visit)
}

// visit looks at a node, and says whether what is in it still must be looked at.
func (s *scope) visit(node any) bool {
	switch node := node.(type) {
	case *bsl.Do:
		s.call(node.Call, false)
		return false
	case *bsl.Assign:
		s.assignment(node)
	case *bsl.Call:
		s.call(node, true)
		return false
	case *bsl.New:
		s.create(node)
	case *bsl.Member:
		s.member(node)
		if name, ok := node.Of.(*bsl.Name); ok && s.isItems(name.Name) {
			if !contains(s.module.Items, node.Name) {
				s.fail(node.Position, "the form has no item %s", node.Name)
			}
		}
	case *bsl.Name:
		s.name(node)
	case *bsl.Binary:
		if node.Operator == "+" && (s.isText(node.X) && s.isNumber(node.Y) || s.isNumber(node.X) && s.isText(node.Y)) {
			s.fail(node.Where(), "a number is joined to text: the platform writes 1000 with a space; use Формат or XMLСтрока")
		}
	case *bsl.Execute:
		s.fail(node.Position, "Выполнить is not allowed")
	}
	return true
}

func contains(list []string, name string) bool {
	for _, one := range list {
		if bsl.Same(one, name) {
			return true
		}
	}
	return false
}

func (s *scope) isItems(name string) bool {
	return s.module.Kind == Form && s.where.form && bsl.Same(name, "Элементы")
}

// isVariable reports whether a name can be assigned to and is no local.
func (s *scope) isVariable(name string) bool {
	for _, variable := range s.parsed.Vars {
		if bsl.Same(variable.Name, name) {
			return true
		}
	}
	if s.where.form && contains(s.module.Attributes, name) {
		return true
	}
	return s.applicationVariable(name)
}

func (s *scope) applicationVariable(name string) bool {
	for _, m := range s.modules {
		parsed := s.checker.parsed[m][s.context]
		if m.Kind != Application || parsed == nil {
			continue
		}
		for _, variable := range parsed.Vars {
			if variable.Exported && bsl.Same(variable.Name, name) {
				return true
			}
		}
	}
	return false
}

func (s *scope) assignment(node *bsl.Assign) {
	name, ok := node.Target.(*bsl.Name)
	if !ok {
		return
	}
	if s.common(name.Name) != nil || s.parsed.Method(name.Name) != nil {
		s.fail(name.Position, "%s is a module or a method, nothing can be assigned to it", name.Name)
	}
}

// name is one that stands for a value.
func (s *scope) name(node *bsl.Name) {
	if s.locals[strings.ToLower(node.Name)] || s.isVariable(node.Name) {
		return
	}
	if m := s.common(node.Name); m != nil {
		s.reachable(m, node.Position)
		return
	}
	if s.where.form && s.module.Kind != Common && bsl.Same(node.Name, "ЭтотОбъект") {
		return
	}
	if known, ok := s.platform.properties[strings.ToLower(node.Name)]; ok {
		s.platformContext(known, node.Name, node.Position)
		return
	}
	if _, ok := s.platform.form[strings.ToLower(node.Name)]; ok && s.module.Kind == Form && s.where.form {
		return
	}
	s.fail(node.Position, "%s is unknown", node.Name)
}

func (s *scope) platformContext(known platformName, name string, at bsl.Position) {
	if !known.contexts[s.context] {
		s.fail(at, "%s is not there on the side of the %s", name, s.context)
	}
}

// reachable says whether a common module can be named in the scope's context.
func (s *scope) reachable(m *Module, at bsl.Position) {
	for _, context := range m.Contexts {
		if context == s.context {
			return
		}
	}
	if s.context == bsl.Client && m.ServerCall {
		return
	}
	s.fail(at, "the module %s is not there on the side of the %s", m.Name, s.context)
}

// member is X.Name without a call.
func (s *scope) member(node *bsl.Member) {
	if name, ok := node.Of.(*bsl.Name); ok && !s.locals[strings.ToLower(name.Name)] && s.common(name.Name) != nil {
		s.fail(node.Position, "a common module has no properties: %s.%s", name.Name, node.Name)
	}
	if isAddIn(node.Of) && !strings.HasPrefix(node.Name, "Начать") {
		s.fail(node.Position, "the add-in is used synchronously: %s", node.Name)
	}
}

// isAddIn reports whether an expression is an add-in by its name: Компонента.
func isAddIn(x bsl.Expression) bool {
	switch x := x.(type) {
	case *bsl.Name:
		return bsl.Same(x.Name, "Компонента")
	case *bsl.Member:
		return bsl.Same(x.Name, "Компонента")
	}
	return false
}

func (s *scope) call(node *bsl.Call, asFunction bool) {
	for _, arg := range node.Args {
		if arg != nil {
			bsl.WalkExpression(arg, s.visit)
		}
	}
	switch of := node.Of.(type) {
	case *bsl.Name:
		s.callByName(of, node.Args, asFunction)
	case *bsl.Member:
		if name, ok := of.Of.(*bsl.Name); ok && !s.locals[strings.ToLower(name.Name)] {
			if m := s.common(name.Name); m != nil {
				s.reachable(m, name.Position)
				s.callOfModule(m, of, node.Args, asFunction)
				return
			}
		}
		bsl.WalkExpression(of.Of, s.visit)
		s.callOfMember(of, node.Args)
	}
}

func (s *scope) callByName(of *bsl.Name, args []bsl.Expression, asFunction bool) {
	if own := s.parsed.Method(of.Name); own != nil {
		s.arguments(of.Position, own, args, asFunction)
		if s.module.Kind == Form {
			s.callInForm(of, own)
		}
		return
	}
	for _, m := range s.modules {
		if !m.Global {
			continue
		}
		if parsed := s.checker.parsed[m][s.context]; parsed != nil {
			if method := parsed.Method(of.Name); method != nil && method.Exported {
				s.arguments(of.Position, method, args, asFunction)
				return
			}
		}
	}
	key := strings.ToLower(of.Name)
	if known, ok := s.platform.form[key]; ok && s.module.Kind == Form && s.where.form {
		s.platformContext(known, of.Name, of.Position)
		s.count(of.Position, of.Name, known.least, known.most, args)
		s.waitHandler(of, args)
		return
	}
	known, ok := s.platform.functions[key]
	if !ok {
		s.fail(of.Position, "there is no method %s", of.Name)
		return
	}
	s.platformContext(known, of.Name, of.Position)
	s.count(of.Position, of.Name, known.least, known.most, args)
	s.waitHandler(of, args)
}

// callInForm: the client may call the server; nothing else crosses over, and without
// the form's context there is no way back to it.
func (s *scope) callInForm(of *bsl.Name, method *bsl.Method) {
	target, _ := methodContext(s.module, method)
	toServer := s.context == bsl.Client && target.server
	if !target.runs(s.context) && !toServer {
		s.fail(of.Position, "%s does not run on the side of the %s", of.Name, s.context)
	}
	if target.form && !s.where.form {
		s.fail(of.Position, "%s needs the form, the caller has none", of.Name)
	}
}

func (s *scope) callOfModule(m *Module, of *bsl.Member, args []bsl.Expression, asFunction bool) {
	for _, parsed := range s.checker.parsed[m] {
		method := parsed.Method(of.Name)
		if method == nil || !method.Exported {
			s.fail(of.Position, "%s has no exported method %s", m.Name, of.Name)
			return
		}
		s.arguments(of.Position, method, args, asFunction)
		return
	}
}

func (s *scope) callOfMember(of *bsl.Member, args []bsl.Expression) {
	if isAddIn(of.Of) {
		if !strings.HasPrefix(of.Name, "Начать") {
			s.fail(of.Position, "the add-in is used synchronously: %s", of.Name)
		}
		return
	}
	known, ok := s.platform.methods[strings.ToLower(of.Name)]
	if !ok {
		s.fail(of.Position, "no object has a method %s", of.Name)
		return
	}
	s.count(of.Position, of.Name, known.least, known.most, args)
}

func (s *scope) arguments(at bsl.Position, method *bsl.Method, args []bsl.Expression, asFunction bool) {
	if asFunction && !method.Function {
		s.fail(at, "%s is a procedure, it has no value", method.Name)
	}
	if len(args) > len(method.Params) {
		s.fail(at, "%s takes %d arguments, not %d", method.Name, len(method.Params), len(args))
		return
	}
	for i, param := range method.Params {
		if param.Default == nil && (i >= len(args) || args[i] == nil) {
			s.fail(at, "%s needs its argument %s", method.Name, param.Name)
		}
	}
}

func (s *scope) count(at bsl.Position, name string, least, most int, args []bsl.Expression) {
	switch {
	case len(args) < least:
		s.fail(at, "%s takes at least %d arguments, not %d", name, least, len(args))
	case most != Any && len(args) > most:
		s.fail(at, "%s takes at most %d arguments, not %d", name, most, len(args))
	}
}

func (s *scope) isText(x bsl.Expression) bool {
	switch x := x.(type) {
	case *bsl.Literal:
		return x.Kind == bsl.String
	case *bsl.Parenthesis:
		return s.isText(x.X)
	case *bsl.Binary:
		return x.Operator == "+" && (s.isText(x.X) || s.isText(x.Y))
	}
	return false
}

func (s *scope) isNumber(x bsl.Expression) bool {
	switch x := x.(type) {
	case *bsl.Literal:
		return x.Kind == bsl.Number
	case *bsl.Parenthesis:
		return s.isNumber(x.X)
	case *bsl.Unary:
		return x.Operator != "не"
	case *bsl.Binary:
		return x.Operator == "-" || x.Operator == "*" || x.Operator == "/" || x.Operator == "%" ||
			x.Operator == "+" && s.isNumber(x.X) && s.isNumber(x.Y)
	case *bsl.Call:
		switch of := x.Of.(type) {
		case *bsl.Name:
			return s.platform.functions[strings.ToLower(of.Name)].number
		case *bsl.Member:
			return s.platform.methods[strings.ToLower(of.Name)].number
		}
	}
	return false
}
