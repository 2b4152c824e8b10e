package bsl

// expression reads by precedence: Или, И, Не, comparison, sum, product, sign.
func (p *parser) expression() Expression {
	defer p.deeper()()
	left := p.conjunction()
	for p.accept(keyword, "или") {
		left = &Binary{"или", left, p.conjunction()}
	}
	return left
}

func (p *parser) conjunction() Expression {
	left := p.negation()
	for p.accept(keyword, "и") {
		left = &Binary{"и", left, p.negation()}
	}
	return left
}

func (p *parser) negation() Expression {
	if at := p.peek().at; p.accept(keyword, "не") {
		defer p.deeper()()
		return &Unary{"не", p.negation(), at}
	}
	return p.comparison()
}

func (p *parser) comparison() Expression {
	return p.binary(p.sum, "=", "<>", "<", ">", "<=", ">=")
}

func (p *parser) sum() Expression { return p.binary(p.product, "+", "-") }

func (p *parser) product() Expression { return p.binary(p.sign, "*", "/", "%") }

// binary reads operands with the operators of one level between them, from the left.
func (p *parser) binary(operand func() Expression, operators ...string) Expression {
	left := operand()
	for {
		found := ""
		for _, one := range operators {
			if p.accept(operator, one) {
				found = one
				break
			}
		}
		if found == "" {
			return left
		}
		left = &Binary{found, left, operand()}
	}
}

func (p *parser) sign() Expression {
	for _, one := range []string{"-", "+"} {
		if at := p.peek().at; p.accept(operator, one) {
			defer p.deeper()()
			return &Unary{one, p.sign(), at}
		}
	}
	// Не binds weaker than a sum, but stands after an operator as well: А = Не Б.
	if p.is(keyword, "не") {
		return p.negation()
	}
	return p.postfix()
}

// postfix reads what points, brackets and parentheses may follow.
func (p *parser) postfix() Expression {
	x := p.operand()
	for {
		switch {
		case p.accept(operator, "."):
			if t := p.peek(); t.kind != identifier {
				p.fail(t.at, "a name expected after the point, not %s", t)
			}
			t := p.take()
			x = &Member{Of: x, Name: t.text, Position: t.at}
		case p.accept(operator, "["):
			at := p.expression()
			p.expect(operator, "]", "after an index")
			x = &Index{Of: x, At: at}
		case p.is(operator, "("):
			switch x.(type) {
			case *Name, *Member:
				x = &Call{Of: x, Args: p.arguments()}
			default:
				p.fail(p.peek().at, "that cannot be called")
			}
		default:
			return x
		}
	}
}

// arguments reads them with their parentheses; those that are left out are nil.
func (p *parser) arguments() []Expression {
	p.expect(operator, "(", "before arguments")
	var args []Expression
	if p.accept(operator, ")") {
		return nil
	}
	for {
		if p.is(operator, ",") || p.is(operator, ")") {
			args = append(args, nil)
		} else {
			args = append(args, p.expression())
		}
		if p.accept(operator, ")") {
			return args
		}
		p.expect(operator, ",", "between arguments")
	}
}

func (p *parser) operand() Expression {
	t := p.peek()
	if literal := p.literal(); literal != nil {
		return literal
	}
	switch {
	case t.kind == identifier:
		p.take()
		return &Name{Name: t.text, Position: t.at}
	case p.accept(operator, "("):
		x := p.expression()
		p.expect(operator, ")", "after an expression")
		return &Parenthesis{X: x, Position: t.at}
	case p.accept(operator, "?"):
		p.expect(operator, "(", "after ?")
		choice := &Choice{Position: t.at}
		choice.If = p.expression()
		p.expect(operator, ",", "between the parts of ?()")
		choice.Then = p.expression()
		p.expect(operator, ",", "between the parts of ?()")
		choice.Else = p.expression()
		p.expect(operator, ")", "after the parts of ?()")
		return choice
	case p.accept(keyword, "новый"):
		x := &New{Position: t.at}
		if p.peek().kind == identifier {
			x.Type = p.take().text
		} else if !p.is(operator, "(") {
			p.fail(p.peek().at, "a type expected after Новый, not %s", p.peek())
		}
		if p.is(operator, "(") {
			x.Args = p.arguments()
		}
		return x
	}
	p.fail(t.at, "an expression expected, not %s", t)
	return nil
}
