package server

import (
	"slices"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

// Package control says the words of the hub again, so that clients need not know it.
func TestTheWordsOfTheChannelAreThoseOfTheDaemon(t *testing.T) {
	t.Parallel()
	if got, want := control.SessionSortKeys(), hub.SortKeys(); !slices.Equal(got, want) {
		t.Errorf("sessions can be sorted by %v, want %v", got, want)
	}
	for kind, want := range map[hub.EventKind]string{
		hub.SessionOpened:       control.EventSessionOpened,
		hub.SessionChanged:      control.EventSessionChanged,
		hub.SessionClosed:       control.EventSessionClosed,
		hub.RegistrationRefused: control.EventRegistrationRefused,
		history.KindAppChanged:  control.EventAppChanged,
		history.KindNode:        control.EventNode,
	} {
		if string(kind) != want {
			t.Errorf("the daemon says %q, the channel %q", kind, want)
		}
	}
}
