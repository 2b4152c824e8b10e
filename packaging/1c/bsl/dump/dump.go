package dump

import (
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
	"github.com/pns4ones/pns4ones/packaging/1c/bsl/lint"
)

// version is that of the format: 2.13 is what platform 8.3.20 writes, and all later ones
// load.
const version = "2.13"

// Profile is what is particular to one extension.
type Profile struct {
	Prefix   string
	Identity map[string]string // object → uuid that must never change
	Flags    map[string]string // common module → its flags, see moduleFlags
	Adopted  map[string]string // object → uuid in the base configuration; rule 6
	Contract string            // see contract.go
	Secrets  []string          // registers on which the roles must have no rights
	Others   []*lint.Module    // modules of another extension that this one calls
	Platform *lint.Platform    // what of the platform its modules may use
	Packed   bool              // with the bundle of the add-in in its place
}

// Problem is a breach of a rule.
type Problem struct {
	Rule int
	File string
	Line int // 0 where a line says nothing
	Text string
}

func (p Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("rule %d: %s: %s", p.Rule, where, p.Text)
}

// object is a metadata object with its file.
type object struct {
	kind, name string // CommonModule, pns4ones_…
	path       string // its XML file
	node       *element
}

func (o object) full() string { return o.kind + "." + o.name }

// dump is what is being checked.
type dump struct {
	profile  Profile
	files    map[string][]byte
	docs     map[string]*element
	objects  []object               // in the order of Configuration.xml, with forms and nested sections
	parsed   map[string]*bsl.Module // by file and context; nil where it cannot be read
	problems []Problem
}

// Check returns all breaches of the rules in a dump, in the order of the rules.
func Check(folder fs.FS, profile Profile) ([]Problem, error) {
	d, err := load(folder, profile)
	if err != nil {
		return nil, err
	}
	d.wellFormed()
	if len(d.problems) > 0 {
		return d.problems, nil // what cannot be read cannot be judged
	}
	d.declared()
	d.names()
	d.uuids()
	d.configuration()
	d.adopted()
	d.generatedTypes()
	d.moduleFlags()
	d.forms()
	d.modules()
	d.strings()
	d.rights()
	d.sections()
	d.template()
	d.contract()
	sort.SliceStable(d.problems, func(i, j int) bool { return d.problems[i].Rule < d.problems[j].Rule })
	return d.problems, nil
}

func load(folder fs.FS, profile Profile) (*dump, error) {
	d := &dump{profile: profile, files: map[string][]byte{}, docs: map[string]*element{}, parsed: map[string]*bsl.Module{}}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		d.files[path] = content
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the dump: %w", err)
	}
	return d, nil
}

func (d *dump) fail(rule int, file string, line int, format string, args ...any) {
	d.problems = append(d.problems, Problem{rule, file, line, fmt.Sprintf(format, args...)})
}

// paths returns the names of all files, sorted.
func (d *dump) paths() []string {
	list := make([]string, 0, len(d.files))
	for path := range d.files {
		list = append(list, path)
	}
	slices.Sort(list)
	return list
}

// object returns one by its full name: DataProcessor.X.
func (d *dump) object(full string) (object, bool) {
	for _, o := range d.objects {
		if o.full() == full {
			return o, true
		}
	}
	return object{}, false
}

// of returns all objects of a kind.
func (d *dump) of(kind string) []object {
	var list []object
	for _, o := range d.objects {
		if o.kind == kind {
			list = append(list, o)
		}
	}
	return list
}

// source returns the text of a module, without the mark of byte order.
func (d *dump) source(path string) string { return strings.TrimPrefix(string(d.files[path]), "\ufeff") }

// parse reads a module once for each context, and returns nil where it cannot be read:
// rule 14 says why.
func (d *dump) parse(m *lint.Module, context bsl.Context) *bsl.Module {
	key := fmt.Sprint(m.File, context)
	if parsed, done := d.parsed[key]; done {
		return parsed
	}
	parsed, err := bsl.Parse(m.File, m.Source, context)
	if err != nil {
		parsed = nil
	}
	d.parsed[key] = parsed
	return parsed
}
