package names

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// A file of names has a line for each: kind, id and name, with semicolons, tabs or
// commas between, whichever the first line has. A field may stand in double quotes, as
// CSV has it. The first line may be a header.

// MaxFileBytes is the largest file of names that is read; it has room for MaxNames of
// them with the longest names.
const MaxFileBytes = 64 << 20

// ErrFileTooLarge: the file is larger than MaxFileBytes.
var ErrFileTooLarge = errors.New("the file is too large for a file of names")

// Problem is what is wrong with a file, a stable word for translation and scripts.
type Problem string

// What can be wrong with a file.
const (
	ProblemEncoding Problem = "encoding" // neither UTF-8 nor UTF-16 with a mark
	ProblemForm     Problem = "form"     // not three fields
	ProblemKind     Problem = "kind"     // the first field is no kind
	ProblemName     Problem = "name"     // the id or the name cannot be used
	ProblemTwice    Problem = "twice"    // an id has two names
)

// FileError says what is wrong with a file, of which nothing is used then.
type FileError struct {
	Problem Problem
	Line    int    // from 1
	Other   int    // ProblemTwice: the line with the other name
	Text    string // ProblemKind: the field; ProblemTwice: the id
	Err     error  // ProblemForm, ProblemName: why
}

func (e *FileError) Error() string {
	switch e.Problem {
	case ProblemEncoding:
		return fmt.Sprintf("line %d: it is neither UTF-8 nor UTF-16 with a byte order mark; if it is CP1251: iconv -f CP1251 -t UTF-8", e.Line)
	case ProblemKind:
		return fmt.Sprintf("line %d: %.100q: expected one of %s", e.Line, e.Text, strings.Join(kindWords[:], ", "))
	case ProblemTwice:
		return fmt.Sprintf("line %d: %.100q has another name in line %d", e.Line, e.Text, e.Other)
	}
	return fmt.Sprintf("line %d: %v", e.Line, e.Err)
}

func (e *FileError) Unwrap() error { return e.Err }

// File is what is in a file of names.
type File struct {
	Names  []Name // in the order of the file, each id once
	Header bool   // the first line was a header
}

// Read reads a file of names, in UTF-8 with or without a byte order mark or in UTF-16
// with one. The error is a *FileError, ErrFileTooLarge, ErrTooMany, or that of rd.
func Read(rd io.Reader) (File, error) {
	content, err := io.ReadAll(io.LimitReader(rd, MaxFileBytes+1))
	switch {
	case err != nil:
		return File{}, fmt.Errorf("reading names: %w", err)
	case len(content) > MaxFileBytes:
		return File{}, fmt.Errorf("reading names: %w: at most %d bytes are read", ErrFileTooLarge, MaxFileBytes)
	}
	text, err := decodeText(content)
	if err != nil {
		return File{}, err
	}
	return parse(text)
}

// decodeText turns what is in a file into UTF-8 without a mark.
func decodeText(content []byte) ([]byte, error) {
	if bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		decoded, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Bytes(content)
		if err != nil || len(content)%2 != 0 {
			return nil, &FileError{Problem: ProblemEncoding, Line: 1}
		}
		return decoded, nil
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	line := 0
	for text := range bytes.Lines(content) {
		line++
		// A zero byte is a half of a letter in UTF-16 without a mark.
		if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
			return nil, &FileError{Problem: ProblemEncoding, Line: line}
		}
	}
	return content, nil
}

// separators are what may stand between fields; the first one that is in the first line
// does.
const separators = "\t;,"

func parse(text []byte) (File, error) {
	first, _, _ := bytes.Cut(bytes.TrimLeft(text, "\r\n"), []byte{'\n'})
	reader := csv.NewReader(bytes.NewReader(text))
	reader.LazyQuotes, reader.ReuseRecord, reader.FieldsPerRecord = true, true, -1
	for _, separator := range separators {
		if bytes.ContainsRune(first, separator) {
			reader.Comma = separator
			break
		}
	}
	var file File
	seen := make(map[Name]int) // without the name: the place in file.Names
	var lines []int
	for nth := 1; ; nth++ {
		fields, err := reader.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && len(file.Names) == 0:
			// Taken as it is, what a script failed to write would take all names away.
			return File{}, &FileError{Problem: ProblemForm, Line: 1, Err: errors.New("there are no names")}
		case errors.Is(err, io.EOF):
			return file, nil
		case errors.As(err, &broken):
			return File{}, &FileError{Problem: ProblemForm, Line: broken.StartLine, Err: broken.Err}
		case err != nil:
			return File{}, fmt.Errorf("reading names: %w", err)
		case nth == 1 && isHeader(fields):
			file.Header = true
			continue
		}
		line, _ := reader.FieldPos(0)
		n, problem := entry(fields)
		if problem != nil {
			problem.Line = line
			return File{}, problem
		}
		key := Name{Kind: n.Kind, ID: n.ID}
		if at, known := seen[key]; known {
			if file.Names[at].Name != n.Name {
				return File{}, &FileError{Problem: ProblemTwice, Line: line, Other: lines[at], Text: n.ID}
			}
			continue
		}
		if len(file.Names) == MaxNames {
			return File{}, fmt.Errorf("reading names: line %d: %w: at most %d are kept", line, ErrTooMany, MaxNames)
		}
		seen[key] = len(file.Names)
		file.Names, lines = append(file.Names, n), append(lines, line)
	}
}

// entry is the name in a line.
func entry(fields []string) (Name, *FileError) {
	if len(fields) != 3 {
		return Name{}, &FileError{Problem: ProblemForm, Err: fmt.Errorf("it has %d fields; expected kind, id and name",
			len(fields))}
	}
	kind, known := ParseKind(strings.TrimSpace(fields[0]))
	if !known {
		return Name{}, &FileError{Problem: ProblemKind, Text: fields[0]}
	}
	// The strings of a record share memory with the whole line.
	n, err := Name{kind, strings.Clone(fields[1]), strings.Clone(fields[2])}.Clean()
	if err != nil {
		return Name{}, &FileError{Problem: ProblemName, Err: err}
	}
	return n, nil
}

// isHeader reports whether the first line says what the fields are instead of having
// them.
func isHeader(fields []string) bool {
	if len(fields) != 3 {
		return false
	}
	for i, words := range [][]string{{"kind", "type", "вид", "тип"}, {"id", "uuid", "guid", "ид", "идентификатор"}} {
		for _, word := range words {
			if strings.EqualFold(strings.TrimSpace(fields[i]), word) {
				return true
			}
		}
	}
	return false
}

// Write writes a table as a file that [Read] reads back, with semicolons.
func (t *Table) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	lines := csv.NewWriter(b)
	lines.Comma = ';'
	for _, n := range t.Sorted() {
		lines.Write([]string{n.Kind.String(), n.ID, n.Name}) // its error is told by the last one
	}
	lines.Flush()
	if err := errors.Join(lines.Error(), b.Flush()); err != nil {
		return fmt.Errorf("writing names: %w", err)
	}
	return nil
}
