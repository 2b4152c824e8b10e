package names_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/app/names"
)

func table(t testing.TB, all ...names.Name) *names.Table {
	t.Helper()
	made, err := names.NewTable(all)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestNamesAreFoundHoweverAUUIDIsWritten(t *testing.T) {
	t.Parallel()
	have := table(t, names.Name{names.User, ivanov, "Иванов"}, names.Name{names.User, "Petrov", "Петров"},
		names.Name{names.Infobase, base, "Склад"})
	for id, want := range map[string]string{
		ivanov: "Иванов", strings.ToUpper(ivanov): "Иванов", "{" + ivanov + "}": "Иванов",
		"Petrov": "Петров", "petrov": "", base: "", "": "", "{" + ivanov: "", ivanov + "0": "",
	} {
		if got := have.User(id); got != want {
			t.Errorf("%q is %q, want %q", id, got, want)
		}
	}
	if got := have.Infobase("{" + base + "}"); got != "Склад" {
		t.Errorf("the infobase is %q", got)
	}
}

func TestNoTableHasNoNames(t *testing.T) {
	t.Parallel()
	var none *names.Table
	if none.User("1") != "" || none.Infobase("1") != "" || none.Len() != 0 || len(none.Sorted()) != 0 ||
		!none.Equal(table(t)) {
		t.Error("it has")
	}
	one, err := none.With([]names.Name{{names.User, "1", "a"}})
	if err != nil || one.User("1") != "a" || one.Equal(none) || none.Equal(one) {
		t.Errorf("one more: %v, %v", one.Sorted(), err)
	}
	if less := one.Without(names.User, "1"); less != nil {
		t.Errorf("one less: %v", less.Sorted())
	}
	if same := one.Without(names.Infobase, "1"); !same.Equal(one) {
		t.Errorf("another kind: %v", same.Sorted())
	}
}

func TestADamagedRecordIsNotRead(t *testing.T) {
	t.Parallel()
	record := table(t, names.Name{names.User, ivanov, "Иванов"}, names.Name{names.Infobase, base, "Склад"}).Encode()
	for at := range record {
		broken := append([]byte(nil), record...)
		broken[at] ^= 1
		if _, err := names.Decode(broken); err == nil {
			t.Errorf("byte %d was another one, and nobody noticed", at)
		}
		if _, err := names.Decode(record[:at]); err == nil {
			t.Errorf("it was cut at byte %d, and nobody noticed", at)
		}
	}
}

func TestWhatCannotBeANameIsRefused(t *testing.T) {
	t.Parallel()
	for _, n := range []names.Name{
		{names.User, "", "a"}, {names.User, "1", " "}, {names.User, "1", "a\x00b"}, {names.User, "1\n", "a\nb"},
		{names.User, "1", "\xc8"},
		{names.User, strings.Repeat("1", names.MaxIDBytes+1), "a"},
	} {
		if _, err := n.Clean(); !errors.Is(err, names.ErrBadName) {
			t.Errorf("%q: got %v", n, err)
		}
	}
}

// many are as many names as a table holds, with ids as 1C has them.
func many() []names.Name {
	all := make([]names.Name, names.MaxNames)
	for i := range all {
		all[i] = names.Name{names.User, fmt.Sprintf("59c775be-1a55-5522-9f0e-%012x", i),
			fmt.Sprintf("Иванов Иван Иванович %d", i)}
	}
	return all
}

func BenchmarkUser(b *testing.B) {
	have := table(b, many()...)
	// Whoever asks has just read the id: those of the test stay near the processor too.
	var all, upper []string
	for i, n := range many() {
		if i%100 == 0 {
			all, upper = append(all, n.ID), append(upper, strings.ToUpper(n.ID))
		}
	}
	b.Run("as_stored", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			have.User(all[i*7919%len(all)])
		}
	})
	b.Run("upper_case", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			have.User(upper[i*7919%len(upper)])
		}
	})
	b.Run("unknown", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			have.User("ffffffff-1a55-5522-9f0e-0a1b2c3d4e5f")
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	record := table(b, many()...).Encode()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := names.Decode(record); err != nil {
			b.Fatal(err)
		}
	}
}
