package wire

import "unicode"

// UnusableKeys returns the keys in Data that are no names in 1C, in their order. The
// released extension reads a message into a Структура, which takes only names; with
// one such key it loses the whole message. A key without a value is not sent, and
// does no harm.
func (m *Message) UnusableKeys() []string {
	var keys []string
	for _, p := range m.Data {
		if p.Value != "" && !isName(p.Key) {
			keys = append(keys, p.Key)
		}
	}
	return keys
}

// isName reports whether a text is a name in the 1C language: a letter or «_», and
// then letters, digits and «_».
func isName(text string) bool {
	for i, r := range text {
		digit := '0' <= r && r <= '9'
		if r != '_' && !unicode.IsLetter(r) && (!digit || i == 0) {
			return false
		}
	}
	return text != ""
}
