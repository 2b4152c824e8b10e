package names_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/app/names"
)

const (
	ivanov = "59c775be-1a55-5522-9f0e-0a1b2c3d4e5f"
	base   = "d23f0824-4fa6-4b62-8a9b-27a5dea9d227"
)

func utf16File(order []byte, text string) string {
	var b strings.Builder
	b.Write(order)
	for _, unit := range utf16.Encode([]rune(text)) {
		low, high := byte(unit), byte(unit>>8)
		if order[0] == 0xfe {
			low, high = high, low
		}
		b.Write([]byte{low, high})
	}
	return b.String()
}

func TestReadsFilesAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	plain := "ib;" + base + ";Бухгалтерия\r\nuser;" + ivanov + ";Иванов И. И.\r\n"
	want := []names.Name{{names.Infobase, base, "Бухгалтерия"}, {names.User, ivanov, "Иванов И. И."}}
	for name, file := range map[string]string{
		"UTF-8":                   plain,
		"with a mark":             "\ufeff" + plain,
		"UTF-16, little end":      utf16File([]byte{0xff, 0xfe}, plain),
		"UTF-16, big end":         utf16File([]byte{0xfe, 0xff}, plain),
		"tabs":                    strings.ReplaceAll(plain, ";", "\t"),
		"commas":                  strings.ReplaceAll(plain, ";", ","),
		"a header":                "kind;id;name\n" + plain,
		"a Russian header":        "Вид;Идентификатор;Наименование\n" + plain,
		"as the help writes it":   "user|ib;id;name\n" + plain,
		"quotes":                  strings.ReplaceAll(plain, "Бухгалтерия", `"Бухгалтерия"`),
		"blank lines and no end":  "\n\n" + strings.TrimSuffix(plain, "\r\n"),
		"blanks around":           strings.ReplaceAll(plain, ";", " ; "),
		"upper case, with braces": strings.ReplaceAll(plain, ivanov, "{"+strings.ToUpper(ivanov)+"}"),
		"the same line twice":     plain + plain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := names.Read(strings.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Names); diff != "" {
				t.Error(diff)
			}
			if want := strings.Contains(name, "header") || strings.Contains(name, "help"); got.Header != want {
				t.Errorf("header: %v", got.Header)
			}
		})
	}
}

func TestQuotesInANameStay(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		`ib;1;ООО "Ромашка"`:          `ООО "Ромашка"`,
		`ib;1;"ООО ""Ромашка""; Дон"`: `ООО "Ромашка"; Дон`,
		"ib\t1\t\"Ромашка\" ООО":      `Ромашка" ООО`,
	} {
		got, err := names.Read(strings.NewReader(file))
		if err != nil || len(got.Names) != 1 || got.Names[0].Name != want {
			t.Errorf("%s: got %q, %v, want %q", file, got.Names, err, want)
		}
	}
}

func TestABadFileIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	good := "user;1;a\n"
	for name, test := range map[string]struct {
		file string
		want names.FileError // Err is not compared
	}{
		"CP1251": {good + "user;2;\xc8\xe2\xe0\xed\xee\xe2\n", names.FileError{Problem: names.ProblemEncoding,
			Line: 2}},
		"UTF-16 without mark": {utf16File([]byte{0xff, 0xfe}, good)[2:], names.FileError{Problem: names.ProblemEncoding,
			Line: 1}},
		"half a letter": {utf16File([]byte{0xff, 0xfe}, good) + "x", names.FileError{Problem: names.ProblemEncoding,
			Line: 1}},
		"a wrong kind": {good + "base;2;b\n", names.FileError{Problem: names.ProblemKind, Line: 2, Text: "base"}},
		"a header too late": {good + "kind;id;name\n", names.FileError{Problem: names.ProblemKind, Line: 2,
			Text: "kind"}},
		"two fields":       {good + "user;2\n", names.FileError{Problem: names.ProblemForm, Line: 2}},
		"four fields":      {good + "user;2;b;c\n", names.FileError{Problem: names.ProblemForm, Line: 2}},
		"no file of names": {"GIF89a,2", names.FileError{Problem: names.ProblemForm, Line: 1}},
		"nothing":          {"\n", names.FileError{Problem: names.ProblemForm, Line: 1}},
		"only a header":    {"kind;id;name\n", names.FileError{Problem: names.ProblemForm, Line: 1}},
		"an empty name":    {good + "user;2; \n", names.FileError{Problem: names.ProblemName, Line: 2}},
		"an empty id":      {good + "user;;b\n", names.FileError{Problem: names.ProblemName, Line: 2}},
		"a name that is long": {good + "user;2;" + strings.Repeat("й", names.MaxNameRunes+1),
			names.FileError{Problem: names.ProblemName, Line: 2}},
		"a name of two lines": {good + "user;2;\"a\nb\"\n", names.FileError{Problem: names.ProblemName, Line: 2}},
		"an id with two names": {good + "ib;1;b\nuser;1;c\n", names.FileError{Problem: names.ProblemTwice, Line: 3,
			Other: 1, Text: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := names.Read(strings.NewReader(test.file))
			var problem *names.FileError
			if !errors.As(err, &problem) || len(got.Names) != 0 {
				t.Fatalf("got %v, %v", got, err)
			}
			if fmt.Sprint(problem) == "" {
				t.Error("it says nothing")
			}
			problem.Err = nil
			if *problem != test.want {
				t.Errorf("got %+v, want %+v", *problem, test.want)
			}
		})
	}
}

// endless is a file that goes on and on.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, strings.Repeat("user;1;a\n", len(p)/9+1))
	e.read += n
	return n, nil
}

func TestAFileThatIsTooLargeIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	file := new(endless)
	_, err := names.Read(io.LimitReader(file, 100<<20))
	if !errors.Is(err, names.ErrFileTooLarge) {
		t.Errorf("got %v, want %v", err, names.ErrFileTooLarge)
	}
	if file.read > names.MaxFileBytes+1 {
		t.Errorf("%d bytes were read", file.read)
	}
}

func TestTooManyNamesAreRefused(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range names.MaxNames + 1 {
		fmt.Fprintf(&b, "user;%d;a\n", i)
	}
	if _, err := names.Read(strings.NewReader(b.String())); !errors.Is(err, names.ErrTooMany) {
		t.Errorf("got %v, want %v", err, names.ErrTooMany)
	}
	all := strings.TrimSuffix(b.String(), fmt.Sprintf("user;%d;a\n", names.MaxNames))
	file, err := names.Read(strings.NewReader(all))
	if err != nil {
		t.Fatal(err)
	}
	table, err := names.NewTable(file.Names)
	if err != nil || table.Len() != names.MaxNames {
		t.Fatalf("got %d names, %v", table.Len(), err)
	}
	if _, err := table.With([]names.Name{{names.Infobase, "1", "b"}}); !errors.Is(err, names.ErrTooMany) {
		t.Errorf("one more: got %v, want %v", err, names.ErrTooMany)
	}
	if same, err := table.With([]names.Name{{names.User, "1", "b"}}); err != nil || same.User("1") != "b" {
		t.Errorf("another name: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range []string{"user;1;a\n", "\ufeffib\t1\t\"a\"\"b\"", "kind,id,name\nuser,1,a", "\xff\xfeu\x00",
		"user;1;a\nuser;1;b"} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := names.Read(strings.NewReader(text))
		if err != nil {
			return
		}
		table, err := names.NewTable(file.Names)
		if err != nil {
			t.Fatal(err)
		}
		if table.Len() != len(file.Names) {
			t.Fatalf("%d names became %d", len(file.Names), table.Len())
		}
		// What was read is written, read again, and stored, the same.
		var written strings.Builder
		if err := table.Write(&written); err != nil {
			t.Fatal(err)
		}
		again, err := names.Read(strings.NewReader(written.String()))
		if err != nil {
			t.Fatalf("%q: %v", written.String(), err)
		}
		back, err := names.NewTable(again.Names)
		if err != nil || !back.Equal(table) {
			t.Fatalf("%q became %q", table.Sorted(), back.Sorted())
		}
		if stored, err := names.Decode(table.Encode()); err != nil || !slices.Equal(stored.Sorted(), table.Sorted()) {
			t.Fatalf("%q was stored as %q, %v", table.Sorted(), stored.Sorted(), err)
		}
	})
}
