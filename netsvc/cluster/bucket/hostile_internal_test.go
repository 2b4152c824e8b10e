package bucket

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal/sealtest"
	"github.com/pns4ones/pns4ones/netsvc/internal/natstest"
	"github.com/pns4ones/pns4ones/netsvc/internal/testlog"
)

// Who has access to NATS can fill the bucket with what no node has put there. A node that reads it
// from the beginning does not keep that.
func TestABucketFullOfWhatStrangersPut(t *testing.T) {
	const entries, bytes = 64, 1 << 20
	apps, err := app.Open(filepath.Join(t.TempDir(), "apps.db"),
		app.Options{Agree: func(context.Context, app.Change) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer apps.Close()
	conn, err := nats.Connect(natstest.Start(t).URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	keys := sealtest.Keys(t)
	logger, log := testlog.New()
	never := Clock{Now: time.Now, After: func(time.Duration) <-chan time.Time { return nil }} // nobody loses his patience
	b, err := New(Options{Cluster: "main", Node: "web1", Keys: func() *seal.Keys { return keys }, Apps: apps, Conn: conn,
		Clock: never, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{entries: make(chan entry), sequence: entries}
	read := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { read <- b.first(ctx, w) }()
	before := heap()
	for i := range entries {
		w.entries <- entry{key: fmt.Sprintf("app.%08d-2f4e-4d3a-9c57-0a1b2c3d4e5f", i), revision: uint64(i + 1),
			value: make([]byte, bytes)}
	}
	if grown := int64(heap()) - int64(before); grown > entries*bytes/4 {
		t.Errorf("%d MiB of %d are kept", grown>>20, entries*bytes>>20)
	}
	damaged, err := apps.Create("Склад")
	if err != nil {
		t.Fatal(err)
	}
	w.entries <- entry{key: keyOf(damaged.ID), revision: entries + 1, value: []byte("garbage"), last: true}
	cancel() // there is no JetStream that would take what comes next
	<-read
	if got := b.Status().Ignored; got != entries+1 {
		t.Errorf("%d were counted, want %d", got, entries+1)
	}
	if got := log.Count("is ignored"); got != maxStrange+1 || log.Count(damaged.ID) != 1 {
		t.Errorf("%d were logged, of %d that are of nobody and one of an app:\n%s", got, entries, log)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
