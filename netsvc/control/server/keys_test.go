package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
)

func TestEachOldKeyIsShownWithItsEndAndItsUse(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	d.connect(a, "ib", "ann", "")
	for range 2 {
		if _, err := d.apps.Authorize(a.ServerKey, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.RotateServerKey(t.Context(), a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	first, err := d.RotateClientKey(t.Context(), a.ID, 3*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	d.connect(first.App, "ib", "ben", "")
	d.connect(first.App, "ib", "cid", "")
	shown, err := d.RotateClientKey(t.Context(), a.ID, 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if !shown.ServerKeySince.Equal(now) || !shown.ClientKeySince.Equal(now) || shown.ServerKeyTokens != 0 ||
		shown.ServerKeyLastUsedAt != nil {
		t.Errorf("the current keys: %+v", shown.App)
	}
	servers := shown.OldServerKeys
	if len(servers) != 1 || !servers[0].Until.Equal(now.Add(time.Hour)) || servers[0].Tokens != 2 ||
		servers[0].LastUsedAt == nil || !servers[0].LastUsedAt.Equal(now) {
		t.Errorf("old server keys: %+v", servers)
	}
	want := []control.OldClientKey{
		{Generation: 2, Since: now, Until: now.Add(2 * time.Hour), Sessions: 2},
		{Generation: 1, Since: now, Until: now.Add(3 * time.Hour), Sessions: 1},
	}
	if got := shown.OldClientKeys; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("old client keys: %+v, want %+v", got, want)
	}
	if *shown.OldClientKeySessions != 3 {
		t.Errorf("%d sessions on old keys, want 3", *shown.OldClientKeySessions)
	}
}

func TestOldKeysAreRevokedBeforeTheirTime(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a := d.newApp("one")
	old := d.connect(a, "ib", "ann", "")
	if _, err := d.RotateServerKey(t.Context(), a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateClientKey(t.Context(), a.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "{}", `{"server":false}`, `{"server":1}`, `{"all":true}`} {
		wantBad(t, d.do("POST", "/v1/apps/"+a.ID+"/revoke-old", bad), control.CodeBadRequest)
	}
	change, err := d.RevokeOld(t.Context(), a.ID, true, false)
	if err != nil || change.ClosedSessions != 0 || change.OldServerKeys != nil || len(change.OldClientKeys) != 1 {
		t.Fatalf("server keys: %+v, %v", change, err)
	}
	change, err = d.RevokeOld(t.Context(), strings.ToUpper(a.ID), false, true)
	if err != nil || change.ClosedSessions != 1 || change.OldClientKeys != nil {
		t.Fatalf("client keys: %+v, %v", change, err)
	}
	ended(t, old)
	d.log.Line(t, "level=INFO", `action="revoke old keys"`, "client=true", "closed_sessions=1")
	_, err = d.RevokeOld(t.Context(), unknownID, true, true)
	refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
}

func TestKeysOfSeveralAppsAreRenewedTogether(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	a, b := d.newApp("one"), d.newApp("two")
	old := d.connect(a, "ib", "ann", "")
	both := []control.Rotation{{ID: b.ID, Server: true}, {ID: a.ID, Server: true, Client: true}}
	_, err := d.Rotate(t.Context(), append(both, control.Rotation{ID: unknownID, Client: true}), 0)
	refused(t, err, http.StatusNotFound, control.CodeAppNotFound)
	if shown, err := d.App(t.Context(), a.ID); err != nil || shown.ClientKey != a.ClientKey || shown.Sessions != 1 {
		t.Errorf("after a refusal: %+v, %v", shown, err)
	}
	for _, bad := range []string{"", `{"apps":[{"id":"x"}]}`, `{"apps":{}}`} {
		wantBad(t, d.do("POST", "/v1/rotate", bad), control.CodeBadRequest)
	}
	wantBad(t, d.do("POST", "/v1/rotate", fmt.Sprintf(`{"apps":[{"id":%q,"server":true}],"grace":"soon"}`, a.ID)),
		control.CodeBadGrace)
	changes, err := d.Rotate(t.Context(), both, 7*24*time.Hour)
	if err != nil || len(changes) != 2 || changes[0].ID != b.ID || changes[0].ClientKey != b.ClientKey ||
		changes[0].ServerKey == b.ServerKey ||
		changes[1].ClosedSessions != 0 || changes[1].ClientKey == a.ClientKey ||
		!changes[1].OldClientKeyUntil.Equal(now.Add(7*24*time.Hour)) {
		t.Fatalf("got %+v, %v", changes, err)
	}
	changes, err = d.Rotate(t.Context(), []control.Rotation{{ID: a.ID, Client: true}}, 0)
	if err != nil || changes[0].ClosedSessions != 1 {
		t.Fatalf("without a grace: %+v, %v", changes, err)
	}
	ended(t, old)
	d.log.Line(t, "level=INFO", `action="new keys"`, "client=true", "closed_sessions=1")
}

func wantBad(t *testing.T, got answer, code string) {
	t.Helper()
	if got.status != http.StatusBadRequest || got.code(t) != code {
		t.Errorf("got %d %s, want 400 with %s", got.status, got.body, code)
	}
}
