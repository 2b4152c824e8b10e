package hub

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestItIsSaidOnceThatSessionsAreDropped: for all of them, and again only when it was over.
func TestItIsSaidOnceThatSessionsAreDropped(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	drop := func() {
		h.budget.relieving.Lock()
		defer h.budget.relieving.Unlock()
		h.sayFull()
		h.budget.dropped++
	}
	drop()
	drop()
	h.sayEnough(time.Now()) // it is not over yet
	drop()
	h.sayEnough(time.Now().Add(quiet))
	h.sayEnough(time.Now().Add(2 * quiet))
	drop()
	if err := h.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`sessions are dropped|again|dropped=\d+`).FindAllString(log.String(), -1)
	if want := []string{"sessions are dropped", "again", "dropped=3", "sessions are dropped"}; !slices.Equal(said, want) {
		t.Errorf("it is said %q, want %q, in\n%s", said, want, log.String())
	}
}

// TestItIsSaidHowManyWereForgotten, when it is over.
func TestItIsSaidHowManyWereForgotten(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := newPacketless(t)
	p.logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, _ := p.connection()
	if err := p.enterRemembered(s, "ann", 1); err != nil {
		t.Fatal(err)
	}
	p.closeSession(s, closedByPeer)
	limits := *p.limits.Load()
	limits.QueueMemory = 1
	p.SetLimits(limits)
	p.sayEnough(time.Now().Add(quiet))
	if !strings.Contains(log.String(), "dropped=0 forgotten=1") {
		t.Errorf("it is said:\n%s", log.String())
	}
}

// TestWhoFindsNobodyToDropDoesNotLookAgainAtOnce: to look at all sessions takes milliseconds, and
// whoever waits for memory asks every 50 µs.
func TestWhoFindsNobodyToDropDoesNotLookAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &Hub{budget: new(budget)}
		if any, looked := h.dropLargest(); any || !looked {
			t.Fatalf("dropped: %t, looked: %t", any, looked)
		}
		time.Sleep(leastRest / 2)
		if _, looked := h.dropLargest(); looked {
			t.Error("it is looked again while nothing can have changed")
		}
		time.Sleep(leastRest / 2)
		if _, looked := h.dropLargest(); !looked {
			t.Error("it is never looked again")
		}
	})
}
