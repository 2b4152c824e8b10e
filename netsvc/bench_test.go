package netsvc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pns4ones/pns4ones/config"
	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/internal/testsessions"
)

func TestMain(m *testing.M) { testsessions.Main(m) }

// BenchmarkFollowers shows what it costs that three follow the log, three the
// events, and one follows without ever reading: messages to one of 10 000 sessions,
// with and without followers by turns in one run. The followers' own work is in
// the same process, and the level is Debug, so that each message is a record.
func BenchmarkFollowers(b *testing.B) {
	const sessions = 10_000
	c := settings(b.TempDir())
	c.LogLevel = config.LevelDebug
	server, err := netsvc.Open(context.Background(), netsvc.Options{Config: c})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	client := control.NewClient(c.Control)
	defer client.Close()
	a, err := client.CreateApp(ctx, "bench")
	if err != nil {
		b.Fatal(err)
	}
	testsessions.Start(b, fmt.Sprintf("127.0.0.1:%d", server.SessionsPort()), a.ID, a.ClientKey, sessions, false)
	for n := 0; n < sessions; time.Sleep(10 * time.Millisecond) {
		status, err := client.Status(ctx)
		if err != nil {
			b.Fatal(err)
		}
		n = status.Sessions
	}
	sender := newSender(b, server, a)

	for _, bm := range []struct {
		name string
		rate int // messages a second; 0: as many as can be
	}{{"1000-a-second", 1000}, {"as-fast-as-it-goes", 0}} {
		b.Run(bm.name, func(b *testing.B) {
			var alone, followed []float64
			for b.Loop() {
				alone = append(alone, sender.burst(b, bm.rate))
				stop := follow(b, c.Control)
				followed = append(followed, sender.burst(b, bm.rate))
				stop()
			}
			var memory runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&memory)
			b.ReportMetric(median(alone), "alone-msg/s")
			b.ReportMetric(median(followed), "followed-msg/s")
			b.ReportMetric(median(followed)/median(alone), "followed/alone")
			b.ReportMetric(float64(memory.HeapAlloc)/(1<<20), "heap-MiB")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// follow has three follow the log, three the events, and one that never reads.
func follow(b *testing.B, path string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := control.NewClient(path)
	ended := make(chan error)
	for range 3 {
		go func() {
			ended <- client.Logs(ctx, control.LogQuery{}, true, func(control.LogRecord) error { return nil })
		}()
		go func() {
			ended <- client.Events(ctx, control.EventQuery{}, true, func(control.Event) error { return nil })
		}()
	}
	stalled, err := net.Dial("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(stalled, "GET /v1/logs?follow=true&tail=10000 HTTP/1.1\r\nHost: pns\r\n\r\n")
	return func() {
		cancel()
		for range 6 {
			<-ended
		}
		stalled.Close()
		client.Close()
	}
}

// sender posts messages over one connection.
type sender struct {
	url, token string
	next       int
}

func newSender(b *testing.B, server *netsvc.Server, a control.App) *sender {
	s := &sender{url: fmt.Sprintf("http://127.0.0.1:%d", server.SendersPort())}
	response, err := http.Get(s.url + "/auth?server_key=" + a.ServerKey)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		b.Fatal(err)
	}
	s.token = answer.Token
	return s
}

// burst sends for a second and returns the messages a second that were accepted.
func (s *sender) burst(b *testing.B, rate int) float64 {
	began := time.Now()
	sent := 0
	for ; time.Since(began) < time.Second; sent++ {
		if rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(sent) * time.Second / time.Duration(rate))))
		}
		s.next = (s.next + 1) % 10_000
		body := fmt.Sprintf(`{"Recipient":{"Type":"user","IbId":"ib","UserId":"%d"},"Message":{"Notification":{"Title":"Новая задача","Body":"Согласовать договор"}}}`, s.next)
		request, err := http.NewRequest(http.MethodPost, s.url+"/sendmessage", bytes.NewReader([]byte(body)))
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+s.token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if response.Header.Get("X-Delivered-Sessions") != "1" {
			b.Fatalf("delivered to %s sessions", response.Header.Get("X-Delivered-Sessions"))
		}
	}
	return float64(sent) / time.Since(began).Seconds()
}
