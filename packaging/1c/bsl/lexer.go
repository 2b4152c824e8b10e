package bsl

import (
	"fmt"
	"strings"
	"unicode"
)

// lexer cuts a module, whose preprocessor lines are resolved, into tokens.
type lexer struct {
	file   string
	source []rune
	next   int
	at     Position
	tokens []token
}

func tokens(file, source string) (list []token, err error) {
	l := &lexer{file: file, source: []rune(source), at: Position{1, 1}}
	for l.blanks(); l.next < len(l.source); l.blanks() {
		if err := l.token(); err != nil {
			return nil, err
		}
	}
	return append(l.tokens, token{kind: endOfFile, at: l.at}), nil
}

func (l *lexer) fail(at Position, format string, args ...any) error {
	return &Error{File: l.file, Position: at, Text: fmt.Sprintf(format, args...)}
}

// peek returns the character n further on, 0 beyond the end.
func (l *lexer) peek(n int) rune {
	if l.next+n < len(l.source) {
		return l.source[l.next+n]
	}
	return 0
}

func (l *lexer) take() rune {
	taken := l.source[l.next]
	l.next++
	l.at.Column++
	if taken == '\n' {
		l.at = Position{l.at.Line + 1, 1}
	}
	return taken
}

func (l *lexer) blanks() {
	for l.next < len(l.source) {
		switch {
		case unicode.IsSpace(l.peek(0)) || l.peek(0) == '\ufeff' && l.next == 0:
			l.take()
		case l.peek(0) == '/' && l.peek(1) == '/':
			for l.next < len(l.source) && l.peek(0) != '\n' {
				l.take()
			}
		default:
			return
		}
	}
}

func (l *lexer) while(belongs func(rune) bool) string {
	begin := l.next
	for l.next < len(l.source) && belongs(l.peek(0)) {
		l.take()
	}
	return string(l.source[begin:l.next])
}

func (l *lexer) add(kind kind, text string, at Position) {
	l.tokens = append(l.tokens, token{kind, text, at})
}

func letter(r rune) bool { return unicode.IsLetter(r) || r == '_' }

func inName(r rune) bool { return letter(r) || digit(r) }

func digit(r rune) bool { return '0' <= r && r <= '9' }

func (l *lexer) token() error {
	at, first := l.at, l.peek(0)
	switch {
	case letter(first):
		l.word(at)
	case digit(first):
		value := l.while(digit)
		if l.peek(0) == '.' && digit(l.peek(1)) {
			l.take()
			value += "." + l.while(digit)
		}
		if letter(l.peek(0)) {
			return l.fail(l.at, "a letter follows the number %s", value)
		}
		l.add(number, value, at)
	case first == '"':
		return l.stringLiteral(at)
	case first == '\'':
		return l.dateLiteral(at)
	case first == '&':
		l.take()
		name := l.while(inName)
		if name == "" {
			return l.fail(at, "& without the name of a directive")
		}
		l.add(directive, name, at)
	case first == '~':
		l.take()
		l.add(operator, "~", at)
	default:
		return l.operator(at)
	}
	return nil
}

// word is a keyword, unless a point stands before it: what follows a point is a name.
func (l *lexer) word(at Position) {
	name := l.while(inName)
	afterPoint := len(l.tokens) > 0 && l.tokens[len(l.tokens)-1].kind == operator && l.tokens[len(l.tokens)-1].text == "."
	if word, known := keywords[strings.ToLower(name)]; known && !afterPoint {
		l.add(keyword, word, at)
		return
	}
	l.add(identifier, name, at)
}

// stringLiteral may go on in the next line after a bar; comments and empty lines may
// stand between.
func (l *lexer) stringLiteral(at Position) error {
	var value strings.Builder
	l.take()
	for {
		if l.next >= len(l.source) {
			return l.fail(at, "the string is not closed")
		}
		switch r := l.take(); {
		case r == '"' && l.peek(0) == '"':
			l.take()
			value.WriteRune('"')
		case r == '"':
			l.add(text, value.String(), at)
			return nil
		case r == '\n':
			l.blanks()
			if l.peek(0) != '|' {
				return l.fail(at, "the string is neither closed nor continued by | in a following line")
			}
			l.take()
			value.WriteRune('\n')
		case r != '\r':
			value.WriteRune(r)
		}
	}
}

func (l *lexer) dateLiteral(at Position) error {
	l.take()
	value := l.while(func(r rune) bool { return r != '\'' && r != '\n' })
	if l.peek(0) != '\'' {
		return l.fail(at, "the date is not closed")
	}
	l.take()
	digits := strings.Map(func(r rune) rune {
		if digit(r) {
			return r
		}
		return -1
	}, value)
	if n := len(digits); n != 8 && n != 12 && n != 14 {
		return l.fail(at, "'%s' is no date: 8, 12 or 14 digits", value)
	}
	l.add(date, value, at)
	return nil
}

func (l *lexer) operator(at Position) error {
	if two := string([]rune{l.peek(0), l.peek(1)}); two == "<>" || two == "<=" || two == ">=" {
		l.take()
		l.take()
		l.add(operator, two, at)
		return nil
	}
	one := string(l.take())
	if !strings.Contains("+-*/%=<>()[].,;?:", one) {
		return l.fail(at, "%q is no part of the language", one)
	}
	l.add(operator, one, at)
	return nil
}
