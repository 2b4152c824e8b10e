package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/pns4ones/pns4ones/config/locale"
)

// setting is one row of the table: all that the package knows of a setting.
type setting struct {
	name    string
	example string // what a value looks like, in the help: a placeholder text's id
	live    live   // whether a reload can change it while the daemon runs
	limits  limits // of its value
	secret  bool   // never shown
	free    bool   // any text, a path perhaps: on the command line it may begin with «/»
	kind    kind
	set     func(c *Config, text string) error
	get     func(c *Config) string
	shown   func(c *Config) string // get without what is secret in the value; nil: nothing is
}

// live says whether a running daemon can go from one Config to another as far
// as one setting is concerned. The zero value: it never can.
type live struct {
	rule     string // says it to people: a part of a text's id
	possible func(from, to *Config) bool
}

var (
	always = live{"always", func(*Config, *Config) bool { return true }}

	never live

	// certificate is live for the certificate's settings. A service that speaks
	// plain HTTP does so for good.
	certificate = live{"certificate",
		func(from, to *Config) bool { return (from.SSLMode == SSLNone) == (to.SSLMode == SSLNone) }}
)

// sameSocket is live for an address: the network may change, what is bound may not.
func sameSocket(address func(*Config) Address) live {
	return live{"network", func(from, to *Config) bool { return address(from).SameSocket(address(to)) }}
}

// limits are the values that a setting takes, if they can be listed: these, or
// all from the least to the most.
type limits struct {
	choices     []string
	least, most string
}

// kind is how a value is written in TOML.
type kind int

const (
	text   kind = iota
	size        // a text or a number of bytes
	number      // a number
	list        // an array of texts, or a text
)

// String is the word for k in the ids of texts.
func (k kind) String() string { return [...]string{"text", "size", "number", "list"}[k] }

// Default ports (protocol.md section 1).
const (
	DefaultSendersPort  = 36696
	DefaultSessionsPort = 36695
	DefaultMetricsPort  = 36698
)

// settings is the table, in the order of the help and the sample file.
var settings = []setting{
	{name: "listen", example: "address",
		set:  addressSetter(func(c *Config) *Address { return &c.Listen }, DefaultSendersPort),
		get:  func(c *Config) string { return c.Listen.String() },
		live: sameSocket(func(c *Config) Address { return c.Listen })},
	{name: "service", example: "address",
		set:  addressSetter(func(c *Config) *Address { return &c.Service }, DefaultSessionsPort),
		get:  func(c *Config) string { return c.Service.String() },
		live: sameSocket(func(c *Config) Address { return c.Service })},
	{name: "log_level", example: "level",
		set: func(c *Config, s string) (err error) { c.LogLevel, err = ParseLevel(s); return err },
		get: func(c *Config) string { return c.LogLevel.String() }, live: always, limits: limits{choices: levelNames}},
	alsoByNumber(choiceSetting("ssl_mode", "mode", func(c *Config) *SSLMode { return &c.SSLMode }, certificate,
		SSLNone, SSLFromStorage, SSLFromFileWithPrivateKey, SSLFromFileWithPassword)),
	stringSetting("ssl_certificate", "certificate", func(c *Config) *string { return &c.SSLCertificate }, certificate),
	stringSetting("ssl_certificate_key", "file", func(c *Config) *string { return &c.SSLCertificateKey }, certificate),
	{name: "ssl_certificate_password", example: "password", secret: true, free: true, live: certificate,
		set: func(c *Config, s string) error { c.SSLCertificatePassword = s; return nil },
		get: func(c *Config) string { return c.SSLCertificatePassword }},
	pathSetting("data_dir", "folder", func(c *Config) *string { return &c.DataDir }, never),
	pathSetting("control", "file", func(c *Config) *string { return &c.Control }, never),
	durationSetting("token_lifetime", func(c *Config) *time.Duration { return &c.TokenLifetime }, time.Minute,
		366*24*time.Hour),
	choiceSetting("expires_in_epoch", "epoch", func(c *Config) *Epoch { return &c.ExpiresInEpoch }, always, EpochAuto,
		EpochUnix, EpochYear1),
	sizeSetting("max_message_size", func(c *Config) *int64 { return &c.MaxMessageSize }, 1<<10, 256<<20),
	{name: "trusted_proxies", example: "networks", live: always, kind: list,
		set: func(c *Config, s string) (err error) { c.TrustedProxies, err = parseNetworks(s); return err },
		get: func(c *Config) string { return joinNetworks(c.TrustedProxies) }},
	durationSetting("registration_timeout", func(c *Config) *time.Duration { return &c.RegistrationTimeout },
		100*time.Millisecond, time.Hour),
	countSetting("max_unregistered", func(c *Config) *int { return &c.MaxUnregistered }, 1, 1_000_000),
	countSetting("max_sessions_per_user", func(c *Config) *int { return &c.MaxSessionsPerUser }, 0, 1_000_000),
	countSetting("max_senders", func(c *Config) *int { return &c.MaxSenders }, 0, 10_000_000),
	sizeSetting("session_queue_size", func(c *Config) *int64 { return &c.SessionQueueSize }, 1<<10, 1<<30),
	sizeOrZeroSetting("queue_memory", func(c *Config) *int64 { return &c.QueueMemory }, 1<<20, 1<<40),
	durationSetting("write_timeout", func(c *Config) *time.Duration { return &c.WriteTimeout }, 100*time.Millisecond,
		time.Hour),
	durationSetting("peer_timeout", func(c *Config) *time.Duration { return &c.PeerTimeout }, 2*time.Second,
		24*time.Hour),
	durationSetting("resume_window", func(c *Config) *time.Duration { return &c.ResumeWindow }, 0, time.Hour),
	sizeSetting("resume_bytes", func(c *Config) *int64 { return &c.ResumeBytes }, 0, 16<<20),
	durationSetting("keepalive", func(c *Config) *time.Duration { return &c.KeepAlive }, time.Second, 24*time.Hour),
	{name: "metrics_listen", example: "address", set: func(c *Config, s string) (err error) {
		c.MetricsListen = nil
		if s == "" {
			return nil
		}
		a, err := ParseAddress(s, DefaultMetricsPort)
		c.MetricsListen = &a
		return err
	}, get: func(c *Config) string {
		if c.MetricsListen == nil {
			return ""
		}
		return c.MetricsListen.String()
	}, live: live{"network", func(from, to *Config) bool {
		return from.MetricsListen != nil && to.MetricsListen != nil && from.MetricsListen.SameSocket(*to.MetricsListen)
	}}},
	natsSetting("cluster_nats", func(c *Config) *[]string { return &c.ClusterNATS }),
	nameSetting("cluster_name", "config.bad_cluster_name", clusterName.MatchString,
		func(c *Config) *string { return &c.ClusterName }),
	nameSetting("cluster_node", "config.bad_node_name", func(s string) bool { return s == "" || IsNodeName(s) },
		func(c *Config) *string { return &c.ClusterNode }),
	pathSetting("cluster_key", "file", func(c *Config) *string { return &c.ClusterKey }, always),
	stringSetting("cluster_credentials", "file", func(c *Config) *string { return &c.ClusterCredentials }, never),
	stringSetting("cluster_ca", "file", func(c *Config) *string { return &c.ClusterCA }, never),
	stringSetting("cluster_certificate", "file", func(c *Config) *string { return &c.ClusterCertificate }, never),
	stringSetting("cluster_certificate_key", "file", func(c *Config) *string { return &c.ClusterCertificateKey }, never),
	durationSetting("cluster_wait", func(c *Config) *time.Duration { return &c.ClusterWait }, 100*time.Millisecond,
		10*time.Second),
	onlyAtStart(countSetting("cluster_replicas", func(c *Config) *int { return &c.ClusterReplicas }, 0, maxReplicas)),
}

// maxReplicas is how many NATS can keep of a bucket.
const maxReplicas = 5

// Default returns the settings as they are when nobody says anything.
func Default(p Paths) Config {
	return Config{
		Listen:              Address{Port: DefaultSendersPort},
		Service:             Address{Port: DefaultSessionsPort},
		SSLMode:             SSLNone,
		LogLevel:            LevelWarning,
		DataDir:             p.Data,
		Control:             p.Control,
		TokenLifetime:       time.Hour,
		ExpiresInEpoch:      EpochAuto,
		RegistrationTimeout: 10 * time.Second,
		PeerTimeout:         5 * time.Minute,
		ResumeWindow:        2 * time.Minute,
		ResumeBytes:         64 << 10,
		KeepAlive:           30 * time.Second,
		MaxUnregistered:     4096,
		MaxSessionsPerUser:  1000,
		SessionQueueSize:    1 << 20,
		WriteTimeout:        30 * time.Second,
		MaxMessageSize:      1 << 20,
		ClusterName:         "main",
		ClusterKey:          p.file(clusterKeyName),
		ClusterWait:         time.Second,
	}
}

// lookup finds a setting by its exact name.
func lookup(name string) (*setting, bool) {
	for i := range settings {
		if settings[i].name == name {
			return &settings[i], true
		}
	}
	return nil, false
}

// names returns the names of all settings.
func names() []string {
	all := make([]string, len(settings))
	for i, s := range settings {
		all[i] = s.name
	}
	return all
}

func addressSetter(field func(*Config) *Address, defaultPort int) func(*Config, string) error {
	return func(c *Config, s string) (err error) {
		*field(c), err = ParseAddress(s, defaultPort)
		return err
	}
}

// stringSetting is a plain text, which may be empty: not set.
func stringSetting(name, example string, field func(*Config) *string, live live) setting {
	return setting{name: name, example: example, free: true, live: live,
		set: func(c *Config, s string) error { *field(c) = s; return nil },
		get: func(c *Config) string { return *field(c) }}
}

// pathSetting is a path that must be there.
func pathSetting(name, example string, field func(*Config) *string, live live) setting {
	return setting{name: name, example: example, free: true, live: live,
		set: func(c *Config, s string) error {
			if s == "" {
				return locale.NewText("config.empty_path")
			}
			if s == "~" || strings.HasPrefix(s, "~/") { // a shell has made something else of it
				return locale.NewText("config.tilde_path")
			}
			*field(c) = s
			return nil
		},
		get: func(c *Config) string { return *field(c) }}
}

// choiceSetting is one of a few words, which may be written in any letter case.
func choiceSetting[T ~string](name, example string, field func(*Config) *T, live live, choices ...T) setting {
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = string(c)
	}
	return setting{name: name, example: example, live: live, limits: limits{choices: words},
		set: func(c *Config, s string) error {
			word, err := parseChoice(s, words)
			*field(c) = T(word)
			return err
		},
		get: func(c *Config) string { return string(*field(c)) }}
}

// alsoByNumber lets a choice be written as its place among the choices too, from 0, as
// the old product does.
func alsoByNumber(s setting) setting {
	byWord := s.set
	s.set = func(c *Config, text string) error {
		for i, word := range s.limits.choices {
			if text == strconv.Itoa(i) {
				text = word
			}
		}
		return byWord(c, text)
	}
	return s
}

func durationSetting(name string, field func(*Config) *time.Duration, least, most time.Duration) setting {
	return setting{name: name, example: "duration", live: always,
		limits: limits{least: formatDuration(least), most: formatDuration(most)},
		set:    func(c *Config, s string) (err error) { *field(c), err = parseDuration(s, least, most); return err },
		get:    func(c *Config) string { return formatDuration(*field(c)) }}
}

func sizeSetting(name string, field func(*Config) *int64, least, most int64) setting {
	return setting{name: name, example: "size", live: always, kind: size,
		limits: limits{least: formatSize(least), most: formatSize(most)},
		set:    func(c *Config, s string) (err error) { *field(c), err = parseSize(s, least, most); return err },
		get:    func(c *Config) string { return formatSize(*field(c)) }}
}

// sizeOrZeroSetting is a size that may be 0 as well, which has a meaning of its own.
func sizeOrZeroSetting(name string, field func(*Config) *int64, least, most int64) setting {
	s := sizeSetting(name, field, least, most)
	within := s.set
	s.set = func(c *Config, text string) error {
		if text == "0" {
			*field(c) = 0
			return nil
		}
		return within(c, text)
	}
	return s
}

func countSetting(name string, field func(*Config) *int, least, most int) setting {
	return setting{name: name, example: "count", live: always, kind: number,
		limits: limits{least: strconv.Itoa(least), most: strconv.Itoa(most)},
		set:    func(c *Config, s string) (err error) { *field(c), err = parseCount(s, least, most); return err },
		get:    func(c *Config) string { return strconv.Itoa(*field(c)) }}
}

// onlyAtStart is a setting whose change waits for a restart.
func onlyAtStart(s setting) setting {
	s.live = never
	return s
}

func joinNetworks(networks []netip.Prefix) string {
	items := make([]string, len(networks))
	for i, n := range networks {
		items[i] = n.String()
	}
	return strings.Join(items, ", ")
}
