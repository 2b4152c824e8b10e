package server_test

import (
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestStatusTellsHowTheDaemonIs(t *testing.T) {
	t.Parallel()
	expires := time.Date(2027, 1, 2, 3, 4, 5, 0, time.FixedZone("MSK", 3*3600))
	d := start(t, func() server.Info {
		return server.Info{
			Uptime: 90*time.Second + time.Millisecond, TLSExpiresAt: expires,
			Listen: "*:36696", Service: "192.168.10.0/24:36695", Control: "/run/pns4ones/control.sock",
		}
	})
	a := d.newApp("one")
	d.newApp("two")
	c := d.connect(a, "ib", "ann", "")
	for _, to := range []wire.Recipient{{Type: wire.ToAll, IbID: "ib"}, {Type: wire.ToAll, IbID: "other"}} {
		if _, err := d.Send(t.Context(), a.ID, to, wire.Message{Topic: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, c, `{"topic":"t"}`)
	stranger, err := wire.Dial(t.Context(), d.sessions, wire.Registration{AppID: unknownID, IbID: "ib"},
		parseKey(t, a.ClientKey))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	ended(t, stranger)

	var s control.Status
	eventually(t, "the delivery and the refusal are counted", func() bool {
		if s, err = d.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.Delivered == 1 && s.Refused["unknown_app"] == 1
	})
	if s.Version != "1.2.3" || s.UptimeSeconds != 90 || s.Listen != "*:36696" || s.Service != "192.168.10.0/24:36695" ||
		s.Control != "/run/pns4ones/control.sock" {
		t.Errorf("the daemon's own part: %+v", s)
	}
	if s.Apps != 2 || s.Sessions != 1 || s.Registrations != 1 || s.Messages != 2 || s.NoRecipient != 1 ||
		s.DeliveredBytes == 0 || s.DroppedAsSlow != 0 {
		t.Errorf("the counts: %+v", s)
	}
	if s.TLSExpiresAt == nil || !s.TLSExpiresAt.Equal(expires) || s.PID != os.Getpid() || s.MemoryBytes == 0 {
		t.Errorf("certificate, process, memory: %+v", s)
	}
}

func TestStatusIsTheObjectOfTheDesign(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	var object map[string]any
	if err := json.Unmarshal([]byte(d.do("GET", "/v1/status", "").body), &object); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"version", "uptime_seconds", "listen", "service", "apps", "sessions", "pid", "memory_bytes", "control",
		"messages",
		"no_recipient",
		"delivered", "delivered_bytes", "dropped_as_slow", "refused", "registrations", "unregistered",
	} {
		if _, has := object[name]; !has {
			t.Errorf("has no %s", name)
		}
	}
	if at, has := object["tls_expires_at"]; has {
		t.Errorf("without TLS, tls_expires_at is %v", at)
	}
	if waiting, ok := object["restart_needed"].([]any); !ok || len(waiting) != 0 {
		t.Errorf("restart_needed is %v, want an empty array", object["restart_needed"])
	}
}
