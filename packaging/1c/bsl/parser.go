package bsl

import (
	"fmt"
	"strings"
)

// deepest is how far statements and expressions may be nested: a parser that descends
// must not be sent to the end of its stack by a file.
const deepest = 200

// Parse reads a module as the compiler of a context sees it. The error is an *Error:
// the first thing that is wrong.
func Parse(file, source string, context Context) (module *Module, err error) {
	resolved, err := Resolve(file, source, context)
	if err != nil {
		return nil, err
	}
	list, err := tokens(file, resolved)
	if err != nil {
		return nil, err
	}
	p := &parser{file: file, tokens: list}
	// The functions of the descent stop at the first error by a panic of their own.
	defer func() {
		switch failure := recover().(type) {
		case nil:
		case *Error:
			module, err = nil, failure
		default:
			panic(failure)
		}
	}()
	return p.module(), nil
}

// Same reports whether two names are one: the language ignores letter case.
func Same(a, b string) bool { return strings.EqualFold(a, b) }

type parser struct {
	file   string
	tokens []token
	next   int
	depth  int
	loops  int
	method *Method // the one that is being read
}

func (p *parser) peek() token { return p.tokens[p.next] }

func (p *parser) take() token {
	taken := p.tokens[p.next]
	if taken.kind != endOfFile {
		p.next++
	}
	return taken
}

func (p *parser) fail(at Position, format string, args ...any) {
	panic(&Error{File: p.file, Position: at, Text: fmt.Sprintf(format, args...)})
}

func (p *parser) is(kind kind, text string) bool {
	return p.peek().kind == kind && p.peek().text == text
}

func (p *parser) accept(kind kind, text string) bool {
	if p.is(kind, text) {
		p.take()
		return true
	}
	return false
}

func (p *parser) expect(kind kind, text, where string) token {
	if !p.is(kind, text) {
		p.fail(p.peek().at, "%s expected %s, not %s", text, where, p.peek())
	}
	return p.take()
}

func (t token) String() string {
	switch t.kind {
	case endOfFile:
		return "the end of the module"
	case text:
		return "a string"
	}
	return fmt.Sprintf("%q", t.text)
}

func (p *parser) name(of string) token {
	if p.peek().kind != identifier {
		p.fail(p.peek().at, "the name of %s expected, not %s", of, p.peek())
	}
	return p.take()
}

// deeper counts a level of nesting; what it returns takes it back.
func (p *parser) deeper() func() {
	if p.depth++; p.depth > deepest {
		p.fail(p.peek().at, "nested deeper than %d", deepest)
	}
	return func() { p.depth-- }
}

func (p *parser) module() *Module {
	m := &Module{File: p.file}
	for {
		var directives []Directive
		for p.peek().kind == directive {
			directives = append(directives, p.directive())
		}
		switch {
		case p.is(keyword, "перем"):
			if len(m.Methods) > 0 || len(m.Body) > 0 {
				p.fail(p.peek().at, "variables of a module stand before its methods")
			}
			m.Vars = p.vars(m.Vars)
		case p.is(keyword, "процедура"), p.is(keyword, "функция"):
			method := p.readMethod(directives)
			if m.Method(method.Name) != nil {
				p.fail(method.Position, "%s is there twice", method.Name)
			}
			m.Methods = append(m.Methods, method)
		case len(directives) > 0:
			p.fail(p.peek().at, "a directive stands before a method or a variable, not before %s", p.peek())
		default:
			m.Body = p.statements()
			if p.peek().kind != endOfFile {
				p.fail(p.peek().at, "a statement expected, not %s", p.peek())
			}
			return m
		}
	}
}

func (p *parser) directive() Directive {
	t := p.take()
	d := Directive{Name: t.text, Position: t.at}
	if p.accept(operator, "(") {
		if p.peek().kind != text {
			p.fail(p.peek().at, "a string expected after &%s(", d.Name)
		}
		d.Argument = p.take().text
		p.expect(operator, ")", "after the argument of &"+d.Name)
	}
	return d
}

func (p *parser) vars(list []Var) []Var {
	p.take()
	for {
		name := p.name("a variable")
		for _, other := range list {
			if Same(other.Name, name.text) {
				p.fail(name.at, "the variable %s is there twice", name.text)
			}
		}
		exported := p.accept(keyword, "экспорт")
		list = append(list, Var{Name: name.text, Exported: exported, Position: name.at})
		if !p.accept(operator, ",") {
			break
		}
	}
	p.expect(operator, ";", "after variables")
	return list
}

func (p *parser) readMethod(directives []Directive) *Method {
	function := p.take().text == "функция"
	name := p.name("a method")
	m := &Method{Name: name.text, Function: function, Directives: directives, Position: name.at}
	p.method = m
	p.expect(operator, "(", "after the name of a method")
	for !p.accept(operator, ")") {
		if len(m.Params) > 0 {
			p.expect(operator, ",", "between parameters")
		}
		m.Params = append(m.Params, p.param(m))
	}
	m.Exported = p.accept(keyword, "экспорт")
	for p.is(keyword, "перем") {
		m.Vars = p.vars(m.Vars)
	}
	m.Body = p.statements()
	end := "конецпроцедуры"
	if function {
		end = "конецфункции"
	}
	p.expect(keyword, end, "at the end of "+m.Name)
	p.method = nil
	return m
}

func (p *parser) param(m *Method) Param {
	byValue := p.accept(keyword, "знач")
	name := p.name("a parameter")
	for _, other := range m.Params {
		if Same(other.Name, name.text) {
			p.fail(name.at, "the parameter %s is there twice", name.text)
		}
	}
	param := Param{Name: name.text, ByValue: byValue, Position: name.at}
	if p.accept(operator, "=") {
		at, sign := p.peek().at, ""
		if p.accept(operator, "-") {
			sign = "-"
		}
		value := p.literal()
		if value == nil || sign != "" && value.Kind != Number {
			p.fail(at, "the default of a parameter is a literal")
		}
		value.Text = sign + value.Text
		param.Default = value
	}
	return param
}

// literal reads one, and returns nil where there is none.
func (p *parser) literal() *Literal {
	t := p.peek()
	switch t.kind {
	case text:
		p.take()
		value := t.text
		for p.peek().kind == text { // strings that follow each other are lines of one
			value += "\n" + p.take().text
		}
		return &Literal{Kind: String, Text: value, Position: t.at}
	case number:
		p.take()
		return &Literal{Kind: Number, Text: t.text, Position: t.at}
	case date:
		p.take()
		return &Literal{Kind: Date, Text: t.text, Position: t.at}
	case keyword:
		switch t.text {
		case "истина", "ложь", "неопределено", "null":
			p.take()
			return &Literal{Kind: Word, Text: t.text, Position: t.at}
		}
	}
	return nil
}
