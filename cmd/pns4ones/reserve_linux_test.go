package main

import "testing"

func TestAddsPortsToWhatOthersReserved(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		list    string
		ports   []int
		want    string
		changed bool
	}{
		{"\n", []int{36696, 36695}, "36696,36695", true},
		{"8080,9148\n", []int{36696, 36695}, "8080,9148,36696,36695", true},
		{"8080,36690-36700\n", []int{36696, 36695}, "8080,36690-36700", false},
		{"36695-36696", []int{36696, 36695, 36698}, "36695-36696,36698", true},
		{"36696", []int{36696, 36696, 0}, "36696", false},
		{"", []int{443, 443}, "443", true},
	} {
		if got, changed := addPorts(tt.list, tt.ports); got != tt.want || changed != tt.changed {
			t.Errorf("%q and %d: %q, %v; want %q, %v", tt.list, tt.ports, got, changed, tt.want, tt.changed)
		}
	}
}
