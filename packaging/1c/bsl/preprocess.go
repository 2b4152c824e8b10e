package bsl

import (
	"fmt"
	"regexp"
	"strings"
)

// A Context is where a module is compiled. Each has other symbols of the preprocessor.
type Context int

const (
	Server             Context = iota // the server's side, of server modules and forms
	Client                            // thin client with managed forms
	ExternalConnection                // a COM connection
	WebClient                         // a browser
	MobileClient                      // the mobile client
)

func (c Context) String() string {
	return [...]string{"server", "client", "external connection", "web client", "mobile client"}[c]
}

// AtClient reports whether the modules of the client's side are compiled there.
func (c Context) AtClient() bool { return c == Client || c == WebClient || c == MobileClient }

var anyClient = []Context{Client, WebClient, MobileClient}

// symbols that the preprocessor knows, by both names, and in which context they are
// true: none of those here where no context is named.
var symbols = map[string][]Context{
	"сервер": {Server}, "server": {Server}, "насервере": {Server}, "atserver": {Server},
	"клиент": anyClient, "client": anyClient, "наклиенте": anyClient, "atclient": anyClient,
	"тонкийклиент": {Client}, "thinclient": {Client},
	"внешнеесоединение": {ExternalConnection}, "externalconnection": {ExternalConnection},
	"вебклиент": {WebClient}, "webclient": {WebClient},
	"мобильныйклиент": {MobileClient}, "mobileclient": {MobileClient},
	"мобильноеприложениеклиент": nil, "мобильноеприложениесервер": nil, "мобильныйавтономныйсервер": nil,
	"толстыйклиентуправляемоеприложение": nil, "thickclientmanagedapplication": nil,
	"толстыйклиентобычноеприложение": nil, "thickclientordinaryapplication": nil,
}

var (
	preprocessor = regexp.MustCompile(`^\s*#\s*(\pL+)(.*)$`)
	symbolOrWord = regexp.MustCompile(`[\pL_]+|[()]`)
)

// branch is an #Если that is open.
type branch struct {
	at     Position
	outer  bool // what surrounds it is compiled
	taken  bool // one of its branches was
	active bool // the present one is
	last   bool // #Иначе was seen
}

// Resolve returns the module as the compiler of a context sees it: what the
// preprocessor leaves out, and its lines themselves, are blank, and all else stands
// where it stood.
func Resolve(file, source string, context Context) (string, error) {
	var open []branch
	var regions []Position
	lines := strings.SplitAfter(source, "\n")
	inString := false
	for i, line := range lines {
		body := strings.TrimRight(line, "\r\n")
		ending := line[len(body):]
		at := Position{i + 1, 1}
		fail := func(format string, args ...any) (string, error) {
			return "", &Error{File: file, Position: at, Text: fmt.Sprintf(format, args...)}
		}
		found := preprocessor.FindStringSubmatch(strings.TrimPrefix(body, "\ufeff"))
		if found == nil || inString {
			if len(open) > 0 && !open[len(open)-1].active {
				lines[i] = ending
			} else {
				inString = continues(body, inString)
			}
			continue
		}
		lines[i] = ending
		rest := withoutComment(found[2])
		switch strings.ToLower(found[1]) {
		case "если", "if":
			outer := len(open) == 0 || open[len(open)-1].active
			holds, err := condition(rest, context)
			if err != nil {
				return fail("%v", err)
			}
			open = append(open, branch{at: at, outer: outer, taken: holds, active: outer && holds})
		case "иначеесли", "elsif", "иначе", "else":
			if len(open) == 0 || open[len(open)-1].last {
				return fail("#%s without its #Если", found[1])
			}
			top := &open[len(open)-1]
			holds := true
			if rest == "" {
				top.last = true
			} else {
				var err error
				if holds, err = condition(rest, context); err != nil {
					return fail("%v", err)
				}
			}
			top.active = top.outer && holds && !top.taken
			top.taken = top.taken || holds
		case "конецесли", "endif":
			if len(open) == 0 {
				return fail("#КонецЕсли without its #Если")
			}
			open = open[:len(open)-1]
		case "область", "region":
			if rest == "" {
				return fail("#Область without a name")
			}
			regions = append(regions, at)
		case "конецобласти", "endregion":
			if len(regions) == 0 {
				return fail("#КонецОбласти without its #Область")
			}
			regions = regions[:len(regions)-1]
		default:
			return fail("#%s is no line of the preprocessor that is known here", found[1])
		}
	}
	if len(open) > 0 {
		return "", &Error{File: file, Position: open[len(open)-1].at, Text: "#Если is not closed"}
	}
	if len(regions) > 0 {
		return "", &Error{File: file, Position: regions[len(regions)-1], Text: "#Область is not closed"}
	}
	return strings.Join(lines, ""), nil
}

func withoutComment(text string) string {
	text, _, _ = strings.Cut(text, "//")
	return strings.TrimSpace(text)
}

// continues reports whether a string is open at the end of a line.
func continues(line string, inString bool) bool {
	if inString && !strings.HasPrefix(strings.TrimLeft(line, " \t"), "|") {
		return inString // a comment between its lines
	}
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			inString = !inString
		case !inString && strings.HasPrefix(line[i:], "//"):
			return false
		}
	}
	return inString
}

// condition evaluates what stands between #Если and Тогда: symbols, Не, И, Или and
// parentheses.
func condition(text string, context Context) (bool, error) {
	words := symbolOrWord.FindAllString(strings.ToLower(text), -1)
	if n := len(words); n == 0 || words[n-1] != "тогда" && words[n-1] != "then" {
		return false, fmt.Errorf("#Если without Тогда")
	}
	reader := conditionReader{words: words[:len(words)-1], context: context}
	holds := reader.or()
	if reader.err == nil && len(reader.words) > 0 {
		reader.err = fmt.Errorf("%q is not expected in the condition of #Если", reader.words[0])
	}
	return holds, reader.err
}

type conditionReader struct {
	words   []string
	context Context
	err     error
}

func (r *conditionReader) accept(russian, english string) bool {
	if len(r.words) > 0 && (r.words[0] == russian || r.words[0] == english) {
		r.words = r.words[1:]
		return true
	}
	return false
}

func (r *conditionReader) or() bool {
	holds := r.and()
	for r.accept("или", "or") {
		right := r.and()
		holds = holds || right
	}
	return holds
}

func (r *conditionReader) and() bool {
	holds := r.symbol()
	for r.accept("и", "and") {
		right := r.symbol()
		holds = holds && right
	}
	return holds
}

func (r *conditionReader) symbol() bool {
	if r.accept("не", "not") {
		return !r.symbol()
	}
	if r.accept("(", "(") {
		holds := r.or()
		if !r.accept(")", ")") && r.err == nil {
			r.err = fmt.Errorf("a parenthesis of #Если is not closed")
		}
		return holds
	}
	if len(r.words) == 0 {
		if r.err == nil {
			r.err = fmt.Errorf("the condition of #Если is not complete")
		}
		return false
	}
	name := r.words[0]
	r.words = r.words[1:]
	contexts, known := symbols[name]
	if !known && r.err == nil {
		r.err = fmt.Errorf("%q is no symbol of the preprocessor that is known here", name)
	}
	for _, context := range contexts {
		if context == r.context {
			return true
		}
	}
	return false
}
