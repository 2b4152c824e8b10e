package config

import (
	"testing"
	"time"
)

func TestDurationsHaveDaysAndWeeks(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "10s": 10 * time.Second, "1m30s": 90 * time.Second, "1.5h": 90 * time.Minute,
		"+5s": 5 * time.Second,
		"1d":  day, "90d": 90 * day, "1w": 7 * day, "2w1d": 15 * day, "1d12h": 36 * time.Hour,
		"1w0.5s": 7*day + time.Second/2, "-3d": -3 * day,
		"-1h": -time.Hour, "15250w": 15250 * 7 * day,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "-", "d", "w", "1", "1d1w", "1.5d", "1h1d", "1d-1h", "1d+1h", "--1h", "1d1", "д", "1д", "1dd", "15251w",
		"106752d", "99999999999w", "106751d24h", "1 d",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}
