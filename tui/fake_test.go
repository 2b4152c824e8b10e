package tui_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// moment is when all tests take place.
var moment = time.Date(2026, 3, 2, 9, 5, 0, 0, time.UTC)

// fakeDaemon is a daemon without clocks, keys or sockets: the same calls have the
// same results. Its methods may be called concurrently.
type fakeDaemon struct {
	mu          sync.Mutex
	status      control.Status
	apps        []control.App
	sessions    []control.Session
	records     []control.LogRecord
	explains    control.Explanation
	named       []control.Person // who is in a table of names alone
	infobases   []control.Infobase
	missing     []string // nodes without whose sessions lists are
	unconfirmed []string // nodes that do not confirm messages
	refuses     error    // what every call is answered with
	created     int
	sent        []sentMessage
	levels      []string
	graces      []time.Duration
	asked       []control.SessionQuery

	events chan control.Event
	logs   chan control.LogRecord
	broken chan struct{} // closed: streams end
	ticks  int           // how many there were; for one goroutine
}

type sentMessage struct {
	AppID   string
	To      wire.Recipient
	Message wire.Message
}

// aDaemon is a daemon at which something goes on.
func aDaemon() *fakeDaemon {
	expires := moment.Add(39*24*time.Hour + time.Hour)
	p50, p95, p99 := 0.000084, 0.0003, 0.0042
	d := &fakeDaemon{
		status: control.Status{
			Version:       "1.4.0",
			PID:           812,
			UptimeSeconds: 273_600,
			Listen:        "*:36696",
			Service:       "*:36695",
			Control:       "/run/pns4ones/control.sock",
			LogLevel:      "Warning",
			TLSExpiresAt:  &expires,
			Traffic:       control.Traffic[uint64]{Messages: 1_204_556, Delivered: 12_888_001, NoRecipient: 12},
			DroppedAsSlow: 3,
			MemoryBytes:   87_400_000,
			QueueMemory:   control.QueueMemory{Bytes: 1_300_000, MaxBytes: 512 << 20},
			Refused:       map[string]uint64{"wrong_hmac": 14},
			HTTP:          control.HTTPStatus{Refused: map[string]uint64{"no_token": 2}},
			Latency:       control.Latency{WindowSeconds: 60, Messages: 7000, P50: &p50, P95: &p95, P99: &p99},
		},
		events: make(chan control.Event), logs: make(chan control.LogRecord), broken: make(chan struct{}),
	}
	for _, title := range []string{"Склад", "Бухгалтерия предприятия, основная база", "日本支社 ❤️ e\u0301", "Web shop \x1b[2J"} {
		d.add(title)
	}
	day := moment.Add(23*time.Hour + 59*time.Minute)
	onOld := 1204
	d.apps[0].OldClientKeyUntil, d.apps[0].OldClientKeySessions = &day, &onOld
	d.apps[0].OldClientKeys = []control.OldClientKey{{Generation: 1, Since: moment.Add(-240 * time.Hour), Until: day, Sessions: onOld}}
	for i, user := range []string{"Иванов И. И.", "6f9619ff-8b86-d011-b42d-00cf4fc964ff", "evil\x1b[2J\u202e", "👨‍👩‍👧 家族", "petrov"} {
		s := control.Session{
			ID:            fmt.Sprint(101 + i),
			AppID:         d.apps[i%2].ID,
			IbID:          "demo",
			UserID:        user,
			Addr:          fmt.Sprintf("192.168.10.%d:51234", 7+i),
			Since:         moment.Add(-time.Duration(i*i*i)*time.Hour - time.Minute),
			Delivered:     uint64(i * 1300),
			Bytes:         uint64(i * 400_000),
			KeyGeneration: 1 + i%2,
		}
		if i == 1 {
			s.UserGroup, s.IbID, s.Queued = "бухгалтеры", "a1b2c3d4-0000-4000-8000-5e6f7a8b9c0d", 40_000
			last := moment.Add(-time.Second)
			s.LastDeliveryAt = &last
		}
		d.sessions = append(d.sessions, s)
		d.apps[i%2].Sessions++
	}
	record := func(ago time.Duration, level, message string, attrs ...control.LogAttr) {
		d.records = append(d.records, control.LogRecord{
			Time:    moment.Add(-ago),
			Level:   level,
			Message: message,
			Attrs:   attrs,
		})
	}
	record(time.Hour, "Information", "ready", control.LogAttr{
		Name:  "listen",
		Value: "*:36696",
	}, control.LogAttr{Name: "service", Value: "*:36695"})
	record(20*time.Minute, "Information", "session opened", control.LogAttr{
		Name:  "session",
		Value: 101,
	}, control.LogAttr{Name: "app", Value: d.apps[0].ID}, control.LogAttr{Name: "ib", Value: "demo"}, control.LogAttr{Name: "peer", Value: "192.168.10.7:51234"}, control.LogAttr{Name: "user_id", Value: "59c775be-1a55-5522-9f0e-0a1b2c3d4e5f"}, control.LogAttr{Name: "user_name", Value: "Иванов И. И."})
	record(5*time.Minute, "Warning", "registration refused", control.LogAttr{
		Name:  "reason",
		Value: "wrong_hmac",
	}, control.LogAttr{Name: "peer", Value: "192.168.10.99"}, control.LogAttr{Name: "app", Value: d.apps[0].ID}, control.LogAttr{Name: "ib", Value: "demo"}, control.LogAttr{Name: "user_id", Value: "petrov"})
	record(time.Minute, "Error", "certificate cannot be read \x1b[31m", control.LogAttr{
		Name:  "path",
		Value: "/etc/pns4ones/cert.pem",
	})
	record(time.Second, "Information", "session opened", control.LogAttr{
		Name:  "session",
		Value: 105,
	}, control.LogAttr{Name: "app", Value: d.apps[0].ID}, control.LogAttr{Name: "ib", Value: "demo"}, control.LogAttr{Name: "user_id", Value: "evil\x1b[2J"},
		control.LogAttr{Name: "peer", Value: "192.168.10.9:51234"})
	return d
}

// takeAway has every other session lose its connection, with messages that wait for it.
func (d *fakeDaemon) takeAway() {
	d.giveNames()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		s := &d.sessions[i]
		s.Host, s.Agent, s.Resumed = "WS-17", "pns4ones-addin/2.0.0 windows-x86_64", uint64(i)
		if i%2 == 1 {
			at := moment.Add(-time.Duration(i) * 20 * time.Second)
			s.State, s.DetachedAt, s.Waiting, s.Missed = control.SessionDetached, &at, 4*i, uint64(i/3)
		}
	}
	d.status.Detached = len(d.sessions) / 2
}

// joinCluster makes it one of three nodes, which have the sessions by turns. The last one is
// lost.
func (d *fakeDaemon) joinCluster() {
	d.giveNames()
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.sessions {
		s := &d.sessions[i]
		s.Node = []string{"web1", "web2"}[i%2]
		s.ID += "@" + s.Node
	}
	d.missing = []string{"web3"}
	since := moment.Add(-26 * time.Hour)
	d.status.Cluster = &control.Cluster{
		Name: "main", ID: "c1", Node: "web1", NodeID: "0a", State: control.NodeLive, Since: since, AppsRevision: 1207,
		NATS: control.NATS{Server: "nats://nats1:4222", JetStream: true},
		Nodes: []control.Node{
			{Name: "web1", ID: "0a", Version: "1.4.0", State: control.NodeLive, Since: since, Sessions: 3,
				AppsRevision: 1207},
			{Name: "web2", ID: "0b", Version: "1.4.0", State: control.NodeLive, Since: since.Add(time.Hour), Sessions: 12_002,
				HeardSeconds: 0.4, AppsRevision: 1207},
			{Name: "web3", ID: "0c", Version: "1.3.9", State: control.NodeLost, Since: moment.Add(-12 * time.Minute),
				HeardSeconds: 723, AppsRevision: 1201},
		},
	}
}

// cutOff takes its connection to the other nodes away.
func (d *fakeDaemon) cutOff() {
	d.joinCluster()
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.status.Cluster
	c.State, c.Since, c.NATS = control.NodeCutOff, moment.Add(-5*time.Minute), control.NATS{}
	c.AppsProblem, c.AppsProblemCode = "there is no connection to NATS", "not_connected"
	for i := range c.Nodes {
		c.Nodes[i].Since = c.Since
		c.Nodes[i].State = []string{control.NodeCutOff, control.NodeLost, control.NodeLost}[i]
	}
	d.missing = []string{"web2", "web3"}
}

// giveNames has sessions as 1C has them, with ids that say nothing, and names for most.
func (d *fakeDaemon) giveNames() {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := []string{"Иванов И. И.", "Петрова Анна Сергеевна", "", "Кузнецов О. О.", "evil\x1b[2J"}
	bases := []string{"Бухгалтерия", "Зарплата и управление персоналом", ""}
	for i := range d.sessions {
		s := &d.sessions[i]
		s.UserID, s.UserName = fmt.Sprintf("59c775be-1a55-5522-9f0e-%012x", i), names[i%len(names)]
		s.IbID, s.IbName = fmt.Sprintf("d23f0824-4fa6-4b62-8a9b-%012x", i%3), bases[i%3]
	}
	last := moment.Add(-3 * time.Minute)
	for i, name := range bases {
		d.infobases = append(d.infobases, control.Infobase{
			AppID: d.apps[0].ID, ID: fmt.Sprintf("d23f0824-4fa6-4b62-8a9b-%012x", i), Name: name, Sessions: 1200 * i, Users: 900 * i, Groups: i,
			Messages: uint64(40_000 * i), Unmatched: uint64(12 * i),
		})
	}
	d.infobases[1].LastMessageAt = &last
	d.named = []control.Person{{AppID: d.apps[0].ID, UserID: "59c775be-1a55-5522-9f0e-0a1b2c3d4e5f", UserName: "Соловьёв"}}
}

func (d *fakeDaemon) add(title string) control.App {
	d.created++
	a := control.App{
		ID:        fmt.Sprintf("1b677a99-94a9-4dd8-a1d1-%012d", d.created),
		Title:     title,
		CreatedAt: moment.Add(-240 * time.Hour),

		ServerKeySince: moment.Add(-240 * time.Hour), ClientKeySince: moment.Add(-26 * time.Hour), ServerKeyTokens: 7,
		ServerKey: fmt.Sprintf("%064d", d.created),
		ClientKey: fmt.Sprintf("IAAAABAAAAC%064d=", d.created),
	}
	d.apps = append(d.apps, a)
	return a
}

// call is a call of the daemon, in the daemon's own time.
func (d *fakeDaemon) call(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuses != nil {
		return d.refuses
	}
	return do()
}

// goAway ends all streams and refuses all calls.
func (d *fakeDaemon) goAway() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses = &control.ConnectError{Path: "/run/pns4ones/control.sock", Kind: control.ConnectRefused}
	close(d.broken)
}

func (d *fakeDaemon) comeBack() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses, d.broken = nil, make(chan struct{})
}

func (d *fakeDaemon) Status(ctx context.Context) (s control.Status, err error) {
	err = d.call(func() error {
		s = d.status
		s.Apps, s.Sessions = len(d.apps), len(d.sessions)
		return nil
	})
	return s, err
}

func (d *fakeDaemon) StatusByApp(ctx context.Context) (control.Status, error) {
	s, err := d.Status(ctx)
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, a := range d.apps {
			s.ByApp = append(s.ByApp, control.AppStatus{ID: a.ID, Title: a.Title, Sessions: a.Sessions,
				Traffic: control.Traffic[uint64]{
					Messages:    uint64(i) * 1000,
					Delivered:   uint64(i) * 25_000,
					NoRecipient: uint64(i),
				}})
		}
	}
	return s, err
}

func (d *fakeDaemon) Reload(context.Context) (r control.ReloadReport, err error) {
	err = d.call(func() error {
		r = control.ReloadReport{Applied: []string{"log_level"}, RestartNeeded: []string{"listen"}}
		return nil
	})
	return r, err
}

func (d *fakeDaemon) SetLogLevel(_ context.Context, level string) error {
	return d.call(func() error {
		d.levels = append(d.levels, level)
		return nil
	})
}

func (d *fakeDaemon) Apps(context.Context) (apps []control.App, err error) {
	err = d.call(func() error {
		apps = slices.Clone(d.apps)
		return nil
	})
	return apps, err
}

func (d *fakeDaemon) CreateApp(_ context.Context, title string) (a control.App, err error) {
	err = d.call(func() error {
		if len(title) > 200 {
			return &control.Error{Status: 400, Code: control.CodeBadTitle, Message: "too long"}
		}
		a = d.add(title)
		return nil
	})
	return a, err
}

// change changes an app.
func (d *fakeDaemon) change(id string, do func(a *control.App)) (changed control.App, err error) {
	err = d.call(func() error {
		for i := range d.apps {
			if d.apps[i].ID == id {
				do(&d.apps[i])
				changed = d.apps[i]
				return nil
			}
		}
		return &control.Error{Status: 404, Code: control.CodeAppNotFound, Message: "no such app"}
	})
	return changed, err
}

func (d *fakeDaemon) RenameApp(_ context.Context, id, title string) (control.App, error) {
	return d.change(id, func(a *control.App) { a.Title = title })
}

func (d *fakeDaemon) RotateServerKey(_ context.Context, id string, grace time.Duration) (control.AppChange, error) {
	a, err := d.change(id, func(a *control.App) {
		a.ServerKey = strings.Repeat("N", 64)
		until := moment.Add(grace)
		a.OldServerKeyUntil = &until
		a.OldServerKeys = []control.OldServerKey{{Since: a.ServerKeySince, Until: until}}
		a.ServerKeySince = moment
		d.graces = append(d.graces, grace)
	})
	return control.AppChange{App: a}, err
}

func (d *fakeDaemon) RotateClientKey(_ context.Context, id string, grace time.Duration) (control.AppChange, error) {
	a, err := d.change(id, func(a *control.App) {
		a.ClientKey = strings.Repeat("K", 76)
		d.graces = append(d.graces, grace)
	})
	return control.AppChange{App: a, ClosedSessions: a.Sessions}, err
}

func (d *fakeDaemon) RevokeOld(_ context.Context, id string, server, client bool) (control.AppChange, error) {
	a, err := d.change(id, func(a *control.App) {
		if server {
			a.OldServerKeyUntil, a.OldServerKeys = nil, nil
		}
		if client {
			a.OldClientKeyUntil, a.OldClientKeys, a.OldClientKeySessions = nil, nil, nil
		}
	})
	return control.AppChange{App: a, ClosedSessions: 1204}, err
}

func (d *fakeDaemon) ResetToken(_ context.Context, id string) (control.App, error) {
	return d.change(id, func(*control.App) {})
}

func (d *fakeDaemon) RemoveApp(_ context.Context, id string) (control.AppChange, error) {
	a, err := d.change(id, func(*control.App) {})
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.apps = slices.DeleteFunc(d.apps, func(a control.App) bool { return a.ID == id })
	}
	return control.AppChange{App: a}, err
}

func (d *fakeDaemon) Sessions(_ context.Context, q control.SessionQuery) (page control.SessionPage, err error) {
	err = d.call(func() error {
		d.asked = append(d.asked, q)
		var found []control.Session
		for _, s := range d.sessions {
			exactly := func(want, is string) bool { return want == "" || want == is }
			if exactly(q.AppID, s.AppID) && exactly(q.IbID, s.IbID) && exactly(q.UserID, s.UserID) && exactly(q.UserGroup, s.UserGroup) && hasAll(strings.ToLower(s.UserID+"\n"+s.UserName+"\n"+s.IbName+"\n"+s.IbID+"\n"+s.Addr+"\n"+s.UserGroup), q.Text) {
				found = append(found, s)
			}
		}
		by, reverse := strings.CutPrefix(q.Sort, "-")
		slices.SortStableFunc(found, func(a, b control.Session) int {
			order := cmp.Compare(a.ID, b.ID)
			switch by {
			case "user_name":
				order = cmp.Compare(cmp.Or(a.UserName, a.UserID), cmp.Or(b.UserName, b.UserID))
			case "delivered":
				order = cmp.Compare(a.Delivered, b.Delivered)
			}
			if reverse {
				return -order
			}
			return order
		})
		page.Total, page.MissingNodes = len(found), d.missing
		from := min(q.Offset, len(found))
		page.Sessions = found[from:min(from+q.Limit, len(found))]
		if from+q.Limit < len(found) {
			page.Next = "more"
		}
		return nil
	})
	return page, err
}

// hasAll reports whether a text has all words of a search, whatever field they are of.
func hasAll(text, search string) bool {
	for word := range strings.FieldsSeq(strings.ToLower(search)) {
		if _, after, ok := strings.Cut(word, ":"); ok && after != "" {
			word = after
		}
		if !strings.Contains(text, strings.Trim(word, `"`)) {
			return false
		}
	}
	return true
}

func (d *fakeDaemon) CloseSession(_ context.Context, id string, since time.Time) error {
	return d.call(func() error {
		for i, s := range d.sessions {
			if s.ID == id && s.Since.Equal(since) {
				d.sessions = slices.Delete(d.sessions, i, i+1)
				return nil
			}
		}
		return &control.Error{Status: 404, Code: control.CodeSessionNotFound, Message: "no such session"}
	})
}

func (d *fakeDaemon) SendCounting(_ context.Context, appID string, to wire.Recipient, m wire.Message) (sent control.Sent, err error) {
	err = d.call(func() error {
		d.sent = append(d.sent, sentMessage{appID, to, m})
		for _, s := range d.sessions {
			if s.AppID == appID && s.IbID == to.IbID && (to.Type == wire.ToAll || s.UserID == to.UserID) {
				sent.Sessions++
				if s.State == control.SessionDetached {
					sent.Waiting++
				}
			}
		}
		sent.UnconfirmedNodes = d.unconfirmed
		return nil
	})
	return sent, err
}

func (d *fakeDaemon) People(_ context.Context, appID, text string, limit int) (found control.People, err error) {
	err = d.call(func() error {
		for _, s := range d.sessions {
			one := control.Person{AppID: s.AppID, IbID: s.IbID, IbName: s.IbName, UserID: s.UserID, UserName: s.UserName, Sessions: 1}
			one.Exact = strings.EqualFold(one.UserName, text)
			if (appID == "" || appID == s.AppID) && strings.Contains(strings.ToLower(one.UserID+"\n"+one.UserName), strings.ToLower(text)) {
				found.People = append(found.People, one)
			}
		}
		for _, one := range d.named {
			if strings.Contains(strings.ToLower(one.UserName), strings.ToLower(text)) {
				found.People = append(found.People, one)
			}
		}
		found.Total = len(found.People)
		found.People = found.People[:min(len(found.People), limit)]
		return nil
	})
	return found, err
}

func (d *fakeDaemon) Infobases(_ context.Context, appID string) (found []control.Infobase, err error) {
	err = d.call(func() error {
		for _, ib := range d.infobases {
			if ib.AppID == appID {
				found = append(found, ib)
			}
		}
		return nil
	})
	return found, err
}

// History is that of a day at which people come to work an hour before the moment.
func (d *fakeDaemon) History(_ context.Context, appID string, span time.Duration) (h control.History, err error) {
	err = d.call(func() error {
		step := 10 * time.Minute
		if span <= 10*time.Minute {
			step = time.Second
		} else if span <= 3*time.Hour {
			step = time.Minute
		}
		h = control.History{AppID: appID, Kept: true, StepSeconds: int(step.Seconds()), From: moment.Add(-span), To: moment}
		for at := h.From; at.Before(moment); at = at.Add(step) {
			p := control.HistoryPoint{Time: at, Seconds: h.StepSeconds, Sessions: 150, Refused: 1}
			if ago := moment.Sub(at); ago < time.Hour {
				p.Sessions = 1200 - int(ago.Seconds()/4)
				p.Delivered = uint64(p.Sessions * (2 + at.Minute()%3) * p.Seconds)
				p99 := 0.004
				p.P99 = &p99
			}
			h.Points = append(h.Points, p)
		}
		return nil
	})
	return h, err
}

func (d *fakeDaemon) Explain(_ context.Context, appID, ibID, userID, group string) (e control.Explanation, err error) {
	err = d.call(func() error {
		e = d.explains
		e.AppID, e.IbID, e.UserID, e.UserGroup = appID, ibID, userID, group
		return nil
	})
	return e, err
}

func (d *fakeDaemon) Logs(ctx context.Context, q control.LogQuery, follow bool, each func(control.LogRecord) error) error {
	levels := []string{"", "Trace", "Debug", "Information", "Warning", "Error", "Critical"}
	var records []control.LogRecord
	var broken chan struct{}
	if err := d.call(func() error {
		broken = d.broken
		for _, r := range d.records {
			if slices.Index(levels, r.Level) >= slices.Index(levels, q.Level) && strings.HasPrefix(r.Message, q.Message) && strings.Contains(r.Message, q.Text) {
				records = append(records, r)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if q.Node != "" {
		records = []control.LogRecord{{Time: moment, Level: "Information",
			Message: "node lost", Attrs: control.LogAttrs{{Name: "node", Value: "seen by " + q.Node}}}}
	}
	for _, r := range records[max(len(records)-q.Tail, 0):] {
		if err := each(r); err != nil {
			return err
		}
	}
	for follow {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-broken:
			return control.ErrEnded
		case r := <-d.logs:
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *fakeDaemon) Events(ctx context.Context, _ control.EventQuery, _ bool, each func(control.Event) error) error {
	var broken chan struct{}
	if err := d.call(func() error {
		broken = d.broken
		return nil
	}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-broken:
			return control.ErrEnded
		case e := <-d.events:
			if err := each(e); err != nil {
				return err
			}
		}
	}
}

// tick is what the daemon says each second.
func (d *fakeDaemon) tick(sessions int, delivered float64) control.Event {
	d.ticks++
	at := moment.Add(time.Duration(d.ticks) * time.Second)
	return control.Event{Time: at, Event: control.EventStatistics, Statistics: &control.Statistics{
		Sessions: sessions,
		Latency:  d.status.Latency,
		Rates: control.Rates{
			Opened:  3,
			Closed:  1.4,
			Traffic: control.Traffic[float64]{Messages: delivered / 80, Delivered: delivered},
		},
	}}
}

// log has the daemon write a record that somebody reads.
func (d *fakeDaemon) log(r control.LogRecord) {
	d.mu.Lock()
	d.records = append(d.records, r)
	d.mu.Unlock()
	d.logs <- r
}
