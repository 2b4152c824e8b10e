package chart_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/tui/internal/chart"
)

func TestDrawsBars(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		values        []float64
		width, height int
		top           float64
		want          []string
	}{
		{"from the right", []float64{4, 8}, 4, 1, 8, []string{"  ▄█"}},
		{"the last ones", []float64{8, 8, 8, 0}, 2, 1, 8, []string{"█ "}},
		{"several lines", []float64{0, 4, 8, 12, 16}, 5, 2, 16, []string{"   ▄█", " ▄███"}},
		{"little is something", []float64{0.001}, 1, 1, 1000, []string{"▁"}},
		{"too much is full", []float64{1e9}, 1, 2, 10, []string{"█", "█"}},
		{"what is no number is nothing", []float64{math.NaN(), math.Inf(-1), -5}, 3, 1, 10, []string{"   "}},
		{"nothing", nil, 3, 1, 0, []string{"   "}},
		{"no room", []float64{1}, 0, 5, 1, nil},
	} {
		if diff := cmp.Diff(tt.want, chart.Bars(tt.values, tt.width, tt.height, tt.top)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestTopIsRound(t *testing.T) {
	t.Parallel()
	for most, want := range map[float64]float64{0: 1, 0.3: 1, 1: 1, 1.5: 2, 4: 5, 7: 10, 10: 10, 18204: 20000,
		5000: 5000, math.Inf(1): 1} {
		if got := chart.Top([]float64{0, most, 0}); got != want {
			t.Errorf("Top of %v is %v, want %v", most, got, want)
		}
	}
}
