package netsvc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
)

// statusOf asks another node through this one.
func (d *daemon) statusOf(node string) (control.Status, error) {
	return d.On(node).Status(context.Background())
}

func TestADaemonIsAskedThroughAnother(t *testing.T) {
	t.Parallel()
	nats, key := natstest.Start(t, natstest.JetStream(t)), clusterKey(t)
	nodes := startNodes(t, nats, key, 3)
	for i, d := range nodes {
		for j := range nodes {
			name := fmt.Sprintf("web%d", j+1)
			status, err := d.statusOf(name)
			if err != nil || status.Cluster.Node != name {
				t.Fatalf("web%d asked about %s: %+v, %v", i+1, name, status.Cluster, err)
			}
		}
	}
	a := nodes[0].create("Склад")
	eventually(t, "the app to be everywhere", nodes[2].knows(a))
	nodes[2].session(a, "ann")
	var copied bytes.Buffer
	if err := nodes[0].On("web3").Backup(t.Context(), &copied); err != nil || copied.Len() < 4<<10 {
		t.Errorf("a backup of %d bytes: %v", copied.Len(), err)
	}
	if status, err := nodes[0].statusOf("web3"); err != nil || status.Sessions != 1 {
		t.Errorf("sessions of web3: %d, %v", status.Sessions, err)
	}
	// What is changed there is logged there, with who asked and where.
	if err := nodes[0].On("web3").SetLogLevel(t.Context(), "Debug"); err != nil {
		t.Fatal(err)
	}
	who := ""
	err := nodes[2].Logs(t.Context(), control.LogQuery{Text: "change log level", Tail: 10}, false,
		func(r control.LogRecord) error {
			who = fmt.Sprint(r.Attrs)
			return nil
		})
	if err != nil || !strings.Contains(who, "from_node") || !strings.Contains(who, "web1") ||
		!strings.Contains(who, "uid") {
		t.Errorf("logged: %s, %v", who, err)
	}
	// A stream of events, as they come, and the end of its node.
	events, ended := make(chan control.Event, 100), make(chan error, 1)
	following := make(chan struct{})
	go func() {
		ended <- nodes[0].On("web2").Events(context.Background(), control.EventQuery{Tail: 1}, true,
			func(e control.Event) error {
				select {
				case <-following:
				default:
					close(following)
				}
				events <- e
				return nil
			})
	}()
	<-following
	nodes[1].session(a, "bob")
	for e := range events {
		if e.Event == control.EventSessionOpened && e.Session.UserID == "bob" {
			break
		}
	}
	if err := nodes[1].stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, control.ErrEnded) {
		t.Errorf("the stream ended with %v", err)
	}
	eventually(t, "the goodbye", func() bool {
		_, err := nodes[0].statusOf("web2")
		refusal, ok := errors.AsType[*control.Error](err)
		return ok && refusal.Code == control.CodeNodeNotFound && refusal.Node == "web2"
	})
}

// Not parallel: it counts the goroutines of the process.
func TestNothingIsLeftOfWhatNodesAsked(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("nodes", func(t *testing.T) {
		nats, key := natstest.Start(t, natstest.JetStream(t)), clusterKey(t)
		nodes := startNodes(t, nats, key, 2)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := make(chan struct{}, 1000)
		go nodes[0].On("web2").Logs(ctx, control.LogQuery{Tail: 1}, true, func(control.LogRecord) error {
			began <- struct{}{}
			return nil
		})
		<-began
		if _, err := nodes[1].statusOf("web1"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
