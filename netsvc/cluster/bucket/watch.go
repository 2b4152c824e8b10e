package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// watchHeartbeat is how often the server says that a watch is alive, watchSilence after
	// how long without a word it is taken for dead.
	watchHeartbeat = time.Second
	watchSilence   = 3 * watchHeartbeat
	// watchInactive is when the server forgets the consumer of a node that is gone.
	watchInactive = 10 * time.Second
	// watchBytes bounds what waits for us to read it; the server waits far below that.
	watchBytes = 128 << 20
)

// entry is the newest message under a key of the bucket.
type entry struct {
	key      string
	revision uint64
	value    []byte
	marker   bool // of something that was deleted
	last     bool // of those that there were when the watch began
}

// entryOf is the entry that a message of the stream is.
func (b *Bucket) entryOf(subject string, revision uint64, header nats.Header, value []byte) (entry, bool) {
	key, ours := strings.CutPrefix(subject, b.subject(""))
	marker := header.Get("KV-Operation") != "" || header.Get("Nats-Marker-Reason") != ""
	return entry{key: key, revision: revision, value: value, marker: marker}, ours
}

// watch follows the bucket: first the newest entry of each key, then what comes.
type watch struct {
	sub      *nats.Subscription
	entries  chan entry // closed when the watch has ended; why says why
	why      error
	consumer string
	empty    bool   // there were no entries
	sequence uint64 // of the stream when the watch began
	stop     chan struct{}
}

var errGap = errors.New("entries are missing")

// watch begins one. It ends by itself when it cannot be trusted any more.
func (b *Bucket) watch(ctx context.Context, stream jetstream.Stream) (*watch, error) {
	inbox := b.o.Conn.NewInbox()
	sub, err := b.o.Conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	w := &watch{
		sub:      sub,
		entries:  make(chan entry),
		consumer: b.o.Node + "-" + rand.Text(),
		sequence: stream.CachedInfo().State.LastSeq,
		stop:     make(chan struct{}),
	}
	err = sub.SetPendingLimits(-1, watchBytes)
	if err == nil {
		var consumer jetstream.PushConsumer
		consumer, err = stream.CreatePushConsumer(ctx, jetstream.ConsumerConfig{
			Name:              w.consumer,
			DeliverSubject:    inbox,
			DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
			AckPolicy:         jetstream.AckNonePolicy,
			FilterSubject:     b.subject(">"),
			IdleHeartbeat:     watchHeartbeat,
			FlowControl:       true,
			InactiveThreshold: watchInactive,
			MemoryStorage:     true,
			Replicas:          1,
		})
		if err == nil {
			w.empty = consumer.CachedInfo().NumPending == 0
		}
	}
	if err != nil {
		sub.Unsubscribe()
		abandoned := errors.Is(err, context.DeadlineExceeded) || errors.Is(context.Cause(ctx), errReconnected)
		if abandoned { // it may be made yet
			b.deleteConsumer(ctx, w.consumer)
		}
		return nil, fmt.Errorf("watching the bucket: %w", err)
	}
	go w.read(b)
	return w, nil
}

// end ends the watch and waits for it. Its consumer is deleted, if the server still knows it.
func (w *watch) end(ctx context.Context, b *Bucket) {
	close(w.stop)
	w.sub.Unsubscribe()
	for range w.entries {
	}
	if !b.o.Conn.IsConnected() {
		return // the server deletes it after watchInactive
	}
	b.deleteConsumer(ctx, w.consumer)
}

// deleteConsumer deletes one aside: a JetStream that is just starting would keep the next watch
// waiting.
func (b *Bucket) deleteConsumer(ctx context.Context, name string) {
	b.deleting.Go(func() {
		ctx, cancel := b.ask(context.WithoutCancel(ctx))
		defer cancel()
		err := b.js.DeleteConsumer(ctx, b.stream(), name)
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) && !errors.Is(err, jetstream.ErrStreamNotFound) {
			b.o.Logger.Debug("the consumer of an old watch could not be deleted", slog.Any("error", err))
		}
	})
}

// read passes on entries until the watch ends.
func (w *watch) read(b *Bucket) {
	defer close(w.entries)
	var sequence uint64 // of the last message of the consumer
	for {
		m, err := w.sub.NextMsg(watchSilence)
		if err != nil {
			w.why = fmt.Errorf("the watch of the bucket has ended: %w", err)
			return
		}
		if status := m.Header.Get("Status"); status != "" {
			if err := w.control(b, m, sequence); err != nil {
				w.why = fmt.Errorf("the watch of the bucket has ended: %w", err)
				return
			}
			continue
		}
		about, err := m.Metadata()
		if err != nil || about.Sequence.Consumer != sequence+1 {
			w.why = fmt.Errorf("the watch of the bucket has ended: %w", errGap)
			return
		}
		sequence++
		e, ours := b.entryOf(m.Subject, about.Sequence.Stream, m.Header, m.Data)
		if !ours {
			continue
		}
		e.last = about.NumPending == 0
		select {
		case w.entries <- e:
		case <-w.stop:
			return
		}
	}
}

// control works off a message about the watch itself.
func (w *watch) control(b *Bucket, m *nats.Msg, sequence uint64) error {
	const alive = "100"
	if status := m.Header.Get("Status"); status != alive {
		return fmt.Errorf("%s %s", status, m.Header.Get("Description"))
	}
	if m.Reply != "" { // it asks whether we have got this far
		return m.Respond(nil)
	}
	if stalled := m.Header.Get("Nats-Consumer-Stalled"); stalled != "" {
		return b.o.Conn.Publish(stalled, nil)
	}
	if last, err := strconv.ParseUint(m.Header.Get("Nats-Last-Consumer"), 10, 64); err == nil && last != sequence {
		return errGap
	}
	return nil
}
