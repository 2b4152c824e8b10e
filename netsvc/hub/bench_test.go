package hub_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/netsvc/hub"
	"github.com/pns4ones/pns4ones/netsvc/internal/testsessions"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

func TestMain(m *testing.M) { testsessions.Main(m) }

// clients starts a process with that many sessions and returns when all are registered.
// They are like those of newer add-ins or, without attributes, of the released ones.
func (s *service) clients(b *testing.B, count int, attributes bool) {
	b.Helper()
	raw := append([]byte{32, 0, 0, 0, 16, 0, 0, 0}, make([]byte, 48)...)
	for i := range 48 {
		raw[8+i] = 1
	}
	testsessions.Start(b, s.addr, appID, base64.StdEncoding.EncodeToString(raw), count, attributes)
	for deadline := time.Now().Add(patience); s.Stats().Sessions < count; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d sessions registered within a minute", s.Stats().Sessions, count)
		}
	}
}

// message has a frame of about 400 bytes.
func message() *wire.Message {
	return &wire.Message{Topic: "НоваяЗадача", Notification: wire.Notification{
		Title: "Создана новая задача", Body: strings.Repeat("Согласовать договор. ", 6),
		Action: "e1cib/data/Задача.ЗадачаИсполнителя"}}
}

// BenchmarkBroadcast measures one message to all, until the last session's copy
// is written. Allocations must not depend on the number of sessions.
func BenchmarkBroadcast(b *testing.B) {
	for _, sessions := range []int{1, 100, 1000, 10000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := start(b, hub.Options{})
			s.clients(b, sessions, false)
			m := message()
			// Once beforehand: each session's queue keeps its first slot.
			s.Publish(appID, toAll("ib"), m)
			s.waitDelivered(uint64(sessions))
			done := s.Stats().Delivered
			b.ReportAllocs()
			for b.Loop() {
				s.Publish(appID, toAll("ib"), m)
				done += uint64(sessions)
				s.waitDelivered(done)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sessions), "ns/delivery")
		})
	}
}

// BenchmarkSustained measures messages to all without waiting for each, as long
// as the queues hold them.
func BenchmarkSustained(b *testing.B) {
	for _, sessions := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := start(b, hub.Options{Limits: hub.Limits{QueueBytes: 64 << 20}})
			s.clients(b, sessions, false)
			m := message()
			done := s.Stats().Delivered
			b.ReportAllocs()
			for b.Loop() {
				s.Publish(appID, toAll("ib"), m)
				done += uint64(sessions)
				if ahead := 64 * uint64(sessions); done > ahead {
					s.waitDelivered(done - ahead)
				}
			}
			s.waitDelivered(done)
			b.ReportMetric(float64(b.N)*float64(sessions)/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

func (s *service) waitDelivered(n uint64) {
	for s.Delivered() < n {
		runtime.Gosched()
	}
}

// BenchmarkPublishToOne measures the way to a single user among many.
func BenchmarkPublishToOne(b *testing.B) {
	for _, sessions := range []int{1, 1000, 10000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s := start(b, hub.Options{Limits: hub.Limits{QueueBytes: 1 << 20}})
			s.clients(b, sessions, false)
			m := message()
			to := wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "0"}
			b.ReportAllocs()
			for b.Loop() {
				if s.Publish(appID, to, m) != 1 {
					b.Fatal("not delivered to one session")
				}
			}
		})
	}
}

// BenchmarkPublishWithoutRecipient measures the lookup alone.
func BenchmarkPublishWithoutRecipient(b *testing.B) {
	s := start(b, hub.Options{})
	m := message()
	to := wire.Recipient{Type: wire.ToUser, IbID: "ib", UserID: "0"}
	b.ReportAllocs()
	for b.Loop() {
		s.Publish(appID, to, m)
	}
}

// BenchmarkRegister10000 measures how long 10 000 sessions take to connect and
// register, and what each of them costs in memory of the process.
func BenchmarkRegister10000(b *testing.B) {
	const sessions = 10000
	for b.Loop() {
		b.StopTimer()
		s := start(b, hub.Options{})
		before := residentBytes(b)
		b.StartTimer()
		s.clients(b, sessions, false)
		b.StopTimer()
		b.ReportMetric(float64(residentBytes(b)-before)/sessions, "B/session")
		if err := s.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// residentBytes is the resident memory of this process after a collection.
func residentBytes(b *testing.B) int64 {
	b.Helper()
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no VmRSS in /proc/self/status")
	return 0
}

// BenchmarkSessions measures a page of many sessions.
func BenchmarkSessions(b *testing.B) {
	const sessions = 18_000 // a process may not open many more
	s := start(b, hub.Options{})
	s.clients(b, sessions, false)
	for _, bm := range []struct {
		name  string
		query hub.Query
	}{
		{"first", hub.Query{Limit: 50}},
		{"by-user", hub.Query{Limit: 50, Sort: "user"}},
		{"by-user-1000", hub.Query{Limit: 1000, Sort: "-user"}},
		{"by-user-last", hub.Query{Limit: 50, Sort: "user", Offset: sessions - 50}},
		{"by-addr", hub.Query{Limit: 50, Sort: "addr"}},
		{"search", hub.Query{Limit: 50, Text: "777", Sort: "-since"}},
		{"search-nothing", hub.Query{Limit: 50, Text: "Иванов"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Hub.Sessions(bm.query); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
