package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pns4ones/pns4ones/config/files"
	"github.com/pns4ones/pns4ones/config/locale"
)

// maxSettingsFile keeps a path that names something endless from filling the memory;
// real files have a few KiB.
const maxSettingsFile = 4 << 20

// Names of the settings files. The old product opens
// PNS4OneS.ini; its manual writes pns4ones.ini.
const (
	tomlName   = "pns4ones.toml"
	iniName    = "pns4ones.ini"
	oldININame = "PNS4OneS.ini"
)

// candidate is a settings file with what it says, taken into force or not.
type candidate struct {
	path     string
	values   []given
	problems []*Problem
}

// readFile reads the settings file: the one named, or the one that is in force
// of those in the settings folder.
func (l *loader) readFile(named string, paths Paths) []given {
	if named != "" {
		return l.use(readCandidate(named))
	}
	if paths.Settings == "" {
		return nil // the user has no such folder, and the current one is not it
	}
	found := l.look(paths)
	toml, ini, other := found.toml, found.ini, found.otherINI
	var used *candidate
	switch {
	case toml != nil && toml.sets():
		used = toml
	case ini != nil:
		// The file that comes with the packages is all comments, and does not take
		// the place of what the old product left.
		used = ini
	case len(other) > 0:
		used = other[0]
		if slices.ContainsFunc(other[1:], used.differs) {
			l.refuseSeveral(other)
			return nil
		}
	case toml != nil:
		used = toml
	default:
		return nil
	}
	for _, c := range append([]*candidate{toml, ini}, other...) {
		if c != nil && c != used && c != toml && used.differs(c) {
			l.leave(c.path, locale.NewText("config.both_files", "used", used.path, "ignored", c.path))
		}
	}
	return l.use(used)
}

// use takes a file into force, with what is wrong with it.
func (l *loader) use(c *candidate) []given {
	l.result.File = c.path
	l.problems = append(l.problems, c.problems...)
	return c.values
}

// leave notes a file that somebody may take for the settings in force.
func (l *loader) leave(path string, what *locale.Text) {
	l.result.NotRead = append(l.result.NotRead, path)
	l.result.Warnings = append(l.result.Warnings, &Problem{What: what})
}

func (l *loader) refuseSeveral(found []*candidate) {
	names := make([]string, len(found))
	for i, c := range found {
		names[i] = c.path
	}
	l.problems = append(l.problems,
		&Problem{What: locale.NewText("config.several_files", "files", strings.Join(names, ", "), "name", iniName)})
}

// foundFiles are the settings files in a folder; nil: there is none of that name.
type foundFiles struct {
	toml, ini *candidate
	otherINI  []*candidate // pns4ones.ini in other letter cases, the old product's own spelling first
}

// look finds the settings files in the settings folder, and warns of what looks
// like one and is none.
func (l *loader) look(paths Paths) foundFiles {
	var found foundFiles
	for _, name := range fileNames(paths.Settings) {
		path := paths.file(name)
		switch {
		case name == tomlName:
			found.toml = readCandidate(path)
		case name == iniName:
			found.ini = readCandidate(path)
		case strings.ToLower(name) == iniName:
			found.otherINI = append(found.otherINI, readCandidate(path))
		case looksLikeSettings(name):
			l.leave(path, locale.NewText("config.not_read", "path", path))
		}
	}
	slices.SortStableFunc(found.otherINI, func(a, b *candidate) int {
		return notOld(a.path) - notOld(b.path)
	})
	return found
}

// notOld orders the spelling that the old product opens before others.
func notOld(path string) int {
	if filepath.Base(path) == oldININame {
		return 0
	}
	return 1
}

// fileNames returns the names of what is in the folder, but for folders. Of one
// that may be entered and not listed, it tries those names that it knows.
func fileNames(folder string) []string {
	var names []string
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if !e.IsDir() || isSettingsName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return names
	}
	for _, name := range []string{tomlName, iniName, oldININame} {
		_, err := os.Lstat(filepath.Join(folder, name))
		// What cannot even be looked at is not passed over: reading says why.
		if !errors.Is(err, fs.ErrNotExist) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func isSettingsName(name string) bool {
	return name == tomlName || strings.ToLower(name) == iniName
}

// keptBeside are endings of files that people, editors and package managers keep
// beside the one in force, and that nobody takes for it; and of what else of ours
// lies in the folder.
var keptBeside = []string{
	"~", ".bak", ".old", ".orig", ".swp", ".swo", ".tmp", ".example", ".sample", ".dpkg-old", ".dpkg-dist", ".dpkg-new",
	".dpkg-tmp", ".rpmnew", ".new",
	".db", ".log", ".log.gz", ".lock", ".sock", ".exe", ".crt", ".cer", ".pem", ".key", ".pfx", ".p12", ".csr",
}

// looksLikeSettings reports whether somebody may have meant the file to be the
// settings: pns4ones.ini.txt, as Windows makes it, pns4ones.conf, PNS4OneS.toml.
func looksLikeSettings(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, ".") || name == "desktop.ini" ||
		slices.ContainsFunc(keptBeside, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	switch filepath.Ext(name) {
	case ".toml", ".ini", ".conf", ".cfg":
		return true
	}
	// lumberjack writes pns4ones-2026-11-26T10-00-00.000.log, which is excluded above.
	return strings.HasPrefix(name, "pns4ones.") || name == "pns4ones"
}

// readCandidate reads a settings file, by its extension.
func readCandidate(path string) *candidate {
	l := new(loader)
	values := l.parseFile(path)
	return &candidate{path, values, l.problems}
}

func (l *loader) parseFile(path string) []given {
	content, err := files.Read(path, maxSettingsFile)
	if err != nil {
		l.unreadable(path, err)
		return nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".toml":
		return l.parseTOML(path, content)
	case ".ini":
		return l.parseINI(path, content)
	}
	l.problems = append(l.problems, &Problem{File: path, What: locale.NewText("config.bad_extension")})
	return nil
}

// sets reports whether the file gives any setting, or tries to.
func (c *candidate) sets() bool { return len(c.values) > 0 || len(c.problems) > 0 }

// differs reports whether the files would bring other settings into force, or
// cannot be compared.
func (c *candidate) differs(other *candidate) bool {
	if len(c.problems) > 0 || len(other.problems) > 0 {
		return true
	}
	a, okA := c.effective()
	b, okB := other.effective()
	return !okA || !okB || !slices.Equal(a, b)
}

// effective returns every setting as it is with this file alone; false: a value
// is no good.
func (c *candidate) effective() ([]string, bool) {
	config := Default(Paths{})
	for _, g := range c.values {
		if err := g.setting.set(&config, g.value); err != nil {
			return nil, false
		}
	}
	values := make([]string, len(settings))
	for i := range settings {
		values[i] = settings[i].get(&config)
	}
	return values, true
}

func (l *loader) unreadable(path string, err error) {
	what := locale.NewText("config.unreadable", "error", files.WithoutPath(err))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what = locale.NewText("config.no_file")
	case errors.Is(err, fs.ErrPermission):
		what = locale.NewText("config.no_permission")
	case errors.Is(err, files.ErrNoAnswer):
		what = locale.NewText("config.no_answer")
	}
	l.problems = append(l.problems, &Problem{File: path, What: what})
}
