package hub

import "testing"

func TestPendingListYieldsTheOneSilentLongest(t *testing.T) {
	t.Parallel()
	var l pendingList
	a, b, c, d := new(session), new(session), new(session), new(session)
	for i, s := range []*session{a, b, c, d} {
		if n := l.add(s); n != i+1 {
			t.Fatalf("%d listed, want %d", n, i+1)
		}
	}
	l.touch(a) // b c d a
	l.touch(c) // b d a c
	if !l.remove(d) || l.remove(d) {
		t.Fatal("removing reports wrongly whether it was listed")
	}
	l.touch(d) // no longer listed: nothing happens
	for i, want := range []*session{b, a, c, nil} {
		if got := l.takeSilent(); got != want {
			t.Fatalf("taken %d: got %p, want %p", i, got, want)
		}
	}
	if l.len() != 0 {
		t.Fatalf("%d left", l.len())
	}
}
