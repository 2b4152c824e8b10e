package bsl

import "fmt"

// Position is where something stands: line and column, both from 1, the column in
// characters.
type Position struct {
	Line, Column int
}

func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// Error says what is wrong with a module, and where.
type Error struct {
	File string
	Position
	Text string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%s: %s", e.File, e.Position, e.Text) }

type kind int

const (
	endOfFile  kind = iota
	identifier      // of any letters
	keyword         // its text is the Russian one, in lower case
	number
	text      // a string literal, its text without quotes
	date      // its text without quotes
	operator  // one or two characters
	directive // &НаКлиенте, its text without the ampersand
)

type token struct {
	kind kind
	text string
	at   Position
}

// keywords by both names, in lower case, and what they are called here.
var keywords = map[string]string{}

func init() {
	for russian, english := range map[string]string{
		"если": "if", "тогда": "then", "иначеесли": "elsif", "иначе": "else", "конецесли": "endif",
		"для": "for", "каждого": "each", "из": "in", "по": "to", "цикл": "do", "конеццикла": "enddo",
		"пока": "while", "процедура": "procedure", "конецпроцедуры": "endprocedure",
		"функция": "function", "конецфункции": "endfunction", "перем": "var", "экспорт": "export",
		"знач": "val", "возврат": "return", "прервать": "break", "продолжить": "continue",
		"попытка": "try", "исключение": "except", "конецпопытки": "endtry", "вызватьисключение": "raise",
		"новый": "new", "и": "and", "или": "or", "не": "not", "истина": "true", "ложь": "false",
		"неопределено": "undefined", "перейти": "goto", "выполнить": "execute",
		"добавитьобработчик": "addhandler", "удалитьобработчик": "removehandler",
	} {
		keywords[russian], keywords[english] = russian, russian
	}
	keywords["null"] = "null"
}
