package locale

import "strings"

// Detect chooses the language for a person: that of the --lang flag, else of
// PNS4ONES_LANG, else of the first of LC_ALL, LC_MESSAGES and LANG that names
// a language of the catalogue, else Russian. "C" and "POSIX" name none. An
// unknown name is passed over; use ParseLang to refuse it.
func Detect(getenv func(string) string, flag string) Lang {
	if lang, ok := ParseLang(flag); ok {
		return lang
	}
	for _, name := range []string{"PNS4ONES_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if lang, ok := ParseLang(getenv(name)); ok {
			return lang
		}
	}
	return Russian
}

// ParseLang reads a language as people and locales write it: "ru", "EN",
// "en_US.UTF-8", "ru-RU".
func ParseLang(text string) (Lang, bool) {
	name := strings.ToLower(text)
	if end := strings.IndexAny(name, "_-.@"); end >= 0 {
		name = name[:end]
	}
	switch lang := Lang(name); lang {
	case Russian, English:
		return lang, true
	default:
		return "", false
	}
}
