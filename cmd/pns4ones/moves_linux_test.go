package main

import (
	"context"
	"flag"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

var fireRoamers = flag.Int("fire.roamers", 12, "how many remembered sessions go from node to node")

// TestAKilledNodeTakesWhatItAloneHad, and no more: three sessions of which it has one, had one, and has one whose
// client is away.
func TestAKilledNodeTakesWhatItAloneHad(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	for _, one := range all {
		one.env = append(one.env, "PNS4ONES_CLUSTER_WAIT=3s") // so that a machine that is busy makes no node silent
		one.start(exec.Command(one.program))
	}
	knowEachOther(t, all...)
	at := placesOf(all...)
	r := newRoamers(t, at, 3)
	here, gone, away := r.all[0], r.all[1], r.all[2]
	sender := r.newSender(0)
	sent := 0
	post := func(node *place, sessions, unconfirmed int) {
		t.Helper()
		sender.listen = node.listen
		told, err := sender.try("all", sent)
		if err != nil || told.sessions != sessions || told.unconfirmed != unconfirmed {
			t.Errorf("message %d: %+v, %v", sent, told, err)
		}
		sent++
	}
	comes := func(s *roamer, to *place) {
		t.Helper()
		if !s.comes(context.Background(), to, patience) {
			t.Fatalf("%s does not get to %s", s.ann.UserID, to.name)
		}
	}
	reads := func(s *roamer, want ...int) {
		t.Helper()
		from := len(s.got)
		for len(s.got) < from+len(want) && s.next(context.Background(), patience) {
		}
		var got []int
		for _, one := range s.got[from:] {
			got = append(got, one.number)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s got %v, want %v", s.ann.UserID, got, want)
		}
	}
	registered := func(node *place, sessions, detached int) {
		t.Helper()
		await(t, "sessions are at "+node.name, func() bool {
			status := node.status()
			return status.Sessions == sessions && status.Detached == detached
		})
	}

	for _, s := range r.all {
		comes(s, at[1])
	}
	registered(at[1], 3, 0)
	post(at[0], 3, 0)
	for _, s := range r.all {
		reads(s, 0)
	}
	gone.leave()
	away.leave()
	registered(at[1], 1, 2)
	post(at[2], 3, 0)
	reads(here, 1)
	comes(gone, at[2]) // and has its second message there, which it does not read yet
	registered(at[2], 1, 0)
	registered(at[1], 1, 1)
	post(at[0], 3, 0)
	reads(here, 2)

	for _, pid := range all[1].processes() {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	all[1].awaitGone()
	post(at[0], 1, 1) // of those that have not come back nobody knows
	comes(here, at[0])
	comes(away, at[2])
	gone.leave()
	comes(gone, at[0])
	registered(at[0], 2, 0)
	registered(at[2], 1, 0)
	post(at[2], 3, 1)
	reads(here, 4)
	reads(away, 4)
	reads(gone, 1, 2, 3, 4)
}

// TestSessionsRoamWhileANodeIsUpgraded and restarted again and again: none of them misses anything.
func TestSessionsRoamWhileANodeIsUpgraded(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	all[0].start(exec.Command(all[0].program))
	systemd, _ := all[1].startUnderSystemd(t)
	all[2].start(exec.Command(all[2].program))
	knowEachOther(t, all...)
	r := newRoamers(t, placesOf(all...), *fireRoamers)
	stop := r.send(2, 2*time.Millisecond)
	defer stop()
	r.awaitFirst()
	ctx, cancel := context.WithCancel(context.Background())
	wait := r.roam(ctx, 1)
	for range *fireRounds {
		before := all[1].status().PID
		if _, err := all[1].client.Upgrade(context.Background()); err != nil {
			t.Fatal(err)
		}
		await(t, "another process answers", func() bool {
			status, err := all[1].client.Status(context.Background())
			return err == nil && status.PID != before
		})
		knowEachOther(t, all...)
		all[1].end()
		all[1].start(systemd.next(all[1].program))
		knowEachOther(t, all...)
		if handover := all[1].status().LastHandover; handover == nil || !handover.Done || handover.Lost > 0 {
			t.Errorf("the last hand-over: %+v", handover)
		}
	}
	cancel()
	wait()
	stop()
	r.settle()
	if s := r.check(); s.gone > 0 || s.changes == 0 {
		t.Errorf("%v", &s)
	}
}
