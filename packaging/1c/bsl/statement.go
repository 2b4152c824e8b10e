package bsl

// statements reads until a word that ends a block; the caller knows which it wants.
func (p *parser) statements() []Statement {
	defer p.deeper()()
	var list []Statement
	for {
		for p.accept(operator, ";") {
		}
		t := p.peek()
		if t.kind == endOfFile || t.kind == directive {
			return list
		}
		if t.kind == keyword {
			switch t.text {
			case "иначеесли", "иначе", "конецесли", "конеццикла", "исключение", "конецпопытки",
				"конецпроцедуры", "конецфункции", "процедура", "функция", "перем":
				return list
			}
		}
		statement := p.statement()
		list = append(list, statement)
		if _, label := statement.(*Label); label {
			continue
		}
		if next := p.peek(); !p.is(operator, ";") && !ends(next) {
			p.fail(next.at, "; expected between statements, not %s", next)
		}
	}
}

// ends reports whether a statement before the token needs no semicolon.
func ends(t token) bool {
	if t.kind == endOfFile {
		return true
	}
	if t.kind != keyword {
		return false
	}
	switch t.text {
	case "иначеесли", "иначе", "конецесли", "конеццикла", "исключение", "конецпопытки", "конецпроцедуры", "конецфункции":
		return true
	}
	return false
}

func (p *parser) statement() Statement {
	t := p.peek()
	if t.kind == operator && t.text == "~" {
		p.take()
		name := p.name("a label")
		p.expect(operator, ":", "after a label")
		return &Label{Name: name.text, Position: t.at}
	}
	if t.kind != keyword {
		return p.simple()
	}
	switch t.text {
	case "если":
		return p.condition()
	case "пока":
		p.take()
		condition := p.expression()
		return &While{Condition: condition, Body: p.loop()}
	case "для":
		return p.loopStatement()
	case "попытка":
		p.take()
		body := p.statements()
		p.expect(keyword, "исключение", "after Попытка")
		except := p.statements()
		p.expect(keyword, "конецпопытки", "after Исключение")
		return &Try{Body: body, Except: except, Position: t.at}
	case "возврат":
		return p.returnStatement()
	case "вызватьисключение":
		p.take()
		if p.is(operator, ";") || ends(p.peek()) {
			return &Raise{Position: t.at}
		}
		return &Raise{Value: p.expression(), Position: t.at}
	case "прервать", "продолжить":
		p.take()
		if p.loops == 0 {
			p.fail(t.at, "%s outside a loop", t.text)
		}
		return &Jump{Break: t.text == "прервать", Position: t.at}
	case "перейти":
		p.take()
		p.expect(operator, "~", "after Перейти")
		return &Goto{Label: p.name("a label").text, Position: t.at}
	case "выполнить":
		p.take()
		return &Execute{Text: p.expression(), Position: t.at}
	case "добавитьобработчик", "удалитьобработчик":
		p.take()
		event := p.expression()
		p.expect(operator, ",", "between event and handler")
		return &Handle{Event: event, Handler: p.expression(), Position: t.at}
	}
	return p.simple()
}

func (p *parser) condition() Statement {
	statement := &If{}
	for {
		p.take() // Если or ИначеЕсли
		condition := p.expression()
		p.expect(keyword, "тогда", "after the condition")
		statement.Branches = append(statement.Branches, Branch{condition, p.statements()})
		if !p.is(keyword, "иначеесли") {
			break
		}
	}
	if p.accept(keyword, "иначе") {
		statement.Branches = append(statement.Branches, Branch{nil, p.statements()})
	}
	p.expect(keyword, "конецесли", "at the end of Если")
	return statement
}

func (p *parser) loop() []Statement {
	p.expect(keyword, "цикл", "at the beginning of a loop")
	p.loops++
	body := p.statements()
	p.loops--
	p.expect(keyword, "конеццикла", "at the end of a loop")
	return body
}

func (p *parser) loopStatement() Statement {
	at := p.take().at
	if p.accept(keyword, "каждого") {
		name := p.name("a variable").text
		p.expect(keyword, "из", "after the variable of a loop")
		over := p.expression()
		return &Each{Name: name, Over: over, Body: p.loop(), Position: at}
	}
	name := p.name("a variable").text
	p.expect(operator, "=", "after the variable of a loop")
	from := p.expression()
	p.expect(keyword, "по", "after the beginning of a loop")
	to := p.expression()
	return &Count{Name: name, From: from, To: to, Body: p.loop(), Position: at}
}

func (p *parser) returnStatement() Statement {
	at := p.take().at
	empty := p.is(operator, ";") || ends(p.peek())
	switch {
	case p.method == nil && !empty, p.method != nil && !p.method.Function && !empty:
		p.fail(at, "only a function returns a value")
	case p.method != nil && p.method.Function && empty:
		p.fail(at, "a function returns a value")
	}
	if empty {
		return &Return{Position: at}
	}
	return &Return{Value: p.expression(), Position: at}
}

// simple is an assignment or a call.
func (p *parser) simple() Statement {
	at := p.peek().at
	target := p.postfix()
	if p.accept(operator, "=") {
		switch target.(type) {
		case *Name, *Member, *Index:
			return &Assign{Target: target, Value: p.expression()}
		}
		p.fail(at, "nothing can be assigned to that")
	}
	call, ok := target.(*Call)
	if !ok {
		p.fail(at, "an assignment or a call expected")
	}
	return &Do{Call: call}
}
