package main

import "testing"

func TestAddressToConnectToIsOfThisMachine(t *testing.T) {
	t.Parallel()
	for listened, want := range map[string]string{
		"*:36695":           "127.0.0.1:36695",
		"localhost:41233":   "127.0.0.1:41233",
		"192.168.10.3:9062": "192.168.10.3:9062",
		"srv.example:7777":  "srv.example:7777",
		"[fd00::1]:36695":   "[fd00::1]:36695",
		"127.0.0.0/8:8270":  "127.0.0.1:8270", // the network of the loopback interface
		"224.0.0.0/8:8270":  "",               // multicast: no interface is inside
		"[ff00::/8]:8270":   "",
		"nonsense":          "",
	} {
		got, err := reachable(listened)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("for %s it is %q, %v, want %q", listened, got, err, want)
		}
	}
}
