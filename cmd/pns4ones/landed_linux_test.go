package main

import (
	"os/exec"
	"testing"
	"time"
)

// The version that handed over in the form before: an upgrade or a restart from it loses
// nobody, an upgrade to it is refused.

func installLanded(t *testing.T) *installation {
	t.Helper()
	if *fireLanded == "" {
		t.Skip("needs that version, given by -fire.landed")
	}
	t.Parallel()
	i := install(t)
	i.putProgram(*fireLanded)
	return i
}

func TestUpgradesFromTheLandedVersion(t *testing.T) {
	i := installLanded(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	i.putProgram(thisProgram(t))
	for range *fireRounds {
		i.upgrade()
	}
	i.end()
	i.start(systemd.next(i.program))
	i.upgrade()
	stop()
	l.settle()
	l.check()
}

func TestRestartsFromTheLandedVersion(t *testing.T) {
	i := installLanded(t)
	systemd, _ := i.startUnderSystemd(t)
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	i.end()
	i.putProgram(thisProgram(t))
	i.start(systemd.next(i.program))
	for range *fireRounds {
		i.end()
		i.start(systemd.next(i.program))
		i.upgrade()
	}
	stop()
	l.settle()
	l.check()
}

// TestSessionsThatBreakGoOnAfterTheLandedVersion: one that remembers sessions hands over what it kept of them.
func TestSessionsThatBreakGoOnAfterTheLandedVersion(t *testing.T) {
	i := installLanded(t)
	systemd := newServiceManager(t, i)
	i.env = append(i.env, lasting...)
	i.start(systemd.next(i.program))
	c := newCrowd(t, i, *fireSessions)
	for range *fireRounds {
		i.putProgram(*fireLanded)
		i.end()
		i.start(systemd.next(i.program)) // to the version that has landed
		stop := c.sendAllAround(2, time.Millisecond)
		stopBreaking := c.breakAll(time.Second)
		time.Sleep(*fireTime)
		i.putProgram(thisProgram(t))
		c.upgrades()
		time.Sleep(*fireTime)
		stopBreaking()
		stop()
	}
	c.settle()
	c.report(c.balance(func(*listener) bool { return false }))
	c.checkMissed()
	t.Logf("%d connections broke", c.broken.Load())
}

func TestAnUpgradeToTheLandedVersionIsRefused(t *testing.T) {
	if *fireLanded == "" {
		t.Skip("needs that version, given by -fire.landed")
	}
	t.Parallel()
	i := install(t)
	i.start(exec.Command(i.program))
	l := openLedger(t, i.client, *fireSessions)
	stop := l.sendAllAround(2, time.Millisecond)
	defer stop()
	i.putProgram(*fireLanded)
	i.refusedUpgrade()
	i.putProgram(thisProgram(t))
	i.upgrade()
	stop()
	l.settle()
	l.check()
}
