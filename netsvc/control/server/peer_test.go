package server

import "testing"

func TestACallerWithoutAPeerIsRefused(t *testing.T) {
	t.Parallel()
	if p := peerOf(t.Context()); p.Refusal == "" {
		t.Errorf("admitted %+v", p)
	}
}
