package failurelog_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/internal/failurelog"
)

func newLog(out *bytes.Buffer) *failurelog.Log {
	return failurelog.New(slog.New(slog.NewTextHandler(out, nil)), "refused")
}

func TestLogsTheFirstFailureAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLog(&out)
		peer := netip.MustParseAddr("10.0.0.7")
		for range 813 {
			l.Report(peer, "wrong_hmac", "a")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		records := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(records) != 2 || !strings.Contains(records[1], "more=812") {
			t.Fatalf("813 equal failures, want one record and a summary with more=812, got:\n%s", out.String())
		}
		l.Close()
	})
}

func TestLogsAgainAfterASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := newLog(&out)
		peer := netip.MustParseAddr("10.0.0.7")
		l.Report(peer, "wrong_hmac", "")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.Report(peer, "wrong_hmac", "")
		l.Close()
		if got := strings.Count(out.String(), "msg=refused"); got != 2 {
			t.Fatalf("got %d records, want 2:\n%s", got, out.String())
		}
	})
}

func TestTellsPeersAndReasonsApart(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out)
	defer l.Close()
	l.Report(netip.MustParseAddr("10.0.0.7"), "wrong_hmac", "")
	l.Report(netip.MustParseAddr("10.0.0.8"), "wrong_hmac", "")
	l.Report(netip.MustParseAddr("10.0.0.8"), "unknown_app", "")
	l.Report(netip.MustParseAddr("::ffff:10.0.0.8"), "unknown_app", "")
	if got := strings.Count(out.String(), "\n"); got != 3 {
		t.Fatalf("got %d records, want 3:\n%s", got, out.String())
	}
}

func TestOneAppDoesNotHideAnotherOfTheSameAddress(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out)
	peer := netip.MustParseAddr("10.0.0.7")
	for _, app := range []string{"a", "a", "b", "", "a"} {
		l.Report(peer, "bad_request", app)
	}
	l.Close()
	records := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(records) != 4 || !strings.HasSuffix(records[1], "app=b") || strings.Contains(records[2], "app=") ||
		!strings.HasSuffix(records[3], "app=a more=2") {
		t.Fatalf("want a record for each app, and then 2 more of app a, got:\n%s", out.String())
	}
}

// TestAFloodOfPeersDoesNotHideAnApp: what no longer fits by address is still told
// apart by app, within bounds.
func TestAFloodOfPeersDoesNotHideAnApp(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out)
	for i := range 2000 {
		l.Report(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/250, i%250)), "wrong_hmac", "a")
	}
	out.Reset()
	l.Report(netip.MustParseAddr("10.1.0.1"), "wrong_hmac", "b")
	if !strings.Contains(out.String(), "app=b") {
		t.Errorf("the first refusal of app b is not there: %q", out.String())
	}
	for i := range 5000 {
		l.Report(netip.MustParseAddr("10.1.0.1"), "wrong_hmac", fmt.Sprint("app-", i))
	}
	l.Close()
	if got := strings.Count(out.String(), "\n"); got > 2100 {
		t.Errorf("5000 apps wrote %d records", got)
	}
}

func TestIsBoundedUnderAFloodOfPeers(t *testing.T) {
	var out bytes.Buffer
	l := newLog(&out)
	for i := range 5000 {
		l.Report(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", i/250, i%250)), "wrong_hmac", "")
	}
	l.Close()
	if got := strings.Count(out.String(), "\n"); got > 1100 {
		t.Fatalf("5000 peers wrote %d records, want about 1024", got)
	}
	if !strings.Contains(out.String(), "peer=others") {
		t.Fatal("what did not fit was not summarised")
	}
}
