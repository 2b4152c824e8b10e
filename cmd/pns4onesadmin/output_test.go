package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

func TestTableColumnsAreAlignedByCells(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &program{stdout: &out}
	p.printTable([]column{{title: "A"}, {title: "B"}},
		[][]string{{"Иванов", "x"}, {"日本語", "x"}, {"e\u0301", "x"}, {"", "x"}})
	for line := range strings.Lines(out.String()) {
		line = strings.TrimRight(line, "\n")
		before, _, _ := strings.Cut(line, line[len(line)-1:])
		if width := runewidth.StringWidth(before); width != 8 {
			t.Errorf("the second column of %q begins at cell %d, want 8", line, width)
		}
	}
}

func TestBlocksKeepKeysWholeOnATerminalOf80Columns(t *testing.T) {
	t.Parallel()
	serverKey, clientKey := strings.Repeat("s", 64), strings.Repeat("c", 76)
	var out bytes.Buffer
	p := &program{stdout: &out}
	p.printBlock([]field{{"Название", "База"}, {"Ключ сервера", serverKey}, {"Ключ клиента", clientKey}})
	want := "Название:     База\nКлюч сервера: " + serverKey + "\nКлюч клиента:\n  " + clientKey + "\n"
	if out.String() != want {
		t.Errorf("the block is\n%swant\n%s", out.String(), want)
	}
	for line := range strings.Lines(out.String()) {
		if width := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); width > 80 {
			t.Errorf("%q is %d cells wide", line, width)
		}
	}
}
