package corpus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/packaging/corpus"
)

func TestReadsInputsAsGoTestWritesThem(t *testing.T) {
	t.Parallel()
	got, err := corpus.Values("go test fuzz v1\nstring(\"a\\n\\xff\")\n[]byte(\"-- x --\")\nbyte('\\'')\nbyte('\\xff')\n" +
		"bool(true)\nint(-5)\nuint16(84)\n")
	want := []any{"a\n\xff", []byte("-- x --"), byte('\''), byte(0xff), true, -5, uint16(84)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func TestRefusesWhatIsNoInput(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		"", "string(\"a\")", "go test fuzz v2\nint(1)", "go test fuzz v1\n5", "go test fuzz v1\nint(\"a\")",
		"go test fuzz v1\nstring(\"a\", \"b\")", "go test fuzz v1\nint(999999999999999999999)",
		"go test fuzz v1\nfloat64(1)",
	} {
		if values, err := corpus.Values(input); err == nil {
			t.Errorf("%q is read as %v", input, values)
		}
	}
}
