package bsl

// Module is a parsed module.
type Module struct {
	File    string
	Vars    []Var
	Methods []*Method
	Body    []Statement // what runs when the module is loaded
}

// Method returns the procedure or function of a name, in any letter case; nil if there
// is none.
func (m *Module) Method(name string) *Method {
	for _, method := range m.Methods {
		if Same(method.Name, name) {
			return method
		}
	}
	return nil
}

// Var is a variable of a module or of a method.
type Var struct {
	Name     string
	Exported bool
	Position
}

// Method is a procedure or a function.
type Method struct {
	Name       string
	Function   bool
	Exported   bool
	Directives []Directive
	Params     []Param
	Vars       []Var
	Body       []Statement
	Position
}

// Required returns how many arguments a call needs at least: up to the last one that
// has no default.
func (m *Method) Required() int {
	required := 0
	for i, param := range m.Params {
		if param.Default == nil {
			required = i + 1
		}
	}
	return required
}

// Directive is what stands before a method: &НаКлиенте, &После("…").
type Directive struct {
	Name     string
	Argument string
	Position
}

// Param is a parameter of a method.
type Param struct {
	Name    string
	ByValue bool
	Default *Literal // nil: none
	Position
}

// Statement is one of the types below.
type Statement interface{ statement() }

// Expression is one of the types below. Where says where it begins.
type Expression interface{ Where() Position }

// The statements.
type (
	// Assign is Target = Value.
	Assign struct {
		Target, Value Expression
	}
	// Do is a call that stands alone.
	Do struct {
		Call *Call
	}
	// If has a condition for each branch; that of the last is nil for Иначе.
	If struct {
		Branches []Branch
	}
	// Branch is a part of If.
	Branch struct {
		Condition Expression
		Body      []Statement
	}
	// While is Пока.
	While struct {
		Condition Expression
		Body      []Statement
	}
	// Count is Для X = From По To.
	Count struct {
		Name     string
		From, To Expression
		Body     []Statement
		Position
	}
	// Each is Для Каждого X Из Over.
	Each struct {
		Name string
		Over Expression
		Body []Statement
		Position
	}
	// Try is Попытка.
	Try struct {
		Body, Except []Statement
		Position
	}
	// Return has a nil value in procedures.
	Return struct {
		Value Expression
		Position
	}
	// Raise has a nil value where it raises again.
	Raise struct {
		Value Expression
		Position
	}
	// Jump is Прервать or Продолжить.
	Jump struct {
		Break bool
		Position
	}
	// Goto is Перейти ~Label, and Label the ~Label: itself.
	Goto struct {
		Label string
		Position
	}
	// Label is where Goto goes.
	Label struct {
		Name string
		Position
	}
	// Execute is Выполнить.
	Execute struct {
		Text Expression
		Position
	}
	// Handle is ДобавитьОбработчик or УдалитьОбработчик.
	Handle struct {
		Event, Handler Expression
		Position
	}
)

func (*Assign) statement()  {}
func (*Do) statement()      {}
func (*If) statement()      {}
func (*While) statement()   {}
func (*Count) statement()   {}
func (*Each) statement()    {}
func (*Try) statement()     {}
func (*Return) statement()  {}
func (*Raise) statement()   {}
func (*Jump) statement()    {}
func (*Goto) statement()    {}
func (*Label) statement()   {}
func (*Execute) statement() {}
func (*Handle) statement()  {}

// LiteralKind is what a literal is.
type LiteralKind int

// The kinds of literals.
const (
	String LiteralKind = iota
	Number
	Date
	Word // Истина, Ложь, Неопределено, NULL
)

// The expressions.
type (
	// Literal has its text without quotes; a word is in lower case and Russian.
	Literal struct {
		Kind LiteralKind
		Text string
		Position
	}
	// Name stands alone, without a point before it.
	Name struct {
		Name string
		Position
	}
	// Member is Of.Name.
	Member struct {
		Of   Expression
		Name string
		Position
	}
	// Index is Of[At].
	Index struct {
		Of, At Expression
	}
	// Call is Of(Args); of a Name or a Member. An argument that is left out is nil.
	Call struct {
		Of   Expression
		Args []Expression
	}
	// New is Новый Type(Args), or Новый(Args) with an empty Type.
	New struct {
		Type string
		Args []Expression
		Position
	}
	// Unary is -X, +X or Не X.
	Unary struct {
		Operator string
		X        Expression
		Position
	}
	// Binary is X operator Y; И and Или are in lower case.
	Binary struct {
		Operator string
		X, Y     Expression
	}
	// Parenthesis is (X), which nothing can be assigned to and which cannot be called.
	Parenthesis struct {
		X Expression
		Position
	}
	// Choice is ?(If, Then, Else).
	Choice struct {
		If, Then, Else Expression
		Position
	}
)

// Where returns the position of the first character.
func (e *Literal) Where() Position { return e.Position }

// Where returns the position of the first character.
func (e *Name) Where() Position { return e.Position }

// Where returns the position of the first character.
func (e *Member) Where() Position { return e.Of.Where() }

// Where returns the position of the first character.
func (e *Index) Where() Position { return e.Of.Where() }

// Where returns the position of the first character.
func (e *Call) Where() Position { return e.Of.Where() }

// Where returns the position of the first character.
func (e *New) Where() Position { return e.Position }

// Where returns the position of the first character.
func (e *Unary) Where() Position { return e.Position }

// Where returns the position of the first character.
func (e *Binary) Where() Position { return e.X.Where() }

// Where returns the position of the first character.
func (e *Choice) Where() Position { return e.Position }

// Where returns the position of the first character.
func (e *Parenthesis) Where() Position { return e.Position }
