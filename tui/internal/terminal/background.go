package terminal

import (
	"regexp"
	"strconv"
)

var backgroundAnswer = regexp.MustCompile(`\x1b\]11;rgba?:([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})/([0-9a-fA-F]{1,4})`)

// isDark finds the background in what a terminal answered to OSC 11.
func isDark(answer []byte) (dark, known bool) {
	found := backgroundAnswer.FindSubmatch(answer)
	if found == nil {
		return true, false
	}
	// Perceived brightness, of 1.
	brightness := 0.0
	for i, weight := range []float64{0.299, 0.587, 0.114} {
		digits := string(found[i+1])
		value, _ := strconv.ParseUint(digits, 16, 16) // the pattern admits nothing else
		brightness += weight * float64(value) / float64(uint(1)<<(4*len(digits))-1)
	}
	return brightness < 0.5, true
}
