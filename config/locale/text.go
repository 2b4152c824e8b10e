package locale

// Text is a text that is not yet in any language: an id and its arguments. It
// serves as the reason in an error, or as an argument of another text.
type Text struct {
	id   string
	args []any
}

// NewText returns the text id with arguments as for T.
func NewText(id string, args ...any) *Text {
	return &Text{id: id, args: args}
}

// Message implements Localized.
func (t *Text) Message() (id string, args []any) { return t.id, t.args }

// OneLine returns the text with arguments that cannot begin a line of their own.
func (t *Text) OneLine() *Text {
	args := make([]any, len(t.args))
	for i, arg := range t.args {
		switch arg := arg.(type) {
		case string:
			args[i] = Clean(arg)
		case *Text:
			args[i] = arg.OneLine()
		default:
			args[i] = arg
		}
	}
	return NewText(t.id, args...)
}

// Error is the text in English, for logs.
func (t *Text) Error() string { return New(English).T(t.id, t.args...) }
