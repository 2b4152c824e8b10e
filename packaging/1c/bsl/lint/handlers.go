package lint

import (
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// create is Новый: the type is known, and procedures that are named in strings exist.
func (s *scope) create(node *bsl.New) {
	name := node.Type
	if name == "" {
		literal, ok := argument(node.Args, 0).(*bsl.Literal)
		if !ok || literal.Kind != bsl.String {
			s.fail(node.Position, "Новый() needs the name of its type as a string")
			return
		}
		if name = literal.Text; strings.HasPrefix(name, "AddIn.") {
			if s.context != bsl.Client {
				s.fail(node.Position, "add-ins are used on the side of the client")
			}
			return
		}
	}
	known, ok := s.platform.types[strings.ToLower(name)]
	if !ok {
		s.fail(node.Position, "there is no type %s", name)
		return
	}
	s.platformContext(known, name, node.Position)
	if node.Type != "" {
		s.count(node.Position, name, known.least, known.most, node.Args)
	}
	if bsl.Same(name, "ОписаниеОповещения") {
		s.continuation(node, 0)
		if len(node.Args) > 3 {
			s.continuation(node, 3)
		}
	}
}

func argument(args []bsl.Expression, at int) bsl.Expression {
	if at < len(args) {
		return args[at]
	}
	return nil
}

// continuation looks up the procedure whose name is argument at, and whose module the
// one after it. Those whose name is a variable are looked up where it is given.
func (s *scope) continuation(node *bsl.New, at int) {
	literal, ok := argument(node.Args, at).(*bsl.Literal)
	if !ok {
		return
	}
	module, ok := argument(node.Args, at+1).(*bsl.Name)
	if !ok {
		s.fail(node.Position, "the module of the procedure %s is not named", literal.Text)
		return
	}
	parsed := s.parsed
	if m := s.common(module.Name); m != nil {
		parsed = s.checker.parsed[m][s.context]
	}
	if parsed == nil {
		return // named as not reachable
	}
	method := parsed.Method(literal.Text)
	switch {
	case method == nil:
		s.fail(node.Position, "there is no procedure %s", literal.Text)
	case !method.Exported:
		s.fail(node.Position, "%s is named in ОписаниеОповещения and not exported", literal.Text)
	case method.Function:
		s.fail(node.Position, "%s is named in ОписаниеОповещения and is a function", literal.Text)
	case len(method.Params) < 1 || len(method.Params) > 3:
		s.fail(node.Position, "%s is named in ОписаниеОповещения and takes %d parameters: 1 to 3", literal.Text,
			len(method.Params))
	}
}

// waitHandler looks up what ПодключитьОбработчикОжидания names: a procedure of the form
// or of a global module, without parameters.
func (s *scope) waitHandler(of *bsl.Name, args []bsl.Expression) {
	if !bsl.Same(of.Name, "ПодключитьОбработчикОжидания") && !bsl.Same(of.Name, "ОтключитьОбработчикОжидания") {
		return
	}
	literal, ok := argument(args, 0).(*bsl.Literal)
	if !ok {
		s.fail(of.Position, "the wait handler is not named in a string")
		return
	}
	var method *bsl.Method
	if s.module.Kind == Form {
		method = s.parsed.Method(literal.Text)
	}
	for _, m := range s.modules {
		if parsed := s.checker.parsed[m][bsl.Client]; m.Global && parsed != nil && method == nil {
			if found := parsed.Method(literal.Text); found != nil && found.Exported {
				method = found
			}
		}
	}
	if method == nil || method.Function || len(method.Params) > 0 {
		s.fail(of.Position, "%s is no wait handler: a procedure without parameters of the form or of a global module",
			literal.Text)
	}
}
