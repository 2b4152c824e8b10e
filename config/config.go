// Package config knows every setting of the daemon: its name, type, default,
// meaning and limits, once, in one table (table.go). From that table come the
// TOML file, the old product's INI file, the environment, the flags, the help
// and the commented sample.
//
// cmd/pns4ones loads the settings and hands them to netsvc; the admin program
// uses the paths. The package opens nothing and listens on nothing: whether a
// certificate or an address is any good is found out by those who use it.
package config

import (
	"net/netip"
	"time"
)

// Config is the daemon's settings, checked and ready for use. The names, types
// and limits are described in design.md section 3 and protocol.md section 5.
type Config struct {
	Listen                 Address // where senders connect
	Service                Address // where 1C sessions connect
	SSLMode                SSLMode
	SSLCertificate         string
	SSLCertificateKey      string
	SSLCertificatePassword string
	LogLevel               Level
	DataDir                string
	Control                string
	TokenLifetime          time.Duration
	ExpiresInEpoch         string // auto, unix or year1
	RegistrationTimeout    time.Duration
	KeepAlive              time.Duration
	MaxUnregistered        int
	MaxSessionsPerUser     int   // 0: any number
	MaxSenders             int   // connections; 0: a quarter of the descriptors
	SessionQueueSize       int64 // bytes
	WriteTimeout           time.Duration
	MaxMessageSize         int64 // bytes
	TrustedProxies         []netip.Prefix
	MetricsListen          *Address // where Prometheus asks; nil: nowhere
}

// SSLMode says where the certificate comes from.
type SSLMode string

// The modes, spelled as the old product's manual spells them.
const (
	SSLNone                   SSLMode = "None"
	SSLFromStorage            SSLMode = "FromStorage"
	SSLFromFileWithPrivateKey SSLMode = "FromFileWithPrivateKey"
	SSLFromFileWithPassword   SSLMode = "FromFileWithPassword"
)
