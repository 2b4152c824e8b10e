package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pns4ones/pns4ones/config/locale"
)

// clusterKeyName is the key file of the cluster, beside the settings.
const clusterKeyName = "cluster.key"

var (
	clusterName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`) // a part of subjects of NATS
	nodeName    = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
)

// AllNodes is no name of a node: administrators call all of them so.
const AllNodes = "all"

// IsNodeName reports whether a node of a cluster can have that name.
func IsNodeName(name string) bool { return nodeName.MatchString(name) && name != AllNodes }

// natsSetting is a list of NATS servers, which may have a user and a password or a token in
// them.
func natsSetting(name string, field func(*Config) *[]string) setting {
	return setting{name: name, example: "servers", kind: list,
		set:   func(c *Config, s string) (err error) { *field(c), err = parseServers(s); return err },
		get:   func(c *Config) string { return strings.Join(*field(c), ", ") },
		shown: func(c *Config) string { return strings.Join(withoutUsers(*field(c)), ", ") }}
}

// nameSetting is a name of a form that is valid.
func nameSetting(name, problem string, valid func(string) bool, field func(*Config) *string) setting {
	return setting{name: name, example: "name",
		set: func(c *Config, s string) error {
			if !valid(s) {
				return locale.NewText(problem, "value", s)
			}
			*field(c) = s
			return nil
		},
		get: func(c *Config) string { return *field(c) }}
}

// parseServers reads the addresses of NATS servers. Errors show nothing of them, for a
// password may be anywhere in what is wrong.
func parseServers(text string) ([]string, error) {
	var servers []string
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := url.Parse(item)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" ||
			strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, locale.NewText("config.bad_nats", "number", len(servers)+1)
		}
		servers = append(servers, item)
	}
	return servers, nil
}

// withoutUsers masks users, passwords and tokens in addresses that parseServers returned.
func withoutUsers(servers []string) []string {
	masked := make([]string, len(servers))
	for i, server := range servers {
		masked[i] = server
		if at := strings.LastIndexByte(server, '@'); at >= 0 {
			scheme, _, _ := strings.Cut(server, "://")
			masked[i] = scheme + "://" + mask + server[at:]
		}
	}
	return masked
}

// clusterFiles has the paths of the cluster's files begin where they should: the key file
// lies beside the settings, wherever these are.
func (l *loader) clusterFiles() {
	c := &l.result.Config
	if _, given := l.result.set["cluster_key"]; !given && l.result.File != "" {
		c.ClusterKey = filepath.Join(filepath.Dir(l.result.File), clusterKeyName)
	}
	for _, file := range []struct {
		setting string
		path    *string
	}{{"cluster_key", &c.ClusterKey}, {"cluster_credentials", &c.ClusterCredentials}, {"cluster_ca", &c.ClusterCA},
		{"cluster_certificate", &c.ClusterCertificate}, {"cluster_certificate_key", &c.ClusterCertificateKey}} {
		l.fromFilesFolder(file.setting, file.path)
		l.absolute(file.path)
	}
}

// checkCluster finds what is wrong with the settings of the cluster together.
func (l *loader) checkCluster() {
	c := &l.result.Config
	if len(c.ClusterNATS) == 0 {
		for _, name := range names() {
			_, given := l.result.set[name]
			if given && strings.HasPrefix(name, "cluster_") && !l.empty(name) && !l.wrong["cluster_nats"] {
				l.result.Warnings = append(l.result.Warnings,
					l.result.Blame(name, locale.NewText("config.unused_without_cluster")))
			}
		}
		return
	}
	for _, pair := range [][2]string{{"cluster_certificate", "cluster_certificate_key"},
		{"cluster_certificate_key", "cluster_certificate"}} {
		if !l.empty(pair[0]) && l.empty(pair[1]) && !l.wrong[pair[1]] {
			l.problems = append(l.problems,
				l.result.Blame(pair[0], locale.NewText("config.needs_other", "other", pair[1])))
		}
	}
}
