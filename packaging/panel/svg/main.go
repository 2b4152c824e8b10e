// Command svg draws a terminal's screen, as "tmux capture-pane -e -p" prints it,
// as an SVG picture for the README. It reads the screen from stdin and writes the
// picture to stdout.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Sizes of the picture, in pixels.
const (
	cellWidth  = 9
	cellHeight = 18
	fontSize   = 15
	margin     = 12
)

// theme is what a terminal has besides the 256 colours.
type theme struct {
	background, foreground string
	sixteen                [16]string
}

var themes = map[string]theme{
	"dark": {"#16191d", "#d8dee4", [16]string{
		"#16191d", "#d7605f", "#5fae6f", "#d0a44c", "#5f8fd7", "#b07cc6", "#4fa9b8", "#c5cad0",
		"#6b737c", "#ff8787", "#7fd791", "#ffd75f", "#87afff", "#d7a0e8", "#7fd7e0", "#ffffff",
	}},
	"light": {"#fbfbf8", "#24292e", [16]string{
		"#24292e", "#af0000", "#00702f", "#875f00", "#005f87", "#7a3f8f", "#00747c", "#8c9399",
		"#6c6c6c", "#c22f2f", "#00875f", "#a67400", "#1f7fb8", "#9a57b5", "#1391a0", "#ffffff",
	}},
}

// pen is how text is drawn.
type pen struct {
	fore, back               string // empty: the theme's
	bold, underline, reverse bool
}

func main() {
	width := flag.Int("width", 80, "columns of the screen")
	height := flag.Int("height", 24, "lines of the screen")
	name := flag.String("theme", "dark", "dark or light")
	flag.Parse()
	t, known := themes[*name]
	if !known {
		fmt.Fprintln(os.Stderr, "svg: no such theme:", *name)
		os.Exit(2)
	}
	screen, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "svg:", err)
		os.Exit(1)
	}
	out := bufio.NewWriter(os.Stdout)
	draw(out, string(screen), *width, *height, t)
	if err := out.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "svg:", err)
		os.Exit(1)
	}
}

func draw(w io.Writer, screen string, columns, lines int, t theme) {
	width, height := columns*cellWidth+2*margin, lines*cellHeight+2*margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d">`+"\n", width,
		height, width, height)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", t.background)
	fmt.Fprintf(w, `<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="%d" xml:space="preserve">`+
		"\n", fontSize)
	var p pen
	for y, line := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		x := 0
		for _, piece := range pieces(line) {
			if code, ok := strings.CutPrefix(piece, "\x1b["); ok {
				p.apply(strings.TrimSuffix(code, "m"), t)
				continue
			}
			x += p.text(w, x, y, piece, t)
		}
	}
	fmt.Fprintln(w, "</g>\n</svg>")
}

var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// pieces are the escapes of a line and the texts between them.
func pieces(line string) (all []string) {
	at := 0
	for _, found := range sgr.FindAllStringIndex(line, -1) {
		if found[0] > at {
			all = append(all, line[at:found[0]])
		}
		all = append(all, line[found[0]:found[1]])
		at = found[1]
	}
	if at < len(line) {
		all = append(all, line[at:])
	}
	return all
}

// text draws a text at a cell, and returns how many cells it takes.
func (p *pen) text(w io.Writer, x, y int, text string, t theme) int {
	cells := runewidth.StringWidth(text)
	fore, back := p.fore, p.back
	if fore == "" {
		fore = t.foreground
	}
	if p.reverse {
		if back == "" {
			back = t.background
		}
		fore, back = back, fore
	}
	left, top := margin+x*cellWidth, margin+y*cellHeight
	if back != "" {
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, top, cells*cellWidth,
			cellHeight, back)
	}
	if p.underline {
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="1" fill="%s"/>`+"\n", left, top+cellHeight-2,
			cells*cellWidth, fore)
	}
	p.glyphs(w, left, top, text, fore)
	return cells
}

// glyphs draws words where they belong: viewers have fonts of other widths. Bars
// and lines are drawn as shapes, for those of fonts leave gaps.
func (p *pen) glyphs(w io.Writer, left, top int, text, fill string) {
	weight := ""
	if p.bold {
		weight = ` font-weight="bold"`
	}
	word, begin := "", left
	flush := func() {
		if word != "" {
			fmt.Fprintf(w,
				`<text x="%d" y="%d" textLength="%d" lengthAdjust="spacingAndGlyphs" fill="%s"%s>%s</text>`+"\n",
				begin, top+cellHeight-5, runewidth.StringWidth(word)*cellWidth, fill, weight, html.EscapeString(word))
			word = ""
		}
	}
	for _, r := range text {
		width := runewidth.RuneWidth(r) * cellWidth
		switch {
		case r == ' ':
			flush()
		case r >= '▁' && r <= '█':
			flush()
			high := cellHeight * int(r-'▁'+1) / 8
			fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left, top+cellHeight-high,
				width, high, fill)
		case strings.ContainsRune("─│┌┐└┘▕", r):
			flush()
			line(w, left, top, r, fill)
		default:
			if word == "" {
				begin = left
			}
			word += string(r)
		}
		left += width
	}
	flush()
}

// line draws a character that is made of lines.
func line(w io.Writer, left, top int, r rune, fill string) {
	middle, centre := left+cellWidth/2, top+cellHeight/2
	part := func(x, y, width, height int) {
		fmt.Fprintf(w, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, width, height, fill)
	}
	if strings.ContainsRune("─┐┘", r) {
		part(left, centre, cellWidth/2+1, 1)
	}
	if strings.ContainsRune("─┌└", r) {
		part(middle, centre, cellWidth-cellWidth/2, 1)
	}
	if strings.ContainsRune("│└┘", r) {
		part(middle, top, 1, cellHeight/2+1)
	}
	if strings.ContainsRune("│┌┐", r) {
		part(middle, centre, 1, cellHeight/2)
	}
	if r == '▕' {
		part(left+cellWidth-1, top, 1, cellHeight)
	}
}

// apply changes the pen by the parameters of an SGR sequence.
func (p *pen) apply(parameters string, t theme) {
	codes := strings.Split(parameters, ";")
	for i := 0; i < len(codes); i++ {
		code, _ := strconv.Atoi(codes[i])
		switch {
		case code == 0:
			*p = pen{}
		case code == 1:
			p.bold = true
		case code == 4:
			p.underline = true
		case code == 7:
			p.reverse = true
		case code == 22:
			p.bold = false
		case code == 24:
			p.underline = false
		case code == 27:
			p.reverse = false
		case code >= 30 && code <= 37:
			p.fore = t.sixteen[code-30]
		case code >= 90 && code <= 97:
			p.fore = t.sixteen[code-90+8]
		case code == 39:
			p.fore = ""
		case code >= 40 && code <= 47:
			p.back = t.sixteen[code-40]
		case code == 49:
			p.back = ""
		case (code == 38 || code == 48) && i+2 < len(codes) && codes[i+1] == "5":
			n, _ := strconv.Atoi(codes[i+2])
			if code == 38 {
				p.fore = colour(n, t)
			} else {
				p.back = colour(n, t)
			}
			i += 2
		case (code == 38 || code == 48) && i+4 < len(codes) && codes[i+1] == "2":
			rgb := "#"
			for _, c := range codes[i+2 : i+5] {
				n, _ := strconv.Atoi(c)
				rgb += fmt.Sprintf("%02x", n)
			}
			if code == 38 {
				p.fore = rgb
			} else {
				p.back = rgb
			}
			i += 4
		}
	}
}

// colour is one of the 256 colours of terminals.
func colour(n int, t theme) string {
	switch {
	case n < 16:
		return t.sixteen[max(n, 0)]
	case n < 232:
		level := func(v int) int {
			if v == 0 {
				return 0
			}
			return 55 + 40*v
		}
		n -= 16
		return fmt.Sprintf("#%02x%02x%02x", level(n/36), level(n/6%6), level(n%6))
	}
	grey := 8 + 10*(n-232)
	return fmt.Sprintf("#%02x%02x%02x", grey, grey, grey)
}
