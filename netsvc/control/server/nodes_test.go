package server_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/app"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/control/server"
	"github.com/pns4ones/pns4ones/netsvc/control/socket"
)

// service is several daemons that are one cluster: each asks the others through their own
// channels.
type service struct {
	t     *testing.T
	nodes []*daemon

	mu   sync.Mutex
	away map[string]away
}

// away is how a node cannot be asked.
type away int

const (
	there  away = iota
	lost        // and known to be
	silent      // it does not answer
)

func nodeName(i int) string { return "web" + strconv.Itoa(i+1) }

// startService runs so many daemons until the end of the test. more sets further options of
// each.
func startService(t *testing.T, count int, more ...func(*server.Options)) *service {
	t.Helper()
	sv := &service{t: t, away: make(map[string]away)}
	for i := range count {
		set := append([]func(*server.Options){func(o *server.Options) { o.Nodes = sv.nodesOf(i) }}, more...)
		sv.nodes = append(sv.nodes, start(t, nil, set...))
	}
	return sv
}

func (sv *service) nodesOf(self int) *server.Nodes {
	return &server.Nodes{
		Self:    nodeName(self),
		Silence: 10 * time.Second, // however busy the machine is
		Others: func() (others []server.Node) {
			for i := range sv.nodes {
				if i != self {
					others = append(others, server.Node{Name: nodeName(i), Live: sv.is(nodeName(i)) != lost})
				}
			}
			return others
		},
		Ask: func(ctx context.Context, node string, r *http.Request) (*http.Response, error) {
			for i, d := range sv.nodes {
				if nodeName(i) != node {
					continue
				}
				switch sv.is(node) {
				case lost:
					return nil, &control.Error{Status: http.StatusServiceUnavailable, Code: control.CodeNodeUnreachable,
						Message: "it is lost", Node: node}
				case silent:
					<-ctx.Done()
					return nil, ctx.Err()
				}
				return d.answer(r.WithContext(ctx))
			}
			return nil, &control.Error{Status: http.StatusNotFound, Code: control.CodeNodeNotFound, Message: "unknown",
				Node: node}
		},
	}
}

// answer has the daemon answer a request that another one carries.
func (d *daemon) answer(r *http.Request) (*http.Response, error) {
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return socket.Dial(ctx, d.path) },
		DisableKeepAlives: true,
	}
	return transport.RoundTrip(r)
}

func (sv *service) is(node string) away {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	return sv.away[node]
}

func (sv *service) turn(node string, how away) {
	sv.mu.Lock()
	defer sv.mu.Unlock()
	sv.away[node] = how
}

// share gives all nodes an app of the first one.
func (sv *service) share(title string) control.App {
	sv.t.Helper()
	a := sv.nodes[0].newApp(title)
	for _, d := range sv.nodes[1:] {
		if err := d.apps.Apply(app.Change{ID: a.ID, Version: 1, App: own(sv.t, sv.nodes[0], a.ID)}); err != nil {
			sv.t.Fatal(err)
		}
	}
	return a
}

func own(t *testing.T, d *daemon, id string) *app.App {
	t.Helper()
	a, there := d.apps.Get(id)
	if !there {
		t.Fatalf("there is no app %s", id)
	}
	return a
}

// crowd connects sessions, several of which are alike, to random nodes.
func (sv *service) crowd(a control.App, random *rand.Rand, count int) {
	sv.t.Helper()
	users := []string{"ann", "Боб", "Яна", "zoe"}
	for range count {
		d := sv.nodes[random.IntN(len(sv.nodes))]
		d.connect(a, fmt.Sprintf("ib%d", random.IntN(3)), users[random.IntN(len(users))], "g"+strconv.Itoa(random.IntN(2)))
	}
}

// sortedBy are the sessions in the order in which pages of all nodes have them, told by
// what a session is.
func sortedBy(all []control.Session, order string) []control.Session {
	name, descending := strings.CutPrefix(order, "-")
	text := func(s control.Session) string {
		return map[string]string{"app": s.AppID, "ib": s.IbID, "user": s.UserID, "group": s.UserGroup, "addr": s.Addr,
			"user_name": s.UserID, "ib_name": s.IbID}[name]
	}
	since := func(s control.Session) int64 {
		if name == "since" {
			return s.Since.UnixNano()
		}
		return 0
	}
	number := func(s control.Session) uint64 {
		n, _ := strconv.ParseUint(strings.TrimSuffix(s.ID, "@"+s.Node), 10, 64)
		return n
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b control.Session) int {
		way := cmp.Or(strings.Compare(text(a), text(b)), cmp.Compare(since(a), since(b)), strings.Compare(a.Node, b.Node),
			cmp.Compare(number(a), number(b)))
		if descending {
			return -way
		}
		return way
	})
	return all
}

func ids(sessions []control.Session) []string {
	all := make([]string, len(sessions))
	for i, s := range sessions {
		all[i] = s.ID
	}
	return all
}

// whole is what all nodes say of themselves.
func (sv *service) whole() (all []control.Session) {
	sv.t.Helper()
	for i, d := range sv.nodes {
		got := d.do("GET", "/v1/sessions?node="+nodeName(i), "")
		all = append(all, decoded[control.SessionPage](sv.t, got).Sessions...)
	}
	return all
}

func TestSessionsOfAllNodesAreOneList(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 24))
	sv := startService(t, 3)
	a := sv.share("one")
	sv.crowd(a, random, 60)
	whole := sv.whole()
	if len(whole) != 60 {
		t.Fatalf("the nodes have %d sessions, want 60", len(whole))
	}
	for _, order := range control.SessionSortKeys() {
		for _, order := range []string{order, "-" + order} {
			want := ids(sortedBy(whole, order))
			if name := strings.TrimPrefix(order, "-"); name == "delivered" || name == "bytes" || name == "queued" {
				want = ids(sortedBy(whole, strings.Replace(order, name, "id", 1))) // of all the same
			}
			client := sv.nodes[random.IntN(3)].Client
			query := control.SessionQuery{Sort: order, Limit: 1 + random.IntN(25)}
			var got []string
			for {
				page, err := client.Sessions(t.Context(), query)
				if err != nil || page.Total != len(want) || page.MissingNodes != nil || len(page.Sessions) > query.Limit {
					t.Fatalf("sort %s: a page of %d, %d in all, without %v: %v", order, len(page.Sessions), page.Total,
						page.MissingNodes, err)
				}
				got = append(got, ids(page.Sessions)...)
				if query.After = page.Next; page.Next == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("sort %s, pages of %d: got %v\nwant %v", order, query.Limit, got, want)
			}
			for _, offset := range []int{1, random.IntN(60), 59, 60, 61} {
				query := control.SessionQuery{Sort: order, Limit: 7, Offset: offset}
				page, err := client.Sessions(t.Context(), query)
				end := min(offset+7, len(want))
				if err != nil || page.Total != len(want) || !slices.Equal(ids(page.Sessions), want[min(offset, end):end]) {
					t.Fatalf("sort %s, offset %d: got %v of %d, %v\nwant %v", order, offset, ids(page.Sessions), page.Total,
						err, want[min(offset, end):end])
				}
			}
		}
	}
	filtered, err := sv.nodes[1].Sessions(t.Context(), control.SessionQuery{UserID: "Яна", IbID: "ib1"})
	if err != nil || len(filtered.Sessions) == 0 || len(filtered.Sessions) != filtered.Total {
		t.Errorf("filtered: %d of %d, %v", len(filtered.Sessions), filtered.Total, err)
	}
	for _, s := range filtered.Sessions {
		if s.UserID != "Яна" || s.IbID != "ib1" || !strings.HasSuffix(s.ID, "@"+s.Node) {
			t.Errorf("filtered: got %+v", s)
		}
	}
}

func TestANodeThatLeavesBetweenPagesTakesNoOtherSessionsAlong(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	sv := startService(t, 3)
	a := sv.share("one")
	sv.crowd(a, random, 40)
	want := sortedBy(sv.whole(), "user")
	query := control.SessionQuery{Sort: "user", Limit: 11}
	first, err := sv.nodes[0].Sessions(t.Context(), query)
	if err != nil || len(first.Sessions) != 11 {
		t.Fatalf("the first page has %d sessions, %v", len(first.Sessions), err)
	}
	sv.turn("web2", lost)
	got := ids(first.Sessions)
	for query.After = first.Next; query.After != ""; {
		page, err := sv.nodes[0].Sessions(t.Context(), query)
		if err != nil || !slices.Equal(page.MissingNodes, []string{"web2"}) {
			t.Fatalf("a page without %v, %v", page.MissingNodes, err)
		}
		got = append(got, ids(page.Sessions)...)
		query.After = page.Next
	}
	rest := slices.DeleteFunc(slices.Clone(want[11:]), func(s control.Session) bool { return s.Node == "web2" })
	if want := append(ids(want[:11]), ids(rest)...); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestASilentNodeIsNamedAfterAWhile(t *testing.T) {
	t.Parallel()
	sv := startService(t, 3, func(o *server.Options) { o.Nodes.Silence = 5 * time.Second }) // enough for the third one
	a := sv.share("one")
	sv.nodes[0].connect(a, "ib", "ann", "")
	sv.nodes[2].connect(a, "ib", "bob", "")
	sv.turn("web2", silent)
	page, err := sv.nodes[0].Sessions(t.Context(), control.SessionQuery{Sort: "user"})
	if err != nil || !slices.Equal(users(page), []string{"ann", "bob"}) || page.Total != 2 ||
		!slices.Equal(page.MissingNodes, []string{"web2"}) {
		t.Errorf("got %v of %d without %v, %v", users(page), page.Total, page.MissingNodes, err)
	}
	err = sv.nodes[0].CloseSession(t.Context(), "1@web2", time.Time{})
	if e := refused(t, err, http.StatusServiceUnavailable, control.CodeNodeUnreachable); e.Node != "web2" {
		t.Errorf("closing a session there: %+v", e)
	}
}

func TestTooManySessionsAreNotSkipped(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	_, err := sv.nodes[0].Sessions(t.Context(), control.SessionQuery{Offset: 50_000})
	if e := refused(t, err, http.StatusBadRequest, control.CodeBadRequest); !strings.Contains(e.Message,
		"filter, or use after") {
		t.Errorf("the refusal says %q", e.Message)
	}
	if _, err := sv.nodes[0].Sessions(t.Context(), control.SessionQuery{Offset: 49_999}); err != nil {
		t.Errorf("one less: %v", err)
	}
}

func TestASessionIsClosedWhereItIs(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	a := sv.share("one")
	here, elsewhere := sv.nodes[0].connect(a, "ib", "ann", ""), sv.nodes[1].connect(a, "ib", "bob", "")
	page, err := sv.nodes[0].Sessions(t.Context(), control.SessionQuery{Sort: "user"})
	if err != nil || len(page.Sessions) != 2 {
		t.Fatalf("sessions: %+v, %v", page, err)
	}
	ann, bob := page.Sessions[0], page.Sessions[1]
	client := sv.nodes[0].Client
	err = client.CloseSession(t.Context(), bob.ID, bob.Since.Add(time.Second))
	refused(t, err, http.StatusNotFound, control.CodeSessionNotFound)
	if err := client.CloseSession(t.Context(), bob.ID, bob.Since); err != nil {
		t.Error(err)
	}
	ended(t, elsewhere)
	if sv.nodes[1].log.Count(`action="close session"`) != 1 {
		t.Error("the node of the session has not logged it")
	}
	number, _, _ := strings.Cut(ann.ID, "@")
	if err := client.CloseSession(t.Context(), number, ann.Since); err != nil {
		t.Error(err)
	}
	ended(t, here)
	err = client.CloseSession(t.Context(), "1@web7", time.Time{})
	refused(t, err, http.StatusNotFound, control.CodeNodeNotFound)
	sv.turn("web2", lost)
	err = client.CloseSession(t.Context(), bob.ID, time.Time{})
	refused(t, err, http.StatusServiceUnavailable, control.CodeNodeUnreachable)

	alone := start(t, nil)
	alone.connect(alone.newApp("one"), "ib", "ann", "")
	got := alone.do("GET", "/v1/sessions", "")
	if s := decoded[control.SessionPage](t, got).Sessions[0]; strings.Contains(s.ID, "@") || s.Node != "" {
		t.Errorf("a daemon that is alone has the session %s at %q", s.ID, s.Node)
	}
	err = alone.CloseSession(t.Context(), "1@web1", time.Time{})
	refused(t, err, http.StatusNotFound, control.CodeSessionNotFound)
}

func TestANodeAnswersForItselfAlone(t *testing.T) {
	t.Parallel()
	sv := startService(t, 2)
	got := sv.nodes[0].do("GET", "/v1/sessions?"+url.Values{"node": {"web9"}}.Encode(), "")
	if got.status != http.StatusNotFound || got.code(t) != control.CodeNodeNotFound {
		t.Errorf("another node: %d %s", got.status, got.body)
	}
	alone := start(t, nil)
	if got := alone.do("GET", "/v1/sessions?node=", ""); got.code(t) != control.CodeNoCluster {
		t.Errorf("a daemon that is alone: %d %s", got.status, got.body)
	}
}

// decoded is the object in an answer.
func decoded[T any](t *testing.T, a answer) (object T) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &object); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return object
}
