package control_test

import (
	"io"
	"net/http"
	"testing"
)

func TestADaemonThatKnowsNoIDsIsUpgradedToo(t *testing.T) {
	t.Parallel()
	c := stranger(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}\n") })
	if id, err := c.Upgrade(t.Context()); err != nil || id != "" {
		t.Errorf("got %q and %v", id, err)
	}
}
