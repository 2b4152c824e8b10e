package bsl

// Walk calls visit with each statement and each expression in the order of the text,
// what surrounds before what is inside. Where visit returns false it does not go in.
func Walk(body []Statement, visit func(node any) bool) {
	w := walker(visit)
	w.block(body)
}

// WalkExpression does the same for an expression.
func WalkExpression(x Expression, visit func(node any) bool) { walker(visit).expression(x) }

type walker func(node any) bool

func (w walker) block(body []Statement) {
	for _, statement := range body {
		if w(statement) {
			w.inside(statement)
		}
	}
}

func (w walker) inside(statement Statement) {
	switch s := statement.(type) {
	case *Assign:
		w.expressions(s.Target, s.Value)
	case *Do:
		w.expression(s.Call)
	case *If:
		for _, branch := range s.Branches {
			w.expression(branch.Condition)
			w.block(branch.Body)
		}
	case *While:
		w.expression(s.Condition)
		w.block(s.Body)
	case *Count:
		w.expressions(s.From, s.To)
		w.block(s.Body)
	case *Each:
		w.expression(s.Over)
		w.block(s.Body)
	case *Try:
		w.block(s.Body)
		w.block(s.Except)
	case *Return:
		w.expression(s.Value)
	case *Raise:
		w.expression(s.Value)
	case *Execute:
		w.expression(s.Text)
	case *Handle:
		w.expressions(s.Event, s.Handler)
	}
}

func (w walker) expressions(list ...Expression) {
	for _, x := range list {
		w.expression(x)
	}
}

func (w walker) expression(x Expression) {
	if x == nil || !w(x) {
		return
	}
	switch x := x.(type) {
	case *Member:
		w.expression(x.Of)
	case *Index:
		w.expressions(x.Of, x.At)
	case *Call:
		w.expression(x.Of)
		w.expressions(x.Args...)
	case *New:
		w.expressions(x.Args...)
	case *Unary:
		w.expression(x.X)
	case *Binary:
		w.expressions(x.X, x.Y)
	case *Choice:
		w.expressions(x.If, x.Then, x.Else)
	case *Parenthesis:
		w.expression(x.X)
	}
}
