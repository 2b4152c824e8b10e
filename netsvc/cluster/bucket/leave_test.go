package bucket_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
)

// Whoever leaves while JetStream is silent has no trouble to tell of.
func TestLeavingIsNoTrouble(t *testing.T) {
	t.Parallel()
	s := &natsServer{natstest.Start(t), t}
	silent, _ := s.connect()
	asked := make(chan struct{}, 100)
	if _, err := silent.Subscribe("$JS.API.>", func(*nats.Msg) { asked <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	if err := silent.Flush(); err != nil {
		t.Fatal(err)
	}
	apps, err := app.Open(filepath.Join(t.TempDir(), "pns4ones.db"), app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer apps.Close()
	conn, _ := s.connect()
	keys := sealtest.Keys(t)
	var log bytes.Buffer
	b, err := bucket.New(bucket.Options{Cluster: "main", Node: "a", Keys: func() *seal.Keys { return keys }, Conn: conn,
		Apps: apps, Live: func() []string { return nil }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.Connected()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Run(ctx)
	}()
	<-asked
	cancel()
	<-ended
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
}
