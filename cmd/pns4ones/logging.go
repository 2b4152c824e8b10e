package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/config/locale"
)

// newLogHandler returns a handler that writes one line a record to w, whatever
// its level. With journal, a line begins with its priority as sd-daemon(3) defines
// it, and bears no time, for the journal keeps its own.
func newLogHandler(w io.Writer, journal bool) slog.Handler {
	replace := func(groups []string, a slog.Attr) slog.Attr {
		// Only the record's own: an attribute may bear the same name.
		switch value := a.Value.Any().(type) {
		case slog.Level:
			if len(groups) == 0 && a.Key == slog.LevelKey {
				return slog.String(slog.LevelKey, config.LevelOf(value).String())
			}
		case time.Time:
			if len(groups) == 0 && a.Key == slog.TimeKey && journal {
				return slog.Attr{}
			}
		case string:
			return slog.String(a.Key, printable(value))
		case error:
			return slog.String(a.Key, printable(value.Error()))
		}
		return a
	}
	options := &slog.HandlerOptions{Level: config.LevelTrace.Slog(), ReplaceAttr: replace}
	if !journal {
		return slog.NewTextHandler(w, options)
	}
	line := new(bytes.Buffer)
	return &journalHandler{Handler: slog.NewTextHandler(line, options), shared: &journalLine{w: w, line: line}}
}

// printable escapes DEL, the one control character that slog writes as it is.
func printable(text string) string {
	if strings.ContainsRune(text, 0x7f) {
		return locale.Clean(text)
	}
	return text
}

// journalHandler puts the priority before the line that the handler inside it
// makes.
type journalHandler struct {
	slog.Handler
	shared *journalLine
}

// journalLine is where all handlers derived from one write.
type journalLine struct {
	mu   sync.Mutex
	w    io.Writer
	line *bytes.Buffer
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.shared.mu.Lock()
	defer h.shared.mu.Unlock()
	h.shared.line.Reset()
	h.shared.line.WriteString("<" + strconv.Itoa(priority(r.Level)) + ">")
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.shared.w.Write(h.shared.line.Bytes())
	return err
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.Handler.WithAttrs(attrs), h.shared}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.Handler.WithGroup(name), h.shared}
}

// priority gives the syslog priority of a level.
func priority(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return 7 // debug
	case level < slog.LevelWarn:
		return 6 // info
	case level < slog.LevelError:
		return 4 // warning
	case level == slog.LevelError:
		return 3 // err
	}
	return 2 // crit
}
