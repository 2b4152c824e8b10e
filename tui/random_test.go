package tui_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/mattn/go-runewidth"
	"github.com/muesli/termenv"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// nasty are texts that break columns or terminals.
var nasty = []string{
	"", " ", "a", "Склад", "日本語", "👨‍👩‍👧", "🇷🇺", "❤️", "👍🏽", "e\u0301\u0301", "한국어", "ก็", "ﷺ", "𝕏", "\x1b[2J",
	"\x1b]0;x\x07", "\u009b2J", "\x00", "\t", "\r\n", "\u202e", "\u2028", "\u200b",
	"\xff\xfe", "\ufeff", "\ue00a", strings.Repeat("длинное название ", 30), strings.Repeat("漢", 200),
	strings.Repeat("a\u0300", 100), "=", "a=b",
}

type chance struct{ *rand.Rand }

func (c chance) text() string {
	text := ""
	for range c.IntN(4) {
		text += nasty[c.IntN(len(nasty))]
	}
	return text
}

func (c chance) moment() time.Time {
	return moment.Add(time.Duration(c.Int64N(int64(2000*time.Hour))) - 1000*time.Hour)
}

// aRandomDaemon says anything.
func aRandomDaemon(c chance) *fakeDaemon {
	d := aDaemon()
	d.status.Version, d.status.Listen, d.status.Service, d.status.Control, d.status.LogLevel = c.text(), c.text(),
		c.text(), c.text(), c.text()
	d.status.UptimeSeconds, d.status.Messages, d.status.MemoryBytes = c.Int64(), c.Uint64(), c.Uint64()
	at := c.moment()
	d.status.TLSExpiresAt = &at
	d.status.RestartNeeded = []string{c.text()}
	for i := range d.apps {
		until := c.moment()
		d.apps[i].Title, d.apps[i].ServerKey, d.apps[i].ClientKey, d.apps[i].CreatedAt = c.text(), c.text(), c.text(),
			c.moment()
		d.apps[i].OldServerKeyUntil, d.apps[i].OldClientKeyUntil = &until, &until
	}
	for range c.IntN(200) {
		d.sessions = append(d.sessions, control.Session{
			ID:            fmt.Sprint(c.Uint32()),
			AppID:         d.apps[c.IntN(len(d.apps))].ID,
			IbID:          c.text(),
			UserID:        c.text(),
			UserGroup:     c.text(),
			Groups:        []string{c.text()},
			Host:          c.text(),
			Agent:         c.text(),
			Addr:          c.text(),
			Since:         c.moment(),
			Delivered:     c.Uint64(),
			Bytes:         c.Uint64(),
			Queued:        c.Int() - c.Int(),
			KeyGeneration: c.Int(),
		})
	}
	for range c.IntN(200) {
		d.records = append(d.records, control.LogRecord{
			Time:    c.moment(),
			Level:   "Warning",
			Message: c.text(),
			Attrs:   control.LogAttrs{{Name: c.text(), Value: c.text()}, {Name: "reason", Value: c.text()}},
		})
	}
	d.explains = control.Explanation{
		OtherPlaces: d.sessions,
		Infobases:   map[string]int{c.text(): 5},
		LastRefused: &control.Refusal{Reason: c.text(), Peer: control.Peer{Addr: c.text()}},
	}
	return d
}

var randomKeys = []string{
	"1", "2", "3", "4", "5", "alt+1", "alt+2", "alt+3", "alt+4", "alt+5", "enter", "esc", "tab", "shift+tab", "up",
	"down",
	"left", "right", "home", "end", "pgup", "pgdown", "space",
	"backspace", "delete", "f1", "ctrl+e", "ctrl+n", "ctrl+s", "ctrl+u", "ctrl+d", "n", "r", "d", "o", "w", "c", "v",
	"s", "S", "<", ">", ":", "y", "space",
	"C", "t", "x", "e", "/", "?", "l", "L", "j", "k", "g", "G", "й", "ф",
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// checkScreen reports what is wrong with what would be painted.
func checkScreen(view string, width, height int) error {
	lines := strings.Split(view, "\n")
	if len(lines) > height {
		return fmt.Errorf("%d lines on a screen of %d", len(lines), height)
	}
	asRunes := &runewidth.Condition{StrictEmojiNeutral: true}
	for i, line := range lines {
		text := sgr.ReplaceAllString(line, "")
		sum := 0
		for _, r := range text {
			sum += asRunes.RuneWidth(r)
			if unicode.IsControl(r) || r != '\u00ad' && unicode.Is(unicode.Cf, r) || r == '\u2028' {
				return fmt.Errorf("line %d holds %U: %q", i, r, line)
			}
		}
		if clusters := ansi.StringWidth(text); sum > width || clusters > width {
			return fmt.Errorf("line %d is %d or %d cells wide on a screen of %d: %q", i, sum, clusters, width, line)
		}
	}
	return nil
}

// TestNothingBreaksTheScreen feeds every screen random sizes, keys and data.
func TestNothingBreaksTheScreen(t *testing.T) {
	t.Parallel()
	runs := 20
	if testing.Short() {
		runs = 5
	}
	for seed := range runs {
		c := chance{rand.New(rand.NewPCG(uint64(seed), 1))}
		profile := []termenv.Profile{termenv.Ascii, termenv.ANSI, termenv.TrueColor}[seed%3]
		l := look{80, 24, []locale.Lang{locale.Russian, locale.English}[seed%2], profile}
		daemon := aRandomDaemon(c)
		d := open(t, daemon, l)
		d.await(locale.New(l.lang).T("tui.online"))
		done := []string{}
		for range 300 {
			step := randomKeys[c.IntN(len(randomKeys))]
			switch c.IntN(12) {
			case 0:
				l.width, l.height = 1+c.IntN(220), 1+c.IntN(60)
				step = fmt.Sprintf("%dx%d", l.width, l.height)
				d.send(tea.WindowSizeMsg{Width: l.width, Height: l.height})
			case 1:
				step = c.text()
				d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(step), Paste: c.IntN(2) == 0})
			case 2:
				step = "mouse"
				d.send(tea.MouseMsg{
					X: c.IntN(160),
					Y: c.IntN(60),
					Button: []tea.MouseButton{tea.MouseButtonLeft, tea.MouseButtonWheelUp,
						tea.MouseButtonWheelDown}[c.IntN(3)],
					Action: tea.MouseActionPress,
				})
			default:
				d.press(step)
			}
			done = append(done, step)
			select { // what the journal has read
			case msg := <-d.inbox:
				d.send(msg)
			default:
			}
			if err := checkScreen(d.panel.View(), l.width, l.height); err != nil {
				t.Fatalf("seed %d, after %q: %v", seed, done[max(len(done)-12, 0):], err)
			}
		}
		d.stop()
	}
}
