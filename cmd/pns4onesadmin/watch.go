package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/pns4ones/pns4ones/tui/cells"
)

// watchEvery is how often --watch shows anew what a command shows.
const watchEvery = time.Second

// screenMargin is what a screen of --watch has beside the rows of a table: the heads, up
// to two lines below them, and the one the cursor is in.
const screenMargin = 4

// watch shows something again and again until the person has seen enough. On a terminal
// it stays in place and takes no more than the screen, of which show is told for how many
// rows of a table there is room; a script gets one result after the other, and is told 0.
func (p *program) watch(ctx context.Context, show func(ctx context.Context, p *program, rows int) error) error {
	return untilInterrupted(ctx, func(ctx context.Context) error {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			if err := p.showOnce(ctx, show); err != nil {
				return err
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
}

func (p *program) showOnce(ctx context.Context, show func(ctx context.Context, p *program, rows int) error) error {
	fd, onTerminal := p.terminal()
	width, height, err := 0, 0, error(nil)
	if onTerminal && !p.json {
		width, height, err = term.GetSize(fd)
	}
	var screen bytes.Buffer
	onto := *p
	onto.stdout = &screen
	if width == 0 || height == 0 || err != nil {
		if err := show(ctx, &onto, 0); err != nil {
			return err
		}
		_, err := p.stdout.Write(screen.Bytes())
		return err
	}
	onto.stderr, onto.screenWidth = &screen, width
	if err := show(ctx, &onto, max(height-screenMargin, 1)); err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stdout, frame(screen.String(), width, height))
	return err
}

// frame draws a text over the last one. A line that is longer than the screen is wide
// would be wrapped, and push the first ones out; so would too many lines.
func frame(text string, width, height int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if most := max(height-1, 1); len(lines) > most {
		lines = append(lines[:most-1], "…")
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // home; each line is wiped behind its text, so that nothing flickers
	for _, line := range lines {
		b.WriteString(cells.Truncate(line, width))
		b.WriteString("\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}
