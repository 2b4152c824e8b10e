package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// roamersSums are those of what was sent to sessions that roam and of what they have read.
type roamersSums struct {
	posts, unsure   int // messages
	came, gone      int // deliveries; those that went with a node that alone had them
	visits, changes int // connections; those that go on at another node than the one before
	problems        []string
}

func (s *roamersSums) String() string {
	return fmt.Sprintf("%d messages, %d that a node may not have; "+
		"%d deliveries, %d gone with a node that alone had them; %d visits, %d sessions went on at another node",
		s.posts, s.unsure, s.came, s.gone, s.visits, s.changes)
}

// absence is a time in which a node was lost to another one.
type absence struct{ from, to time.Time }

// absences are those of which the logs of the nodes tell: by the node that says so, and the one that it lost.
type absences map[[2]string][]absence

var nodeRecord = regexp.MustCompile(`(?m)^time=(\S+) .*msg="node (lost|live|left|joining)".* node=(\S+)`)

// absences reads what the nodes have logged of each other. One that is killed has lost nobody any more.
func (r *roamers) absences() absences {
	all := make(absences)
	for _, n := range r.nodes {
		open := make(map[string]time.Time)
		for _, found := range nodeRecord.FindAllStringSubmatch(n.said(), -1) {
			at, err := time.Parse(time.RFC3339Nano, found[1])
			if err != nil {
				r.t.Errorf("%s has logged at %q: %v", n.name, found[1], err)
			}
			since, lost := open[found[3]]
			switch {
			case found[2] == "lost" && !lost:
				open[found[3]] = at
			case found[2] == "live" && lost:
				key := [2]string{n.name, found[3]}
				all[key] = append(all[key], absence{since, at})
				delete(open, found[3])
			}
		}
		for name, since := range open {
			all[[2]string{n.name, name}] = append(all[[2]string{n.name, name}], absence{since, time.Now()})
		}
	}
	return all
}

// passage is how a session got from one visit in which it has read something to the next: between them
// it tried others, perhaps.
type passage struct {
	from, to int // visits
	why      string
}

// check holds what was sent against what the sessions have read, after settle: nothing comes twice or out of its
// sender's order, and all that all nodes have confirmed comes, but for what only a node had that was killed, or that
// was lost to the one where its session went on.
func (r *roamers) check() (s roamersSums) {
	r.t.Helper()
	away := r.absences()
	for _, p := range r.posters {
		s.posts += len(p.posted)
		for _, one := range p.posted {
			if !one.sure {
				s.unsure++
			}
		}
	}
	for _, one := range r.all {
		r.checkOne(&s, one, away)
	}
	r.t.Log(&s)
	for _, problem := range s.problems[:min(20, len(s.problems))] {
		r.t.Error(problem)
	}
	if s.came == 0 && len(r.all) > 0 {
		r.t.Error("nothing was received")
	}
	return s
}

func (r *roamers) checkOne(s *roamersSums, one *roamer, away absences) {
	complain := func(format string, args ...any) {
		s.problems = append(s.problems, one.ann.UserID+": "+fmt.Sprintf(format, args...))
	}
	s.visits += len(one.visits)
	s.came += len(one.got)
	has := make([]map[int]bool, len(r.posters))
	latest := make([]int, len(r.posters))
	for i := range has {
		has[i], latest[i] = make(map[int]bool), -1
	}
	for _, got := range one.got {
		p := r.posters[got.sender]
		switch {
		case got.number >= len(p.posted):
			complain("message %d of sender %d was not sent", got.number, got.sender)
			continue
		case has[got.sender][got.number]:
			complain("message %d of sender %d came again", got.number, got.sender)
		case got.number < latest[got.sender] && p.posted[got.number].sure:
			complain("message %d of sender %d came after %d, at %v; %s", got.number, got.sender, latest[got.sender],
				got.at.Format(time.StampMicro), one.around(got.at))
		}
		has[got.sender][got.number] = true
		latest[got.sender] = max(latest[got.sender], got.number)
	}
	passages := r.passages(one, away)
	for _, way := range passages {
		if one.visits[way.from].to != one.visits[way.to].to {
			s.changes++
		}
	}
	since := one.visits[slices.IndexFunc(one.visits, func(v visit) bool { return !v.first.IsZero() })].first
	for id, p := range r.posters {
		for number, message := range p.posted {
			if !message.sure || message.begun.Before(since) || has[id][number] {
				continue
			}
			if way := r.goneIn(one, passages, &message); way != nil && way.why != "" || one.leavesOut(&message, away) {
				s.gone++
				continue
			}
			complain("message %d of sender %d did not come, which was answered at %v; %s", number, id,
				message.answered.Format(time.StampMicro), one.around(message.answered))
		}
	}
}

// passages are all of a session, each with why what its nodes had may be gone; empty: it may not.
func (r *roamers) passages(one *roamer, away absences) (all []passage) {
	from := -1
	for to := range one.visits {
		if one.visits[to].first.IsZero() {
			continue
		}
		if from >= 0 {
			all = append(all, passage{from, to, r.whyGone(one.visits[from:to+1], away)})
		}
		from = to
	}
	return all
}

// whyGone says why what a session had at the nodes of some visits may not be found at the last one.
func (r *roamers) whyGone(visits []visit, away absences) string {
	last := visits[len(visits)-1]
	for _, v := range visits {
		for _, k := range r.kills {
			if k.node == v.to.name && k.at.After(visits[0].dialed) && k.at.Before(last.first) {
				return v.to.name + " was killed"
			}
		}
		for _, at := range visits[1:] { // an attempt that was left may have begun anew there
			for _, one := range away[[2]string{at.to.name, v.to.name}] {
				if one.from.Before(last.first) && one.to.After(at.dialed) {
					return v.to.name + " was lost to " + at.to.name
				}
			}
		}
	}
	return ""
}

// goneIn is the passage in which a message may be gone: it was answered after the last one that was read before had
// been posted, and posted before the first one was read afterwards; nil: in none.
func (r *roamers) goneIn(one *roamer, passages []passage, message *posted) *passage {
	for i, way := range passages {
		if way.why == "" || !message.begun.Before(one.visits[way.to].first) {
			continue
		}
		before := time.Time{}
		for _, got := range one.got {
			if got.visit <= way.from && got.at.Before(one.visits[way.to].first) {
				before = later(before, r.posters[got.sender].posted[got.number].begun)
			}
		}
		if message.answered.After(before) {
			return &passages[i]
		}
	}
	return nil
}

// leavesOut reports whether a session may take nothing of the node that a message was posted to: the session began
// anew at a node to which that one was lost. What it may have had there already comes for a while, if the node
// is back.
func (s *roamer) leavesOut(message *posted, away absences) bool {
	const while = 2 * time.Second // twice cluster_wait
	for _, v := range s.visits {
		entered := v.first // at the latest
		if entered.IsZero() {
			entered = v.dialed.Add(while)
		}
		if message.begun.Before(v.dialed) || message.begun.After(entered.Add(while)) {
			continue
		}
		for _, one := range away[[2]string{v.to.name, message.node}] {
			if one.from.Before(entered) && one.to.After(v.dialed) {
				return true
			}
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// around says where a session was at some time.
func (s *roamer) around(at time.Time) string {
	var told []string
	for _, v := range s.visits {
		if v.dialed.After(at.Add(-4*time.Second)) && v.dialed.Before(at.Add(4*time.Second)) {
			first := "nothing read"
			if !v.first.IsZero() {
				first = "read from " + v.first.Format(time.StampMicro) + " on"
			}
			told = append(told, fmt.Sprintf("at %s from %s, %s", v.to.name, v.dialed.Format(time.StampMicro), first))
		}
	}
	return strings.Join(told, "; ")
}
