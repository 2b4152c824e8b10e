package control_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

var update = flag.Bool("update", false, "write the golden file anew")

// The names and the order of fields are relied on by scripts: what moves here is seen.
func TestObjectsKeepTheirFields(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, object := range []any{
		control.Status{ByApp: []control.AppStatus{{}}}, control.Statistics{}, control.App{}, control.AppChange{},
		control.Session{},
		control.SessionPage{}, control.Explanation{}, control.Event{}, control.LogRecord{}, control.ReloadReport{},
		control.ImportReport{}, control.Refusal{}, control.Peer{}, control.Name{}, control.NamesReport{},
		control.People{}, control.Person{}, control.Infobase{}, control.Recipient{}, control.Unmet{}, control.UnmetSpan{},
	} {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(text, '\n'))
	}
	const path = "testdata/objects.golden"
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the objects are now\n%s\nwant\n%s", got.String(), want)
	}
}
