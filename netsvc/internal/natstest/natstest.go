// Package natstest runs NATS servers in the process of a test. Nothing but tests imports it.
package natstest

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience bounds the start, on a machine that has other things to do.
const patience = 2 * time.Minute

// Server is a NATS server on a port of 127.0.0.1, which it keeps over Stop and Start. Its
// methods must not be called concurrently.
type Server struct {
	Options server.Options // of the next Start
	t       testing.TB
	running *server.Server
}

// Start starts a server, which stops at the end of the test. Each of configure may change
// its options.
func Start(t testing.TB, configure ...func(*server.Options)) *Server {
	t.Helper()
	s := &Server{t: t, Options: server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true}}
	for _, change := range configure {
		change(&s.Options)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

// JetStream has a server keep streams, in a folder of the test.
func JetStream(t testing.TB) func(*server.Options) {
	t.Helper()
	folder := t.TempDir()
	return func(o *server.Options) { o.JetStream, o.StoreDir = true, folder }
}

// Start starts the server again that was stopped.
func (s *Server) Start() {
	s.t.Helper()
	options := s.Options
	running, err := server.NewServer(&options)
	if err != nil {
		s.t.Fatal(err)
	}
	running.Start()
	if !running.ReadyForConnections(patience) {
		s.t.Fatal("the NATS server does not start")
	}
	s.running, s.Options.Port = running, options.Port
}

// Stop stops the server and waits for its end; one that is stopped stays so.
func (s *Server) Stop() {
	s.running.Shutdown()
	s.running.WaitForShutdown()
}

// Reload has the server take other options over while it runs, as it does when its configuration is
// read again.
func (s *Server) Reload(change func(*server.Options)) {
	s.t.Helper()
	change(&s.Options)
	options := s.Options
	if err := s.running.ReloadOptions(&options); err != nil {
		s.t.Fatal(err)
	}
}

// URL is where the server is to be found, or was.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.Options.Port) }

// Running is the server itself, the one that was started last.
func (s *Server) Running() *server.Server { return s.running }
