package stats_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/stats"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// after lets the time pass, a tick of the recorder included that falls on its end.
func after(d time.Duration) {
	time.Sleep(d + time.Millisecond)
	synctest.Wait()
	time.Sleep(-time.Millisecond + time.Second/2)
	synctest.Wait()
}

// busy counts what happened in an app.
func (d *daemon) busy(id string, connected int, messages, delivered uint64) {
	d.set(func() {
		apps := make(map[string]hub.AppStats, len(d.apps)+1) // the recorder has the former ones
		for other, st := range d.apps {
			apps[other] = st
		}
		st := apps[id]
		st.Sessions = connected
		st.Messages += messages
		st.Delivered += delivered
		apps[id] = st
		d.apps = apps
		d.hub.Sessions = connected
		d.hub.Messages += messages
		d.hub.Delivered += delivered
	})
}

func sumOf(h control.History) (delivered uint64, seconds int) {
	for _, p := range h.Points {
		delivered += p.Delivered
		seconds += p.Seconds
	}
	return delivered, seconds
}

func TestTheLastDayIsKeptInStepsThatFit(t *testing.T) {
	t.Parallel()
	d := newDaemon()
	s := d.sources()
	past, record := stats.NewPast(s)
	now := time.Date(2026, 11, 26, 8, 0, 30, 0, time.UTC)
	for minute := range 26 * 60 {
		d.busy("a", 5+minute%2, 1, 60)
		d.set(func() { d.hub.Refused = map[wire.Reason]uint64{hub.ReasonWrongHMAC: uint64(minute)} })
		s.Latency.Observe(time.Millisecond)
		now = now.Add(time.Minute)
		record(now)
	}
	for _, tt := range []struct {
		app          string
		span         time.Duration
		step, points int
		delivered    uint64
	}{
		{"", 10 * time.Minute, 1, 10, 600}, // it was asked once a minute here
		{"", time.Hour, 60, 60, 3600},
		{"", 3 * time.Hour, 60, 180, 180 * 60},
		{"", 4 * time.Hour, 600, 24, 24*600 - 540}, // the last of them has just begun
		{"", 24 * time.Hour, 600, 144, 144*600 - 540},
		{"a", time.Minute, 60, 1, 60},
		{"a", 3 * time.Hour, 60, 180, 180 * 60},
		{"a", 24 * time.Hour, 600, 144, 144*600 - 540},
	} {
		h := past.History(tt.app, tt.span, now)
		if n, _ := sumOf(h); !h.Kept || h.StepSeconds != tt.step || len(h.Points) != tt.points || n != tt.delivered {
			t.Errorf("%q %v: kept %v, %d points of %d s with %d deliveries; want %d of %d with %d",
				tt.app, tt.span, h.Kept, len(h.Points), h.StepSeconds, n, tt.points, tt.step, tt.delivered)
		}
	}
	h := past.History("", 4*time.Hour, now)
	p := h.Points[10]
	if p.Seconds != 600 || p.Messages != 10 || p.Refused != 10 || p.P50 == nil || *p.P50 > 0.002 || p.Sessions != 6 ||
		*p.FewestSessions != 5 || !p.Time.Equal(p.Time.Truncate(10*time.Minute)) {
		t.Errorf("ten minutes are %+v", p)
	}
	if p := past.History("a", 4*time.Hour, now).Points[10]; p.Sessions != 6 || p.Messages != 10 ||
		p.FewestSessions != nil || p.P50 != nil {
		t.Errorf("ten minutes of an app are %+v", p)
	}
}

// A service that has just been started shows what it has, and how long it has been measured.
func TestThePastBeginsWithTheFirstSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		r := stats.New(d.sources())
		defer run(t, r)()
		for range 5 {
			d.busy("a", 2, 1, 10)
			time.Sleep(time.Second)
		}
		after(0)
		for span, step := range map[time.Duration]int{10 * time.Minute: 1, 3 * time.Hour: 60, 24 * time.Hour: 600} {
			h := r.Timeline().History("", span, time.Now())
			if n, seconds := sumOf(h); n != 50 || seconds != 5 || h.StepSeconds != step {
				t.Errorf("%v: %d deliveries in %d s, by %d s", span, n, seconds, h.StepSeconds)
			}
		}
		if h := r.Timeline().History("other", time.Hour, time.Now()); h.Kept || len(h.Points) > 0 {
			t.Errorf("an app without anything has %+v", h)
		}
	})
}

func TestThePastSurvivesAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		before := stats.New(d.sources())
		stop := run(t, before)
		for range 200 {
			d.busy("a", 3, 1, 7)
			time.Sleep(time.Second)
		}
		after(0)
		stop()
		saved := before.Timeline().Save()
		second := stats.New(newDaemon().sources())
		if err := second.Timeline().Restore(saved); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"", "a"} {
			for _, span := range []time.Duration{10 * time.Minute, 3 * time.Hour, 24 * time.Hour} {
				want, got := before.Timeline().History(id, span, time.Now()), second.Timeline().History(id, span,
					time.Now())
				if diff := cmp.Diff(want, got); diff != "" || len(got.Points) == 0 {
					t.Errorf("%q %v after a hand-over (-before +after):\n%s", id, span, diff)
				}
			}
		}
		defer run(t, second)()
		after(3 * time.Second)
		if n, _ := sumOf(second.Timeline().History("", time.Hour, time.Now())); n != 1400 {
			t.Errorf("%d deliveries after it went on, want 1400", n)
		}
	})
}

func TestWhatCannotBeReadIsNotThePast(t *testing.T) {
	t.Parallel()
	empty, _ := stats.NewPast(newDaemon().sources())
	saved := empty.Save()
	for i := range saved {
		past, _ := stats.NewPast(newDaemon().sources())
		if err := past.Restore(saved[:i]); err == nil {
			t.Errorf("%d bytes of %d are taken for the past", i, len(saved))
		}
	}
	if err := empty.Restore(append(saved, 0)); err == nil {
		t.Error("a byte too many is not noticed")
	}
}

func FuzzRestore(f *testing.F) {
	empty, _ := stats.NewPast(newDaemon().sources())
	f.Add(empty.Save())
	f.Add([]byte{1})
	f.Add([]byte{1, 5, 0, 3})
	f.Fuzz(func(t *testing.T, text []byte) {
		one, _ := stats.NewPast(newDaemon().sources())
		if one.Restore(text) != nil {
			return
		}
		again, _ := stats.NewPast(newDaemon().sources())
		if err := again.Restore(one.Save()); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		now := time.Unix(1_800_000_000, 0)
		if diff := cmp.Diff(one.History("", stats.Longest, now), again.History("", stats.Longest, now)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// With more apps than are kept, those where most goes on are.
func TestTheBusiestAppsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon()
		r := stats.New(d.sources())
		defer run(t, r)()
		for i := range 150 {
			d.busy(fmt.Sprint("quiet", i), 1, 1, 1)
		}
		after(2 * time.Second)
		for range 5 * 60 {
			d.busy("busy", 1, 10, 1000)
			time.Sleep(time.Second)
		}
		after(0)
		if h := r.Timeline().History("busy", time.Hour, time.Now()); !h.Kept || len(h.Points) < 3 {
			t.Errorf("the busiest app is not kept: %d points", len(h.Points))
		}
		kept := 0
		for i := range 150 {
			if r.Timeline().History(fmt.Sprint("quiet", i), time.Hour, time.Now()).Kept {
				kept++
			}
		}
		if kept != 99 {
			t.Errorf("%d others are kept, want 99", kept)
		}
		d.set(func() { d.apps = map[string]hub.AppStats{"busy": d.apps["busy"]} })
		after(2 * time.Minute)
		if r.Timeline().History("quiet0", time.Hour, time.Now()).Kept ||
			r.Timeline().History("quiet149", time.Hour, time.Now()).Kept {
			t.Error("apps that were removed are kept")
		}
	})
}

// It is not parallel: what others take would be counted.
func TestTheWholePastTakesAMebibyteAtMost(t *testing.T) {
	d := newDaemon()
	for i := range 1000 {
		d.busy(fmt.Sprintf("%036d", i), 1, 1, 1)
	}
	s := d.sources()
	now := time.Unix(1_800_000_000, 0)
	taken := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, record := stats.NewPast(s)
			record(now)
		}
	})
	most := int64(stats.MaxTimelineBytes)
	if n := taken.AllocedBytesPerOp(); n > most || n < most/2 {
		t.Errorf("a full timeline takes %d bytes, want up to %d", n, most)
	}
}

func BenchmarkRecord(b *testing.B) {
	d := newDaemon()
	for i := range 1000 {
		d.busy(fmt.Sprintf("%036d", i), 1, 1, 1)
	}
	_, record := stats.NewPast(d.sources())
	now := time.Unix(1_800_000_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		record(now)
	}
}
