package logring_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"

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
	got := kept(log)[0].Attrs
	const want = "[a=1 g.b=2 g.c.d=3 g.error=broken g.list=[first]]"
	if fmt.Sprint(got) != want {
		t.Fatalf("kept %v, want %s", got, want)
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
