package tests

import (
	"os"
	"path/filepath"
	"testing"
)

// withTheAddIn are the scenarios in which a client has a connection.
var withTheAddIn = []string{"01-первая-отправка", "07-начало-работы", "08-связь", "11-бсп", "14-формы"}

// TestWithTheAddIn is the client's half once more, and all demonstrations, with the real
// add-in: OneScript loads it from the bundle that ADDIN_BUNDLE names.
func TestWithTheAddIn(t *testing.T) {
	t.Parallel()
	bundle := os.Getenv("ADDIN_BUNDLE")
	if bundle == "" {
		t.Skip("the add-in is not here: set ADDIN_BUNDLE to the zip file that addin/build.sh bundle FOLDER makes")
	}
	if !filepath.IsAbs(bundle) {
		t.Fatalf("ADDIN_BUNDLE must be an absolute path, not %s", bundle)
	}
	s := theStage(t)
	for _, name := range withTheAddIn {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := startHelper(t, s.programs)
			h.raised = filepath.Join(t.TempDir(), "events")
			s.perform(t, s.library, filepath.Join("scenarios", name+".os"), h)
		})
	}
	for _, d := range demos {
		t.Run(d.name(), func(t *testing.T) {
			t.Parallel()
			s.play(t, d, true)
		})
	}
}
