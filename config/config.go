// Package config knows every setting of the daemon: its name, type, default,
// meaning and limits, once, in one table (table.go). From that table come the
// TOML file, the old product's INI file, the environment, the flags, the help
// and the commented sample.
//
// A setting has one name everywhere: in both files, as a flag, and in the
// environment as PNS4ONES_ and the name in upper case. A flag wins over the
// environment, that over the file, and that over the default. A key that is not
// known, or a value that will not do, is an error with its place and what was
// expected, never something to start without: a daemon that guesses listens where
// nobody wants it.
//
// cmd/pns4ones loads the settings and hands them to netsvc; the admin program
// uses the paths. The package opens nothing and listens on nothing: whether a
// certificate or an address is any good is found out by those who use it.
package config

import (
	"net/netip"
	"time"
)

// Config is the daemon's settings, checked and ready for use. Their names, types
// and limits are in the table; those of the protocol come from protocol.md section 5.
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
	ExpiresInEpoch         Epoch
	RegistrationTimeout    time.Duration
	PeerTimeout            time.Duration
	ResumeWindow           time.Duration // 0: never
	ResumeBytes            int64
	KeepAlive              time.Duration
	MaxUnregistered        int
	MaxSessionsPerUser     int   // 0: any number
	MaxSenders             int   // connections; 0: a quarter of the descriptors
	SessionQueueSize       int64 // bytes
	QueueMemory            int64 // bytes; 0: a quarter of the memory that there is
	WriteTimeout           time.Duration
	MaxMessageSize         int64 // bytes
	TrustedProxies         []netip.Prefix
	MetricsListen          *Address // where Prometheus asks; nil: nowhere

	ClusterNATS           []string // servers, perhaps with user and password; none: a single node
	ClusterName           string
	ClusterNode           string // empty: the host's name up to the first dot
	ClusterKey            string
	ClusterCredentials    string // empty: none, as the three that follow
	ClusterCA             string
	ClusterCertificate    string
	ClusterCertificateKey string
	ClusterWait           time.Duration
	ClusterReplicas       int // 0: as many as NATS has servers for
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

// Epoch says from where expires_in of /auth counts its seconds (protocol.md section
// 3.1).
type Epoch string

// What expires_in counts from.
const (
	EpochAuto  Epoch = "auto"  // year 1 for the 1C platform, else 1970
	EpochUnix  Epoch = "unix"  // 1970-01-01T00:00:00Z
	EpochYear1 Epoch = "year1" // 0001-01-01T00:00:00Z
)
