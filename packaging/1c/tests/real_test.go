package tests

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// TestWithTheAddIn is the first scenario once more with the real add-in: OneScript loads it
// from the bundle that ADDIN_BUNDLE names.
func TestWithTheAddIn(t *testing.T) {
	t.Parallel()
	bundle := os.Getenv("ADDIN_BUNDLE")
	if bundle == "" {
		t.Skip("the add-in is not here: packaging/1c/addin/build.sh bundle FOLDER makes it, then set ADDIN_BUNDLE to the zip file")
	}
	if !filepath.IsAbs(bundle) {
		t.Fatalf("ADDIN_BUNDLE must be an absolute path, not %s", bundle)
	}
	oscript := engine(t)
	programs := build(t)
	library := prepare(t)
	t.Run("01-первая-отправка", func(t *testing.T) {
		t.Parallel()
		h, folder := startHelper(t, programs), t.TempDir()
		h.raised = filepath.Join(folder, "events")
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		if err := runScript(ctx, folder, oscript, library, "scenarios/01-первая-отправка.os", h); err != nil {
			t.Errorf("%v\nlog of the daemon:\n%s", err, h.daemonLog())
		}
	})
}
