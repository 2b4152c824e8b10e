package netsvc

import (
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
)

// A process that takes sessions over and does not go on as the node leaves the others the time in which a
// message may be under way, from then on: for how long it has run before says nothing.
func TestASuccessorThatIsNotTheNodeWaitsBeforeItServesItsOwn(t *testing.T) {
	t.Parallel()
	s := new(Server)
	s.settings.Store(&config.Config{ClusterWait: time.Hour})
	m := &membership{server: s, outside: time.Now().Add(-2 * time.Hour)}
	if !(elsewhere{m}).Settled() {
		t.Error("one that has been in no cluster for long does not serve its own")
	}
	m.adopt(nil)
	if (elsewhere{m}).Settled() {
		t.Error("it serves its own at once")
	}
}
