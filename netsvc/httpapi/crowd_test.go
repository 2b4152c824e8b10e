package httpapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/httpapi"
)

// TestIdleStrangersGiveWay: whoever opens connections without a key cannot keep others
// out, and the senders that have proved themselves stay.
func TestIdleStrangersGiveWay(t *testing.T) {
	t.Parallel()
	const most = 4
	s := start(t, httpapi.Options{Limits: httpapi.Limits{MaxSenders: most}}, nil)
	token := s.token(s.newApp("one"))
	sender := s.raw()
	sender.writeHeader(sendHeader(token, length(toAll))...)
	sender.write(toAll)
	sender.read().wantSent(t, 0)
	var strangers []*rawConn
	for range 3 * most {
		c := s.raw()
		c.writeHeader("GET /nowhere HTTP/1.1", "Host: pns")
		c.read().wantError(t, http.StatusNotFound, "")
		strangers = append(strangers, c)
	}
	if n := s.http.Connections(); n > most {
		t.Errorf("%d connections are open, %d are allowed", n, most)
	}
	for _, c := range strangers[:2*most] { // the oldest
		if _, err := io.ReadAll(c.in); err != nil {
			t.Errorf("the oldest strangers: %v", err)
		}
	}
	sender.writeHeader(sendHeader(token, length(toAll))...)
	sender.write(toAll)
	sender.read().wantSent(t, 0)
	if got := s.http.Stats().Refused[httpapi.ReasonTooManySenders]; got != 3*most+1-most {
		t.Errorf("%d gave way", got)
	}
	if n := s.log.Count("reason=too_many_senders"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// TestAStrangerIsNotWaitedFor: a connection without a successful request is closed
// soon, one with is kept.
func TestAStrangerIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{}, within(2*time.Second, patience, short))
	token := s.token(s.newApp("one"))
	sender := s.raw()
	sender.writeHeader(sendHeader(token, length(toAll))...)
	sender.write(toAll)
	sender.read().wantSent(t, 0)
	stranger := s.raw()
	stranger.writeHeader("GET /nowhere HTTP/1.1", "Host: pns")
	stranger.read().wantError(t, http.StatusNotFound, "")
	stranger.wantClosed()
	s.raw().wantClosed() // nor one that says nothing
	sender.writeHeader(sendHeader(token, length(toAll))...)
	sender.write(toAll)
	sender.read().wantSent(t, 0)
	eventually(t, "the strangers to be gone", func() bool { return s.http.Connections() == 1 })
}

// TestOneRequestUnderWayIsNeverCutForRoom: it is not idle.
func TestOneRequestUnderWayIsNeverCutForRoom(t *testing.T) {
	t.Parallel()
	s := start(t, httpapi.Options{Limits: httpapi.Limits{MaxSenders: 1}}, nil)
	token := s.token(s.newApp("one"))
	c := s.raw()
	c.writeHeader(sendHeader(token, length(toAll), "Expect: 100-continue")...)
	if line, err := c.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("got %q, %v", line, err)
	}
	c.in.ReadString('\n')
	s.raw().wantClosed() // there is no room for it
	c.write(toAll)
	c.read().wantSent(t, 0)
}
