package main

import (
	"fmt"
	"slices"
	"time"
)

// sums are those of what senders were told and sessions received.
type sums struct {
	posts, unanswered, unconfirmed int // messages
	counted                        int // deliveries that senders were told of
	received                       int // deliveries
	unsure                         int // of these, those of messages that a node may not have had, or without an answer
	strays                         int // of these, those that came when a later message of their sender had
	gone                           int // deliveries that senders were told of to sessions that have ended
	ended                          int // sessions
	longest                        []time.Duration
	latest                         time.Duration // from when a message was posted to when it came, at most
	problems                       []string
}

func (s *sums) String() string {
	return fmt.Sprintf("%d messages, %d without an answer, %d that a node may not have; %d deliveries counted, %d came, "+
		"%d of them of messages that were not sure, %d of them after a later one; %d went with %d sessions that ended; "+
		"each sender waited at most %v; the latest came after %v",
		s.posts, s.unanswered, s.unconfirmed, s.counted, s.received, s.unsure, s.strays, s.gone, s.ended, s.longest, s.latest)
}

// sum holds what the senders were told against what the sessions have received. Nobody may be sending.
func (t *traffic) sum() (s sums) {
	t.mu.Lock()
	sessions := slices.Clone(t.sessions)
	t.mu.Unlock()
	for _, p := range t.posters {
		came, lacking := make([]int, len(p.told)), make([]int, len(p.told))
		for _, session := range sessions {
			session.mu.Lock()
			s.hold(p, session, came, lacking)
			session.mu.Unlock()
		}
		var longest time.Duration
		for number, one := range p.told {
			s.posts++
			s.received += came[number]
			longest = max(longest, one.took)
			if !one.answered() {
				s.unanswered++
				s.unsure += came[number]
				continue
			}
			s.counted += one.sessions
			most := one.sessions
			if one.unconfirmed > 0 {
				s.unconfirmed++
				s.unsure += came[number]
				most += one.unconfirmed * matching(one.to)
			}
			s.gone += min(max(0, one.sessions-came[number]), lacking[number])
			if came[number]+lacking[number] < one.sessions || came[number] > most {
				s.complain("message %d of %s to %s: %d sessions were counted and %d nodes named, %d have it and %d ended "+
					"without", number, p.name, one.to, one.sessions, one.unconfirmed, came[number], lacking[number])
			}
		}
		s.longest = append(s.longest, longest.Round(100*time.Microsecond))
	}
	for _, session := range sessions {
		if session.end() != nil {
			s.ended++
		}
		if session.problem != nil {
			s.complain("%s: %v", session.user, session.problem)
		}
	}
	return s
}

// hold enters what a session has of a sender's messages: came counts for each message the sessions that have it, lacking
// those that it is for and that ended without it. The caller holds the session's mu.
func (s *sums) hold(p *poster, session *listener, came, lacking []int) {
	has := make([]bool, len(p.told))
	latest := -1
	for _, one := range session.counted.came[p.id] {
		number := one.number
		switch {
		case number >= len(p.told):
			s.complain("%s: message %d of %s was not sent", session.user, number, p.name)
			continue
		case has[number]:
			s.complain("%s: message %d of %s came again", session.user, number, p.name)
			continue
		case number < latest && p.told[number].sure():
			s.complain("%s: message %d of %s came after %d", session.user, number, p.name, latest)
		case number < latest:
			s.strays++
		}
		has[number] = true
		s.latest = max(s.latest, one.at.Sub(p.told[number].begun))
		latest = max(latest, number)
		came[number]++
	}
	since, known := session.counted.since[p.id]
	for number := range p.told {
		one := &p.told[number]
		switch {
		case has[number] || one.to != "all" && one.to != session.group && one.to != session.user:
		case session.ended != nil:
			lacking[number]++
		case one.sure() && known && one.begun.After(since):
			s.complain("%s: message %d of %s did not come, which was answered at %v with %+v", session.user, number,
				p.name, one.begun.UTC().Format(time.TimeOnly), one.answer)
		}
	}
}

func (s *sums) complain(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// matching is how many sessions of a node a message is for, at most.
func matching(to string) int {
	if to == "all" || to == "group0" {
		return seats
	}
	return 1
}

// settleAll is settle while no session comes.
func (t *traffic) settleAll() {
	t.t.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
}

// check ends the sending and checks the sums, when all nodes are live to each other and all sessions are there.
func (t *traffic) check(stop func()) {
	t.t.Helper()
	t.site.awaitLive()
	t.awaitSeated()
	t.awaitSure()
	stop()
	t.settleAll()
	s := t.sum()
	t.t.Log(&s)
	for _, problem := range s.problems[:min(20, len(s.problems))] {
		t.t.Error(problem)
	}
	if s.received == 0 {
		t.t.Error("nothing was received")
	}
}
