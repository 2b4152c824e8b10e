package main

import (
	"os/exec"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// Names, and what is remembered of messages that reached nobody, go on with the sessions.
func TestAnUpgradeKeepsNamesAndWhatIsRemembered(t *testing.T) {
	i := install(t)
	i.start(exec.Command(i.program))
	a, err := i.client.CreateApp(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.client.SetName(t.Context(), a.ID, control.Name{Kind: "user", ID: "ann", Name: "Анна"}); err != nil {
		t.Fatal(err)
	}
	send := func() {
		t.Helper()
		if n, err := i.client.Send(t.Context(), a.ID, wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "ann"},
			wire.Message{Topic: "t"}); err != nil || n != 0 {
			t.Fatalf("sent to %d, %v", n, err)
		}
	}
	send()
	i.upgrade()
	send()
	got, err := i.client.Explain(t.Context(), a.ID, "ib", "ann", "")
	if err != nil || got.UserName != "Анна" || len(got.Unmet) != 1 || got.Unmet[0].Count != 2 {
		t.Errorf("after the upgrade: %+v, %v", got, err)
	}
}
