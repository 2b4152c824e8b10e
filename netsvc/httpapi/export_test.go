package httpapi

import "time"

// NewWithTimeouts is New with limits of time a test can wait for.
func NewWithTimeouts(o Options, header, body, drain time.Duration) *Server {
	return newServer(o, timeouts{header, body, drain})
}
