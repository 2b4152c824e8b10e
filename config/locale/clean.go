package locale

import (
	"fmt"
	"strings"
	"unicode"
)

// Clean makes a text from outside harmless for a terminal: control characters,
// and invisible ones that change the direction or the look, are shown as escapes.
// Line breaks are among them; see CleanLines. What is no UTF-8 becomes U+FFFD.
func Clean(text string) string { return clean(text, dangerous) }

// CleanLines is Clean for a text of several lines, which it stays.
func CleanLines(text string) string {
	return clean(strings.ReplaceAll(text, "\r\n", "\n"), func(r rune) bool { return r != '\n' && dangerous(r) })
}

func clean(text string, harmful func(rune) bool) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	if !strings.ContainsFunc(text, harmful) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !harmful(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func dangerous(r rune) bool {
	// A zero-width joiner holds emoji together and does no harm.
	return r != '\u200d' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) ||
		unicode.Is(unicode.Zp, r))
}
