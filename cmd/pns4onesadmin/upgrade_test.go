package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// oldProcess is a daemon with the process id 10 that always answers the same.
func oldProcess(t *testing.T, status string) *control.Client {
	t.Helper()
	return answeredBy(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, status) })
}

// answeredBy is a client of a daemon that answers so.
func answeredBy(t *testing.T, answer http.HandlerFunc) *control.Client {
	t.Helper()
	folder, err := os.MkdirTemp("", "pns") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	path := filepath.Join(folder, "control.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: answer}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	client := control.NewClient(path)
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-served
	})
	return client
}

func TestWhatWasWaitedForInVainIsSaid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client *control.Client
		id     string
		ru, en string // parts of the messages
	}{
		{"no record of this upgrade",
			oldProcess(t, `{"pid":10,"upgrade_failed":"an earlier one","last_handover":{"id":"an earlier one"}}`),
			"7f3a",
			"отвечает прежний процесс (10)", "the old process (10) answers"},
		{"no other process", oldProcess(t, `{"pid":10,"last_handover":{"id":""}}`), "", "отвечает прежний процесс (10)",
			"the old process (10) answers"},
		{"nobody", control.NewClient(filepath.Join(t.TempDir(), "nothing")), "7f3a",
			"ни прежний процесс (10), ни новый",
			"neither the old process (10) nor a new one has answered. Sessions before: 5000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			defer test.client.Close()
			_, err := awaitOutcome(t.Context(), test.client, control.Status{PID: 10, Sessions: 5000}, test.id,
				10*time.Millisecond, 0)
			for lang, part := range map[locale.Lang]string{locale.Russian: test.ru, locale.English: test.en} {
				p := &program{text: locale.New(lang)}
				if got := p.errorText(err); exitStatus(err) != exitFailed || !strings.Contains(got, part) {
					t.Errorf("%s: exit status %d with %q, want %q in it", lang, exitStatus(err), got, part)
				}
			}
		})
	}
}

func TestAPersonMayStopWaitingForAnUpgrade(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := awaitOutcome(ctx, oldProcess(t, `{"pid":10}`), control.Status{PID: 10}, "7f3a", patience,
		patience); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestAnUpgradedNodeIsWaitedFor(t *testing.T) {
	t.Parallel()
	status := func(sessions int, states ...string) string {
		var nodes []control.Node
		for _, state := range states {
			nodes = append(nodes, control.Node{State: state})
		}
		text, err := json.Marshal(control.Status{Sessions: sessions, Cluster: &control.Cluster{Nodes: nodes}})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	asked := status(0, control.NodeLive, control.NodeLive)
	const bothLive = `"cluster":{"nodes":[{"state":"live"},{"state":"live"}]}`
	for _, test := range []struct {
		name, asked, upgraded string
		en                    string // part of the message; empty: nothing is to be waited for
	}{
		{"all is as before", asked, status(5000, control.NodeLive, control.NodeLive), ""},
		{"more sessions", asked, status(5001, control.NodeLive, control.NodeLive), ""},
		{"fewer sessions", asked, status(4999, control.NodeLive, control.NodeLive),
			"live nodes: 2 of 2; sessions handed over: 5000, now: 4999"},
		{"some have ended since", asked,
			`{"sessions":4995,"detached":2,"closed":{"closed_by_peer":2,"goodbye":1},` + bothLive + `}`, ""},
		{"some have ended since, and some are not there", asked,
			`{"sessions":4995,"closed":{"closed_by_peer":4},` + bothLive + `}`, "now: 4999"},
		{"the node sees one that is silent", asked, status(5000, control.NodeSilent, control.NodeLive),
			"live nodes: 1 of 2"},
		{"the others do not see the node", status(0, control.NodeLive, control.NodeHandingOver),
			status(5000, control.NodeLive, control.NodeLive), "live nodes: 1 of 2"},
		{"the node is alone", asked, `{"sessions":5000}`, "live nodes: 0 of 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			atMost := patience
			if test.en != "" {
				atMost = 10 * time.Millisecond
			}
			err := awaitLive(t.Context(), oldProcess(t, test.asked), oldProcess(t, test.upgraded), 2, 5000, atMost)
			p := &program{text: locale.New(locale.English)}
			switch {
			case test.en == "" && err != nil:
				t.Error(err)
			case test.en != "" && (err == nil || !strings.Contains(p.errorText(err), test.en)):
				t.Errorf("got %v, want %q in it", err, test.en)
			}
		})
	}
}

func TestTheNextNodeWaitsUntilAllAreLive(t *testing.T) {
	t.Parallel()
	const (
		before = `{"pid":10,"sessions":5,"cluster":{"nodes":[{"name":"web1","state":"live"},{"name":"web2","state":"live"}]}}`
		after  = `{"pid":20,"sessions":5,"last_handover":{"id":"7f3a","sessions":5,"done":true},
			"cluster":{"nodes":[{"name":"web1","state":"live"},{"name":"web2","state":"silent"}]}}`
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked sync.Mutex
	var upgraded []string
	looks := 0 // at the upgraded node
	client := answeredBy(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Lock()
		defer asked.Unlock()
		node := r.FormValue("node")
		switch {
		case r.Method == http.MethodPost:
			if upgraded = append(upgraded, node); len(upgraded) == 2 {
				cancel() // too soon, and all there is to know
			}
			io.WriteString(w, `{"id":"7f3a"}`)
		case node == "web1" && len(upgraded) > 0:
			if looks++; looks == 3 {
				cancel() // the person has waited long enough
			}
			io.WriteString(w, after)
		default:
			io.WriteString(w, before)
		}
	})
	p := &program{text: locale.New(locale.English), stderr: io.Discard}
	if err := p.upgradeAll(ctx, client); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	asked.Lock()
	defer asked.Unlock()
	if !slices.Equal(upgraded, []string{"web1"}) {
		t.Errorf("these were upgraded: %v", upgraded)
	}
}

// The process of another node may hand its sessions over before its answer has left.
func TestAnUpgradeWhoseAnswerIsLostIsWaitedFor(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	client := answeredBy(t, func(w http.ResponseWriter, r *http.Request) {
		status := control.Status{PID: 1, Sessions: 3, LastHandover: &control.Handover{ID: "before", Done: true}}
		switch {
		case r.Method == http.MethodPost:
			asked.Store(true)
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"error":{"code":"node_unreachable","message":"node web3: no more","node":"web3"}}`)
			return
		case asked.Load():
			status.PID, status.LastHandover = 2, &control.Handover{ID: "this", Done: true, Sessions: 2, Revoked: 1}
		}
		json.NewEncoder(w).Encode(status)
	})
	var said strings.Builder
	p := &program{text: locale.New(locale.English), stderr: &said}
	sessions, err := p.upgrade(t.Context(), client)
	if err != nil || sessions != 2 || !strings.Contains(said.String(), "Sessions handed over: 2") {
		t.Errorf("%d sessions, %v, said:\n%s", sessions, err, &said)
	}
}
