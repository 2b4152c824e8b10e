package server_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
	"github.com/pns4ones/pns4ones/netsvc/control/socket/sockettest"
	"github.com/pns4ones/pns4ones/netsvc/internal/history"
)

func TestARequestForAnotherNodeIsAnsweredThere(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	here, there := sv.nodes[0], sv.nodes[1]
	there.newApp("of the other one")
	on := here.On("web2")
	if err := on.SetLogLevel(t.Context(), "Error"); err != nil {
		t.Fatal(err)
	}
	if here.level == config.LevelError || there.level != config.LevelError {
		t.Errorf("the levels are %v here and %v there", here.level, there.level)
	}
	for name, d := range map[string]*daemon{"there": there, "here": here} {
		if logged := d.log.Count(`action="change log level"`); (logged == 1) != (d == there) {
			t.Errorf("%s: logged %d times", name, logged)
		}
	}
	var copied bytes.Buffer
	if err := on.Backup(t.Context(), &copied); err != nil {
		t.Fatal(err)
	}
	if want, err := there.apps.Backup(); err != nil || !bytes.Equal(copied.Bytes(), want) {
		t.Errorf("a backup of %d bytes, want %d: %v", copied.Len(), len(want), err)
	}
	// What the other one refuses is refused.
	err := on.SetLogLevel(t.Context(), "loud")
	refused(t, err, http.StatusBadRequest, control.CodeBadRequest)
	got := here.do("GET", "/v1/status?node=web2&colour=red", "")
	if got.status != http.StatusBadRequest || !strings.Contains(got.body, "colour") {
		t.Errorf("an unknown parameter: %d %s", got.status, got.body)
	}
	if got := here.do("GET", "/v1/status?node=web2", ""); got.header.Get(control.VersionHeader) != "1.2.3" ||
		len(got.header.Values(control.VersionHeader)) != 1 {
		t.Errorf("versions %v", got.header.Values(control.VersionHeader))
	}
}

func TestARequestForThisNodeByNameIsAnsweredHere(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	here := sv.nodes[0]
	if err := here.On("web1").SetLogLevel(t.Context(), "Error"); err != nil || here.level != config.LevelError {
		t.Errorf("the level is %v: %v", here.level, err)
	}
	for _, query := range []string{"?node=web1&node=web2", "?node=web1;x"} {
		if got := here.do("GET", "/v1/status"+query, ""); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

func TestANodeThatCannotBeAskedIsNamed(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2, func(o *server.Options) { o.Nodes.Patience = 50 * time.Millisecond })
	here := sv.nodes[0]
	_, err := here.On("web9").Status(t.Context())
	refused(t, err, http.StatusNotFound, control.CodeNodeNotFound)
	for _, how := range []away{lost, silent} {
		sv.turn("web2", how)
		_, err := here.On("web2").Status(t.Context())
		refused(t, err, http.StatusServiceUnavailable, control.CodeNodeUnreachable)
		if e, ok := errors.AsType[*control.Error](err); !ok || e.Node != "web2" {
			t.Errorf("the error does not name it: %+v", err)
		}
	}
	alone := start(t, nil)
	_, err = alone.On("web2").Status(t.Context())
	refused(t, err, http.StatusConflict, control.CodeNoCluster)
}

func TestARequestThatIsTooLargeIsRefusedBeforeItIsCarried(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	got := sv.nodes[0].do("PUT", "/v1/log-level?node=web2", strings.Repeat(" ", 1<<20+1))
	if got.status != http.StatusRequestEntityTooLarge || got.code(t) != control.CodeTooLarge {
		t.Errorf("%d %s", got.status, got.body)
	}
	var keys bytes.Buffer
	keys.WriteString(strings.Repeat("\n", 2<<20))
	if _, err := sv.nodes[0].On("web2").Import(t.Context(), &keys); err != nil {
		if e, ok := errors.AsType[*control.Error](err); !ok || e.Code == control.CodeTooLarge {
			t.Errorf("a large file for a route that takes one: %v", err)
		}
	}
}

func TestAStreamOfAnotherNodeIsFollowed(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	here, there := sv.nodes[0], sv.nodes[1]
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := make(chan control.Event)
	ended := make(chan error, 1)
	go func() {
		ended <- here.On("web2").Events(ctx, control.EventQuery{Kinds: []string{control.EventAppChanged}}, true,
			func(e control.Event) error {
				events <- e
				return nil
			})
	}()
	eventually(t, "the stream to be followed", func() bool {
		s, err := there.Status(t.Context())
		return err == nil && s.Followers == 1
	})
	there.history.AppChanged("1", "one", history.AppRenamed)
	if e := <-events; e.Title != "one" {
		t.Errorf("told of %+v", e)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	eventually(t, "the other node to notice", func() bool {
		s, err := there.Status(t.Context())
		return err == nil && s.Followers == 0
	})
}

func TestAStreamOfAnotherNodeEndsWithThisOne(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	here, there := sv.nodes[0], sv.nodes[1]
	ended, records := make(chan error, 1), make(chan control.LogRecord, 100)
	go func() {
		ended <- here.On("web2").Logs(context.Background(), control.LogQuery{}, true, func(r control.LogRecord) error {
			records <- r
			return nil
		})
	}()
	eventually(t, "the stream to be followed", func() bool {
		s, err := there.Status(t.Context())
		return err == nil && s.Followers == 1
	})
	if err := there.SetLogLevel(t.Context(), "Debug"); err != nil {
		t.Fatal(err)
	}
	<-records // the answer has begun here, too
	here.stop()
	if err := <-ended; !errors.Is(err, control.ErrEnded) {
		t.Errorf("ended with %v", err)
	}
}

// carried is a listener of connections that another node vouches for.
type carried struct {
	net.Listener
	caller socket.Peer
}

func (l carried) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return server.NodeConn{Conn: c, Caller: l.caller}, err
}

func TestWhoeverANodeVouchesForIsAdmittedAndNamed(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	there := sv.nodes[1]
	path := sockettest.Path(t)
	ln, err := socket.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	caller := socket.Peer{UID: 1001, User: "ann", PID: 7, Known: true, Node: "web1"}
	go func() { served <- there.server.ServeNodes(carried{ln, caller}) }()
	client := control.NewClient(path)
	defer client.Close()
	if err := client.SetLogLevel(t.Context(), "Error"); err != nil {
		t.Fatal(err)
	}
	if there.log.Count("uid=1001 user=ann from_node=web1") != 1 {
		t.Errorf("the log does not say who it was:\n%s", there.log)
	}
	// It is not carried on to yet another one.
	_, err = client.On("web1").Status(t.Context())
	refused(t, err, http.StatusNotFound, control.CodeNodeNotFound)
	ln.Close()
	if err := <-served; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if _, err := there.Status(t.Context()); err != nil {
		t.Errorf("its own channel: %v", err)
	}
}

// Whoever looks for a node that is away, each second perhaps, does not fill the log with it.
func TestThatANodeIsAwayIsNotLoggedEachTime(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	sv.turn("web2", lost)
	_, err := sv.nodes[0].On("web2").Status(t.Context())
	refused(t, err, http.StatusServiceUnavailable, control.CodeNodeUnreachable)
	if n := sv.nodes[0].log.Count("control request failed"); n != 0 {
		t.Errorf("it is logged %d times", n)
	}
}
