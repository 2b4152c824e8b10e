package terminal

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"testing"
)

func TestKnowsWhetherTheBackgroundIsDark(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string][2]bool{
		"\x1b]11;rgb:0000/0000/0000\x1b\\\x1b[?62c":    {true, true},
		"\x1b]11;rgb:ffff/ffff/f0f0\x07\x1b[?1;2c":     {false, true},
		"\x1b]11;rgb:ff/ff/ff\x07":                     {false, true},
		"\x1b]11;rgba:1e1e/1e1e/1e1e/ffff\x07":         {true, true},
		"\x1b[?6c":                                     {true, false},
		"":                                             {true, false},
		"\x1b]11;rgb:zzzz/0000/0000\x07":               {true, false},
		"typed before\x1b]11;rgb:8080/8080/ffff\x1b\\": {false, true},
	} {
		dark, known := isDark([]byte(answer))
		if dark != want[0] || known != want[1] {
			t.Errorf("%q: dark %t, known %t", answer, dark, known)
		}
	}
}

func TestCopiesThroughTheTerminal(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString([]byte("ключ"))
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"xterm", map[string]string{"TERM": "xterm"}, "\x1b]52;c;" + text + "\x07"},
		{"tmux", map[string]string{"TERM": "screen-256color", "TMUX": "/tmp/tmux"}, "\x1b]52;c;" + text + "\x07"},
		{"screen", map[string]string{"TERM": "screen"}, "\x1bP\x1b]52;c;" + text + "\x07\x1b\\"},
	} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := NewOutput(writer).Copy("ключ", func(name string) string { return tt.env[name] }); err != nil {
			t.Fatal(err)
		}
		writer.Close()
		var got bytes.Buffer
		if _, err := got.ReadFrom(reader); err != nil {
			t.Fatal(err)
		}
		reader.Close()
		if got.String() != tt.want {
			t.Errorf("%s: wrote %q, want %q", tt.name, got.String(), tt.want)
		}
	}
}

func TestATerminalThatIsGoneIsNoticed(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	input := NewInput(reader)
	writer.WriteString("q")
	b := make([]byte, 8)
	if n, err := input.Read(b); n != 1 || err != nil {
		t.Fatalf("read %d bytes, %v", n, err)
	}
	select {
	case <-input.Gone():
		t.Fatal("gone, though it can be read")
	default:
	}
	writer.Close()
	for range 2 {
		if _, err := input.Read(b); err != io.EOF {
			t.Fatalf("read: %v", err)
		}
	}
	<-input.Gone()
}
