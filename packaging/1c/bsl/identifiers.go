package bsl

// Identifier is a name in a module, where it stands.
type Identifier struct {
	Name       string
	AfterPoint bool // a member of something
	Position
}

// Identifiers returns the names in a module whose preprocessor lines are resolved, in
// the order of the text. Keywords and what is in strings and comments are none.
func Identifiers(file, resolved string) ([]Identifier, error) {
	list, err := tokens(file, resolved)
	if err != nil {
		return nil, err
	}
	var found []Identifier
	for i, t := range list {
		if t.kind == identifier {
			after := i > 0 && list[i-1].kind == operator && list[i-1].text == "."
			found = append(found, Identifier{t.text, after, t.at})
		}
	}
	return found, nil
}
