package config

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
)

// Mode is what the command line asks the daemon to do.
type Mode int

// The modes. All but ModeRun print something and end.
const (
	ModeRun Mode = iota
	ModeHelp
	ModeVersion
	ModeCheck
	ModePrintConfig
	ModeReservePorts // does something, too
)

// LoadOptions is where Load looks.
type LoadOptions struct {
	Args   []string // without the program's name
	Getenv func(string) string
	// Environ, as os.Environ returns it, is searched for misspelt variables; nil: no
	// search.
	Environ []string
	Paths   Paths // see DefaultPaths
}

// Result is what Load found.
type Result struct {
	Config   Config
	Mode     Mode
	File     string // the settings file that was read; "": none
	Warnings []*Problem
	// NotRead are files in the settings folder that somebody may take for the
	// settings: others that differ from File, or of a name that is not looked for.
	NotRead []string
	set     map[string]Problem // where each setting was given by a flag, variable or file
}

// Blame returns a problem with a setting that showed only when the setting was
// used: a certificate that does not fit its key, an address of another machine.
// It stands where the setting was given.
func (r *Result) Blame(setting string, what *locale.Text) *Problem {
	p, given := r.set[setting]
	if !given {
		p.Key = setting
	}
	p.What = what
	return &p
}

// given is a value that somebody gave for a setting, and where.
type given struct {
	setting *setting
	value   string
	at      Problem // its What is unset
}

// Load reads the settings: a flag beats the environment, that beats the file,
// and that the default. The error is an *Error with everything that is wrong.
func Load(o LoadOptions) (*Result, error) {
	l := &loader{result: Result{Config: Default(o.Paths), set: make(map[string]Problem)}}
	flags := l.parseFlags(o.Args)
	l.result.Mode = flags.mode
	if flags.mode == ModeHelp {
		return &l.result, nil // most of all to those who got the rest wrong
	}
	if l.usage {
		return nil, &Error{Problems: l.problems, Usage: true}
	}
	if flags.mode == ModeVersion {
		return &l.result, nil
	}
	for _, g := range l.readFile(flags.file, o.Paths) {
		l.apply(g)
	}
	for _, g := range fromEnvironment(o.Getenv) {
		l.apply(g)
	}
	l.warnOfUnknown(o.Environ)
	for _, g := range flags.values {
		l.apply(g)
	}
	for _, name := range names() {
		if g, ok := l.effective[name]; ok {
			l.put(g)
		}
	}
	c := &l.result.Config
	l.fromFilesFolder("ssl_certificate_key", &c.SSLCertificateKey)
	if c.SSLMode == SSLFromFileWithPrivateKey || c.SSLMode == SSLFromFileWithPassword {
		l.fromFilesFolder("ssl_certificate", &c.SSLCertificate)
	}
	l.fromFilesFolder("data_dir", &c.DataDir)
	l.fromFilesFolder("control", &c.Control)
	l.absolute(&c.DataDir)
	l.absolute(&c.Control)
	l.clusterFiles()
	l.checkTogether()
	l.checkCluster()
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return &l.result, nil
}

// fromFilesFolder makes a path of the settings file begin at the file's folder:
// a service manager starts the daemon in another folder than the person who
// checks the settings, and both are to find the same.
func (l *loader) fromFilesFolder(name string, path *string) {
	at := l.result.set[name]
	if at.File == "" || *path == "" || filepath.IsAbs(*path) {
		return
	}
	*path = filepath.Join(filepath.Dir(at.File), *path)
	l.absolute(path)
}

// absolute makes a path mean the same from every folder.
func (l *loader) absolute(path *string) {
	if *path == "" {
		return
	}
	whole, err := filepath.Abs(*path)
	if err != nil {
		// Only a relative path needs the working folder, and that is gone.
		l.problems = append(l.problems, &Problem{What: locale.NewText("config.no_working_folder", "path", *path)})
		return
	}
	*path = whole
}

// loader collects values and problems.
type loader struct {
	result    Result
	effective map[string]given // by setting, the one that beats the others
	wrong     map[string]bool  // settings with a value that is no good
	problems  []*Problem
	usage     bool
}

// apply lets a value beat what was given before. It is checked even if another
// one beats it later: a wrong line in the file is never passed over in silence.
func (l *loader) apply(g given) {
	if l.effective == nil {
		l.effective, l.wrong = make(map[string]given), make(map[string]bool)
	}
	if g.setting.free && !g.setting.secret && strings.ContainsFunc(g.value, unicode.IsControl) {
		l.complain(g.at, locale.NewText("config.control_character"))
		l.wrong[g.setting.name] = true
		return
	}
	var scratch Config
	if err := g.setting.set(&scratch, g.value); err != nil {
		l.complain(g.at, textOf(err))
		l.wrong[g.setting.name] = true
		return
	}
	l.effective[g.setting.name] = g
}

func (l *loader) put(g given) {
	if err := g.setting.set(&l.result.Config, g.value); err == nil {
		l.result.set[g.setting.name] = g.at
	}
}

// complain notes what is wrong with the value given there. A secret is not
// repeated.
func (l *loader) complain(at Problem, what *locale.Text) {
	at.What = what
	l.problems = append(l.problems, &at)
}

// variable is the environment variable of a setting.
func variable(name string) string { return "PNS4ONES_" + strings.ToUpper(name) }

// fromEnvironment returns the settings that variables give; an empty variable
// gives nothing.
func fromEnvironment(getenv func(string) string) []given {
	var values []given
	for i := range settings {
		s := &settings[i]
		if value := getenv(variable(s.name)); value != "" {
			values = append(values, given{s, value, Problem{Key: variable(s.name)}})
		}
	}
	return values
}

// otherVariables begin like the settings' and belong to the programs.
var otherVariables = []string{"PNS4ONES_LANG", "PNS4ONES_SERVER_KEY", "PNS4ONES_CLIENT_KEY", "PNS4ONES_HANDOVER_FD",
	"PNS4ONES_HANDOVER_FORMAT"}

// warnOfUnknown warns of variables that look like settings and are none.
func (l *loader) warnOfUnknown(environ []string) {
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		setting, ours := strings.CutPrefix(name, "PNS4ONES_")
		if _, known := lookup(strings.ToLower(setting)); !ours || known || slices.Contains(otherVariables, name) {
			continue
		}
		l.result.Warnings = append(l.result.Warnings, &Problem{Key: name,
			What: locale.NewText("config.unknown_key", "near", didYouMean(strings.ToLower(setting), names()))})
	}
}

// checkTogether finds what is wrong with settings that are each right.
func (l *loader) checkTogether() {
	c := &l.result.Config
	missing := func(name string) {
		// It is missing where the mode was chosen.
		mode := l.result.set["ssl_mode"]
		l.problems = append(l.problems, &Problem{File: mode.File, Line: mode.Line, Key: name,
			What: locale.NewText("config.needed", "mode", string(c.SSLMode))})
	}
	given := func(name string) bool { _, ok := l.result.set[name]; return ok }
	switch c.SSLMode {
	case SSLNone:
		for _, name := range []string{"ssl_certificate", "ssl_certificate_key", "ssl_certificate_password"} {
			if given(name) && !l.empty(name) {
				l.result.Warnings = append(l.result.Warnings,
					l.result.Blame(name, locale.NewText("config.unused_without_tls")))
			}
		}
	case SSLFromStorage:
		if c.SSLCertificate == "" {
			missing("ssl_certificate")
		}
	case SSLFromFileWithPrivateKey:
		if c.SSLCertificate == "" {
			missing("ssl_certificate")
		}
		if c.SSLCertificateKey == "" {
			missing("ssl_certificate_key")
		}
	case SSLFromFileWithPassword:
		if c.SSLCertificate == "" {
			missing("ssl_certificate")
		}
		if !given("ssl_certificate_password") {
			missing("ssl_certificate_password")
		}
	}
	for i := range settings {
		s := &settings[i]
		at, given := l.result.set[s.name]
		if _, secret := s.value(c); given && secret && at.File != "" && files.Exposed(at.File) {
			l.problems = append(l.problems, l.result.Blame(s.name, locale.NewText("config.exposed", "path", at.File)))
		}
	}
	if n := len(c.Control); n > maxControlBytes && !l.wrong["control"] {
		l.problems = append(l.problems,
			l.result.Blame("control", locale.NewText("config.control_too_long", "path", c.Control, "bytes", n, "most",
				maxControlBytes)))
	}
	l.checkAddresses()
}

// empty reports whether the value of a setting is an empty text.
func (l *loader) empty(name string) bool {
	s, _ := lookup(name)
	return s.get(&l.result.Config) == ""
}

// checkAddresses finds services that would listen on the same port.
func (l *loader) checkAddresses() {
	type service struct {
		setting string
		address Address
	}
	c := &l.result.Config
	services := []service{{"listen", c.Listen}, {"service", c.Service}}
	if c.MetricsListen != nil {
		services = append(services, service{"metrics_listen", *c.MetricsListen})
	}
	for i, b := range services {
		for _, a := range services[:i] {
			// A wrong address left its default here, which nobody asked for.
			if l.wrong[a.setting] || l.wrong[b.setting] || !overlap(a.address, b.address) {
				continue
			}
			blamed, other := b, a
			if _, given := l.result.set[b.setting]; !given {
				blamed, other = a, b
			}
			l.problems = append(l.problems, l.result.Blame(blamed.setting,
				locale.NewText("config.same_address", "other", other.setting, "address", other.address.String())))
		}
	}
}

// overlap reports whether two addresses cannot be listened on at once.
func overlap(a, b Address) bool {
	everywhere := func(a Address) bool { return a.Host == "" }
	return a.Port == b.Port && a.Port != 0 && (a.Host == b.Host || everywhere(a) || everywhere(b))
}
