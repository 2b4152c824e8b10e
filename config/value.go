package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
)

// longUnits are what time.ParseDuration does not know. A day has 24 hours, whatever
// the clock on the wall does.
var longUnits = []struct {
	name string
	long time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}}

// ParseDuration reads what time.ParseDuration does, and whole weeks and days before it:
// «90d», «1w», «1d12h».
func ParseDuration(text string) (time.Duration, error) {
	var sum time.Duration
	long := false
	rest, negative := strings.CutPrefix(text, "-")
	for _, unit := range longUnits {
		number, after, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || time.Duration(n) > (math.MaxInt64-sum)/unit.long {
			return 0, fmt.Errorf("%q is no duration", text)
		}
		sum, rest, long = sum+time.Duration(n)*unit.long, after, true
	}
	if rest != "" || !long {
		d, err := time.ParseDuration(rest)
		if err != nil || strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") && long || d > math.MaxInt64-sum {
			return 0, fmt.Errorf("%q is no duration", text)
		}
		sum += d
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}

// parseDuration reads «10s», «1m30s», «24h», «7d».
func parseDuration(text string, least, most time.Duration) (time.Duration, error) {
	d, err := ParseDuration(text)
	if err != nil {
		return 0, locale.NewText("config.bad_duration", "value", text)
	}
	if d < least || d > most {
		return 0, outOfRange(text, formatDuration(least), formatDuration(most))
	}
	return d, nil
}

// formatDuration writes 24h, not 24h0m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	if text == "" {
		return "0s"
	}
	return text
}

// sizeUnits are the units of sizes, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads bytes, or a number with KiB, MiB, GiB or TiB.
func parseSize(text string, least, most int64) (int64, error) {
	number, unit := text, int64(1)
	for _, u := range sizeUnits {
		if len(text) > len(u.name) && strings.EqualFold(text[len(text)-len(u.name):], u.name) {
			number, unit = strings.TrimRight(text[:len(text)-len(u.name)], " "), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return 0, locale.NewText("config.bad_size", "value", text)
	}
	if n > most/unit || n*unit < least {
		return 0, outOfRange(text, formatSize(least), formatSize(most))
	}
	return n * unit, nil
}

func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

func parseCount(text string, least, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, locale.NewText("config.bad_count", "value", text)
	}
	if n < least || n > most {
		return 0, outOfRange(text, strconv.Itoa(least), strconv.Itoa(most))
	}
	return n, nil
}

func outOfRange(text, least, most string) error {
	return locale.NewText("config.out_of_range", "value", text, "least", least, "most", most)
}

// parseChoice returns the choice that text is in any letter case.
func parseChoice(text string, choices []string) (string, error) {
	for _, c := range choices {
		if strings.EqualFold(text, c) {
			return c, nil
		}
	}
	return "", wrongChoice(text, choices)
}

func wrongChoice(text string, choices []string) *locale.Text {
	return locale.NewText("config.bad_choice", "value", text, "choices", strings.Join(choices, ", "), "near",
		didYouMean(text, choices))
}

// didYouMean proposes the choice that text may have been meant for, as an
// argument of another text; it is empty if there is none.
func didYouMean(text string, choices []string) any {
	if near := nearest(text, choices); near != "" {
		return locale.NewText("config.did_you_mean", "name", near)
	}
	return ""
}

// nearest returns the choice that differs least from text, if by three letters
// at most and by no more than half of them.
func nearest(text string, choices []string) string {
	best, bestDistance := "", min(3, len(text)/2)
	for _, c := range choices {
		if d := distance(strings.ToLower(text), strings.ToLower(c)); d <= bestDistance &&
			(best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is Levenshtein's: the letters to be inserted, dropped or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next := min(row[j]+1, row[j+1]+1, diagonal+cost)
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
