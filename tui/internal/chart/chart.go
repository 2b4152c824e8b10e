// Package chart draws a row of values as bars of block characters, for the panel's
// overview.
package chart

import (
	"math"
	"strings"
)

// eighths are bars of 0 to 8 eighths of a cell.
var eighths = []rune(" ▁▂▃▄▅▆▇█")

// Bars draws the last width of the values as height lines of width cells, the
// newest on the right. top is the value of a full bar; a value above 0 is always
// to be seen, one that is no number or below 0 is drawn as 0.
func Bars(values []float64, width, height int, top float64) []string {
	if width <= 0 || height <= 0 {
		return nil
	}
	values = values[max(len(values)-width, 0):]
	levels := make([]int, width)
	for i, v := range values {
		if v > 0 && top > 0 {
			levels[width-len(values)+i] = max(1, int(math.Round(min(v/top, 1)*float64(height*8))))
		}
	}
	lines := make([]string, height)
	for row := range lines {
		var b strings.Builder
		for _, level := range levels {
			b.WriteRune(eighths[min(max(level-(height-1-row)*8, 0), 8)])
		}
		lines[row] = b.String()
	}
	return lines
}

// Top returns a round value not below any of the values: 1, 2 or 5 times a power
// of ten, and at least 1.
func Top(values []float64) float64 {
	most := 1.0
	for _, v := range values {
		if v > most && !math.IsInf(v, 0) {
			most = v
		}
	}
	power := math.Pow(10, math.Floor(math.Log10(most)))
	for _, factor := range []float64{1, 2, 5} {
		if factor*power >= most {
			return factor * power
		}
	}
	return 10 * power
}
