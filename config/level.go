package config

import (
	"log/slog"
	"slices"
	"strings"
)

// Level is a log level under the old product's names.
type Level int

// The levels, the most talkative first. LevelNone lets nothing through.
const (
	LevelTrace Level = iota
	LevelDebug
	LevelInformation
	LevelWarning
	LevelError
	LevelCritical
	LevelNone
)

var levelNames = []string{"Trace", "Debug", "Information", "Warning", "Error", "Critical", "None"}

// slogLevels are the levels of log/slog that ours stand for. slog's own are four
// apart, which leaves room for Trace and Critical.
var slogLevels = []slog.Level{slog.LevelDebug - 4, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError,
	slog.LevelError + 4, slog.LevelError + 1000}

// String returns the name, as in the settings.
func (l Level) String() string { return levelNames[l] }

// Slog returns the level that lets through what l asks for.
func (l Level) Slog() slog.Level { return slogLevels[l] }

// LevelOf returns the name of a record's level: the highest that is not above it.
func LevelOf(level slog.Level) Level {
	for l := LevelCritical; l > LevelTrace; l-- {
		if level >= l.Slog() {
			return l
		}
	}
	return LevelTrace
}

// LevelNames returns the names of all levels.
func LevelNames() []string { return slices.Clone(levelNames) }

// ParseLevel reads a level's name in any letter case.
func ParseLevel(text string) (Level, error) {
	for i, name := range levelNames {
		if strings.EqualFold(text, name) {
			return Level(i), nil
		}
	}
	return 0, wrongChoice(text, levelNames)
}
