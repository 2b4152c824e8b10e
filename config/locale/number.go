package locale

import "strings"

// thinSpace stands between thousands: narrow, and never at the end of a line.
const thinSpace = "\u202f"

// ForPeople returns the texts with numbers as people write them, see Number. Without it
// numbers are those that scripts read.
func (l *Localizer) ForPeople() *Localizer {
	people := *l
	people.people = true
	return &people
}

// Number writes a number, in digits as Go writes them, for whom the texts are: for people
// its thousands stand apart, and in Russian its decimals come after a comma.
func (l *Localizer) Number(digits string) string {
	if !l.people {
		return digits
	}
	whole, decimals, broken := strings.Cut(digits, ".")
	whole = Thousands(whole)
	switch {
	case !broken:
		return whole
	case l.lang == Russian:
		return whole + "," + decimals
	}
	return whole + "." + decimals
}

// Thousands sets the thousands of a whole number apart.
func Thousands(digits string) string {
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + thinSpace + digits[at:]
	}
	return digits
}
