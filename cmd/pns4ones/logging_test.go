package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"

	"github.com/pns4ones/pns4ones/config"
)

func TestLogsUnderTheOldProductsLevelNames(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(newLogHandler(&out, false))
	for l := config.LevelTrace; l <= config.LevelCritical; l++ {
		logger.Log(context.Background(), l.Slog(), "x")
	}
	for l := config.LevelTrace; l <= config.LevelCritical; l++ {
		if !strings.Contains(out.String(), "level="+l.String()+" msg=x") {
			t.Errorf("no record at %s:\n%s", l, &out)
		}
	}
}

func TestAttributesMayBearTheNamesOfTheRecordsOwn(t *testing.T) {
	t.Parallel()
	for _, journal := range []bool{false, true} {
		var out bytes.Buffer
		slog.New(newLogHandler(&out, journal)).Info("a", "level", "Debug", "time", "noon")
		if !strings.Contains(out.String(), "level=Information msg=a level=Debug time=noon") {
			t.Errorf("got %s", &out)
		}
	}
}

func TestJournalLinesBearPrioritiesAndNoTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(newLogHandler(&out, true)).With("session", 7)
	logger.Debug("a")
	logger.Info("b", "text", "two\nlines")
	logger.WithGroup("g").Warn("c", "k", "v")
	logger.Error("d")
	logger.Log(context.Background(), config.LevelCritical.Slog(), "e")
	want := `<7>level=Debug msg=a session=7
<6>level=Information msg=b session=7 text="two\nlines"
<4>level=Warning msg=c session=7 g.k=v
<3>level=Error msg=d session=7
<2>level=Critical msg=e session=7
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// TestNoControlCharacterReachesTheLog: what a stranger writes into an id is for a
// terminal to obey.
func TestNoControlCharacterReachesTheLog(t *testing.T) {
	t.Parallel()
	for _, journal := range []bool{false, true} {
		for r := range rune(0xa0) {
			if r >= ' ' && r < 0x7f {
				continue
			}
			var out bytes.Buffer
			text := "a" + string(r) + "b"
			slog.New(newLogHandler(&out, journal)).With("w", text).WithGroup("g").Info("m", "user_id", text, "error",
				errors.New(text), slog.Group("h", "k", text))
			if line := strings.TrimSuffix(out.String(), "\n"); strings.ContainsFunc(line, unicode.IsControl) {
				t.Errorf("%U passes: %q", r, line)
			}
		}
	}
}
