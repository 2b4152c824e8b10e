package logring_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/logring"
)

func newLog(level slog.Level) (log *logring.Log, logger *slog.Logger, written *bytes.Buffer) {
	written = new(bytes.Buffer)
	log = logring.New(slog.NewTextHandler(written, &slog.HandlerOptions{Level: slog.LevelDebug - 8}), level)
	return log, slog.New(log), written
}

func kept(l *logring.Log) []logring.Record {
	records, _ := l.Records(slog.LevelDebug).Last(logring.Size, func(*logring.Record) bool { return true })
	return records
}

func TestKeepsMoreThanItPassesOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		level         slog.Level
		kept, written int
	}{
		{slog.LevelDebug, 4, 4},
		{slog.LevelInfo, 3, 3},
		{slog.LevelWarn, 3, 2},
		{slog.LevelError, 3, 1},
		{slog.LevelError + 1000, 3, 0},
	} {
		log, logger, written := newLog(tt.level)
		logger.Debug("d")
		logger.Info("i")
		logger.Warn("w")
		logger.Error("e")
		if got := len(kept(log)); got != tt.kept {
			t.Errorf("%v: %d records kept, want %d", tt.level, got, tt.kept)
		}
		if got := strings.Count(written.String(), "\n"); got != tt.written {
			t.Errorf("%v: %d records passed on, want %d", tt.level, got, tt.written)
		}
	}
}

func TestFollowsALevelThatChanges(t *testing.T) {
	t.Parallel()
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn)
	log := logring.New(slog.DiscardHandler, level)
	logger := slog.New(log)
	logger.Debug("not kept")
	level.Set(slog.LevelDebug)
	logger.Debug("kept")
	if got := kept(log); len(got) != 1 || got[0].Message != "kept" {
		t.Fatalf("kept %v", got)
	}
}

func TestKeepsPlainValues(t *testing.T) {
	t.Parallel()
	log, logger, _ := newLog(slog.LevelInfo)
	reasons := []string{"first"}
	logger.With("a", 1).WithGroup("g").With("b", 2).Info("m", "c", slog.GroupValue(slog.Int("d", 3)), "error",
		errors.New("broken"), "list", reasons)
	reasons[0] = "changed"
	got := slices.Collect(kept(log)[0].Attrs())
	const want = "[a=1 g.b=2 g.c.d=3 g.error=broken g.list=[first]]"
	if fmt.Sprint(got) != want {
		t.Fatalf("kept %v, want %s", got, want)
	}
}

// A value is kept as it was, of whatever kind it is.
func TestKeepsEveryKindOfValue(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 28, 1, 2, 3, 456, time.FixedZone("", 3*60*60))
	want := []slog.Attr{
		slog.String("empty", ""), slog.String("", "no key"), slog.String("text", "Иванов\x00\n"),
		slog.String("long", strings.Repeat("x", 1000)), slog.Bool("yes", true), slog.Bool("no", false),
		slog.Int64("least", math.MinInt64), slog.Int64("most", math.MaxInt64), slog.Uint64("all", math.MaxUint64),
		slog.Float64("part", -0.1), slog.Float64("endless", math.Inf(1)), slog.Duration("age", -time.Second),
		slog.Time("at", at), slog.Time("never", time.Time{}),
	}
	log, logger, _ := newLog(slog.LevelInfo)
	logger.LogAttrs(t.Context(), slog.LevelInfo, "m", want...)
	logger.Info("none")
	got := kept(log)
	if !slices.EqualFunc(slices.Collect(got[0].Attrs()), want, slog.Attr.Equal) {
		t.Errorf("kept %v, want %v", slices.Collect(got[0].Attrs()), want)
	}
	if n := len(slices.Collect(got[1].Attrs())); n != 0 {
		t.Errorf("%d attributes are kept of a record that has none", n)
	}
	for a := range got[0].Attrs() { // who looks for one need not see all
		if !a.Equal(want[0]) {
			t.Errorf("the first is %v, want %v", a, want[0])
		}
		break
	}
}

// What is passed on is what a handler of the standard library would have got.
func TestPassesRecordsOnAsTheyAre(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return logring.New(slog.NewTextHandler(&out, nil), slog.LevelInfo)
	}, func(*testing.T) map[string]any { return parse(out.String()) })
}

// parse reads a line of slog.TextHandler into nested maps.
func parse(line string) map[string]any {
	top := make(map[string]any)
	for field := range strings.FieldsSeq(line) {
		name, value, _ := strings.Cut(field, "=")
		m := top
		for {
			group, rest, inner := strings.Cut(name, ".")
			if !inner {
				break
			}
			if m[group] == nil {
				m[group] = make(map[string]any)
			}
			m, name = m[group].(map[string]any), rest
		}
		m[name] = value
	}
	return top
}

func BenchmarkKeep(b *testing.B) {
	_, logger, _ := newLog(slog.LevelError)
	b.ReportAllocs()
	for b.Loop() {
		logger.Info("session opened", "session", 1, "app", "a", "ib", "b", "user", "u", "group", "", "peer",
			"127.0.0.1:1")
	}
}
