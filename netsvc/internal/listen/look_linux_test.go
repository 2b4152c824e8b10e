package listen

import (
	"testing"

	"github.com/pns4ones/pns4ones/config"
)

func TestReadsTheKernelsTableOfSockets(t *testing.T) {
	t.Parallel()
	const (
		loopback = "   0: 0100007F:8F58 00000000:0000 0A 00000000:00000001 00:00000000 00000000   107        0 3928172 3 0 100 0 0 10 0"
		anywhere = "   1: 00000000000000000000000000000000:8F58 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   107        0 1 1 0 100 0 0 10 0"
		open     = "   2: 0100007F:8F58 0100007F:9999 01 00000000:00000001 00:00000000 00000000   107        0 3928172 3 0 100 0 0 10 0"
	)
	for _, test := range []struct {
		line, address string
		want          bool
	}{
		{loopback, "127.0.0.1:36696", true},
		{loopback, "localhost:36696", true},
		{loopback, "*:36696", true},
		{loopback, "192.168.10.3:36696", false},
		{loopback, "[::1]:36696", false},
		{loopback, "127.0.0.1:36695", false},
		{loopback, "127.0.0.1:0", false},
		{anywhere, "192.168.10.3:36696", true},
		{anywhere, "192.168.10.0:36696", true},
		{open, "127.0.0.1:36696", false},
		{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", "*:36696", false},
		{"   0: nonsense:zz 0 0A 0 0 0 107", "*:36696", false},
	} {
		address, err := config.ParseAddress(test.address, 0)
		if err != nil {
			t.Fatal(err)
		}
		at, user, listens := parseSocket(test.line)
		if got := listens && overlaps(address, at); got != test.want {
			t.Errorf("%s and %.40s: %t", test.address, test.line, got)
		}
		if listens && user != "107" {
			t.Errorf("the user is %q", user)
		}
	}
}
