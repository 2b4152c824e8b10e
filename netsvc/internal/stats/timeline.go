package stats

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
)

// How much a Timeline keeps, and that takes at most.
const (
	MaxTimelineBytes = 1 << 20
	keptApps         = 100
	maxCandidates    = 200 // apps that may take the place of one of them
)

// The steps of a Timeline: seconds for ten minutes, minutes for three hours, ten minutes
// for a day. An app has no seconds.
const (
	secondSlots = 600
	minuteSlots = 180
	tenSlots    = 144
	// Longest is how far a Timeline looks back.
	Longest = 24 * time.Hour
)

// The numbers of a slot, which stands for a step. An app's slot has those of before fewest.
const (
	measured = iota // seconds of the step; 0: nothing is known of it
	sessions        // most at once
	messages
	unmet
	delivered
	refused  // registrations
	requests // of senders, refused
	fewest   // sessions
	p50      // microseconds; 0: no messages with a recipient
	p99
	slotNumbers
	appNumbers = fewest
)

// All that is kept, some 700 bytes beside the slots of an app with it, fits the bound.
const _ = uint(MaxTimelineBytes - 4*slotNumbers*(secondSlots+minuteSlots+tenSlots) -
	keptApps*(4*appNumbers*(minuteSlots+tenSlots)+700) - 80*maxCandidates)

// Timeline remembers what the last day was like: of all, and of the apps where most went
// on. Recorder writes it from the counters that it reads each second. Its methods may be
// called concurrently.
type Timeline struct {
	mu         sync.Mutex
	at         int64 // the second of the last record
	all        [3]series
	latency    []bucket    // at the last record
	since      [3][]bucket // at the begin of the step that is going on, for each of all
	apps       map[string]*appSeries
	candidates map[string]float64 // what went on this minute in apps that are not kept
	minute     int64              // that is going on
}

// appSeries is the past of an app.
type appSeries struct {
	slots  [2]series
	lately float64 // what went on in it, mostly in the last minutes
	now    float64 // in this minute
}

// series are slots for the last so many steps.
type series struct {
	step  int64 // seconds
	width int   // numbers of a slot
	kept  int   // slots
	// numbers has the slot of the step t/step at that modulo kept.
	numbers []uint32
	last    int64 // the newest step, counted from 1970; 0: there is none
}

func newSeries(step time.Duration, kept, width int) series {
	return series{step: int64(step / time.Second), width: width, kept: kept, numbers: make([]uint32, kept*width)}
}

func newTimeline() *Timeline {
	return &Timeline{
		all: [3]series{
			newSeries(time.Second, secondSlots, slotNumbers),
			newSeries(time.Minute, minuteSlots, slotNumbers),
			newSeries(10*time.Minute, tenSlots, slotNumbers),
		},
		apps:       make(map[string]*appSeries, keptApps),
		candidates: make(map[string]float64, maxCandidates),
	}
}

func newAppSeries() *appSeries {
	return &appSeries{slots: [2]series{
		newSeries(time.Minute, minuteSlots, appNumbers),
		newSeries(10*time.Minute, tenSlots, appNumbers),
	}}
}

// slot returns the slot of a step, which must be one of the last kept.
func (s *series) slot(step int64) []uint32 {
	at := int(step%int64(s.kept)) * s.width
	return s.numbers[at : at+s.width]
}

// begin returns the slot of a second, and reports whether its step has just begun.
func (s *series) begin(at int64) (slot []uint32, begun bool) {
	step := at / s.step
	if step <= s.last-int64(s.kept) || step-s.last >= int64(s.kept) { // also if the clock was set back
		clear(s.numbers)
		s.last = step
		return s.slot(step), true
	}
	begun = step > s.last
	for s.last < step {
		s.last++
		clear(s.slot(s.last))
	}
	return s.slot(step), begun
}

// add counts n in a slot, as far as there is room for the number.
func add(slot []uint32, number int, n uint64) {
	slot[number] = uint32(min(uint64(slot[number])+n, math.MaxUint32))
}

// since is what a counter grew by; one that counts from 0 again has not.
func since(before, now uint64) uint64 {
	if now < before {
		return 0
	}
	return now - before
}

// record writes down what happened between two readings of the counters.
func (t *Timeline) record(before, now *sample, latency []bucket) {
	elapsed := max(int64(math.Round(now.at.Sub(before.at).Seconds())), 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	// A tick that comes a little late or early belongs to its own second nevertheless.
	wall := now.at.Unix()
	if t.at += elapsed; t.at < wall-1 || t.at > wall+1 {
		t.at = wall
	}
	for i := range t.all {
		s := &t.all[i]
		slot, begun := s.begin(t.at)
		if begun {
			t.since[i] = t.latency
		}
		add(slot, measured, uint64(min(elapsed, s.step)))
		count(slot, now.hub.Sessions, before.hub.Traffic, now.hub.Traffic)
		if n := uint32(now.hub.Sessions); begun || slot[measured] == uint32(elapsed) || n < slot[fewest] {
			slot[fewest] = n
		}
		add(slot, refused, since(sum(before.hub.Refused), sum(now.hub.Refused)))
		add(slot, requests, since(sum(before.http.Refused), sum(now.http.Refused)))
		if q := between(t.since[i], latency); q.Messages > 0 {
			slot[p50], slot[p99] = uint32(q.P50.Microseconds()), uint32(q.P99.Microseconds())
		}
	}
	t.latency = latency
	t.recordApps(before, now, elapsed)
}

// count counts what all slots have.
func count(slot []uint32, connected int, before, now hub.Traffic) {
	slot[sessions] = max(slot[sessions], uint32(connected))
	add(slot, messages, since(before.Messages, now.Messages))
	add(slot, unmet, since(before.NoRecipient, now.NoRecipient))
	add(slot, delivered, since(before.Delivered, now.Delivered))
}

// recordApps writes down what happened in the apps. The caller holds mu.
func (t *Timeline) recordApps(before, now *sample, elapsed int64) {
	if minute := t.at / 60; minute != t.minute {
		t.chooseApps(now)
		t.minute = minute
	}
	if len(now.apps) <= 2*keptApps || t.at%lookEvery == 0 {
		t.lookAtOthers(before, now)
	}
	for id, a := range t.apps {
		was, after := before.apps[id], now.apps[id]
		wrong := since(was.Refused, after.Refused)
		refusals := since(before.http.RefusedByApp[id], now.http.RefusedByApp[id])
		a.now += activity(was, after)
		for i := range a.slots {
			s := &a.slots[i]
			slot, _ := s.begin(t.at)
			add(slot, measured, uint64(min(elapsed, s.step)))
			count(slot, after.Sessions, was.Traffic, after.Traffic)
			add(slot, refused, wrong)
			add(slot, requests, refusals)
		}
	}
}

// lookEvery is how often, in seconds, many apps are looked at whose history is not kept.
const lookEvery = 5

// activity is how much went on in an app in a second.
func activity(was, after hub.AppStats) float64 {
	return float64(since(was.Messages, after.Messages)+since(was.Delivered, after.Delivered)+
		since(was.Refused, after.Refused)) +
		float64(after.Sessions)/60
}

// lookAtOthers finds apps where more goes on than in those whose history is kept, or for
// which there is room. The caller holds mu.
func (t *Timeline) lookAtOthers(before, now *sample) {
	weight := 1.0
	if len(now.apps) > 2*keptApps {
		weight = lookEvery
	}
	for id, after := range now.apps {
		if t.apps[id] != nil {
			continue
		}
		busy := activity(before.apps[id], after)
		_, known := t.candidates[id]
		switch {
		case busy == 0:
		case len(t.apps) < keptApps:
			t.apps[id] = newAppSeries()
		case known || len(t.candidates) < maxCandidates:
			t.candidates[id] += weight * busy
		}
	}
}

// chooseApps ends a minute: apps that are gone are forgotten, and one where much less goes
// on than in another gives its place to that. The caller holds mu.
func (t *Timeline) chooseApps(now *sample) {
	for id, a := range t.apps {
		if _, there := now.apps[id]; !there {
			delete(t.apps, id)
			continue
		}
		a.lately, a.now = a.lately*7/8+a.now/8, 0
	}
	quietest := slices.SortedFunc(maps.Keys(t.apps), func(a, b string) int {
		return cmp.Compare(t.apps[a].lately, t.apps[b].lately)
	})
	busiest := slices.SortedFunc(maps.Keys(t.candidates), func(a, b string) int {
		return cmp.Compare(t.candidates[b], t.candidates[a])
	})
	for i, id := range busiest[:min(len(busiest), len(quietest))] {
		if t.candidates[id] <= 2*t.apps[quietest[i]].lately {
			break
		}
		delete(t.apps, quietest[i])
		t.apps[id] = newAppSeries()
		t.apps[id].lately = t.candidates[id] / 8
	}
	clear(t.candidates)
}

// History returns the last span, at most Longest, in the smallest steps that are kept for
// all of it; appID may be empty, for all apps.
func (t *Timeline) History(appID string, span time.Duration, now time.Time) control.History {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := control.History{AppID: appID, Kept: true, To: now.UTC(), Points: []control.HistoryPoint{}}
	all := t.all[:]
	if a := t.apps[appID]; a != nil {
		all = a.slots[:]
	} else if appID != "" {
		all, h.Kept = newAppSeries().slots[:], false
	}
	s := &all[len(all)-1]
	for i := range all {
		if span <= time.Duration(all[i].step*int64(all[i].kept))*time.Second {
			s = &all[i]
			break
		}
	}
	h.StepSeconds = int(s.step)
	last := now.Unix() / s.step
	first := last - max(int64(span/time.Second)/s.step, 1) + 1
	h.From = time.Unix(first*s.step, 0).UTC()
	for step := max(first, s.last-int64(s.kept)+1); step <= min(last, s.last); step++ {
		if slot := s.slot(step); slot[measured] > 0 {
			h.Points = append(h.Points, pointOf(slot, time.Unix(step*s.step, 0)))
		}
	}
	return h
}

func pointOf(slot []uint32, begin time.Time) control.HistoryPoint {
	p := control.HistoryPoint{
		Time: begin.UTC(), Seconds: int(slot[measured]), Sessions: int(slot[sessions]),
		Messages: uint64(slot[messages]), NoRecipient: uint64(slot[unmet]), Delivered: uint64(slot[delivered]),
		Refused: uint64(slot[refused]), RequestsRefused: uint64(slot[requests]),
	}
	if len(slot) == slotNumbers {
		least := int(slot[fewest])
		p.FewestSessions = &least
		if slot[p99] > 0 {
			half, most := float64(slot[p50])/1e6, float64(slot[p99])/1e6
			p.P50, p.P99 = &half, &most
		}
	}
	return p
}
