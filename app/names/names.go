// Package names knows what the users and infobases of an app are called: 1C has ids
// for them, people have names. A [Table] is what an administrator has imported; a name
// is for people to read and to search by, never for deciding who gets a message.
//
// Package app keeps a table for each app; file.go reads the files that tables are
// imported from, record.go writes down a table for the database. It must not know what
// an app is.
package names

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of a table and of its entries.
const (
	MaxNames     = 100_000 // of one app
	MaxNameRunes = 200
	MaxIDBytes   = 1000
)

// Kind says what an id is of.
type Kind byte

// The kinds.
const (
	User Kind = iota
	Infobase
	kinds
)

var kindWords = [kinds]string{"user", "ib"}

// String is the word that files and commands have for the kind.
func (k Kind) String() string { return kindWords[k] }

// Words are the words of all kinds.
func Words() []string { return slices.Clone(kindWords[:]) }

// ParseKind reads the word of a kind, in any letter case.
func ParseKind(word string) (Kind, bool) {
	at := slices.IndexFunc(kindWords[:], func(known string) bool { return strings.EqualFold(known, word) })
	return Kind(max(at, 0)), at >= 0
}

// Name is what a user or an infobase is called.
type Name struct {
	Kind Kind
	ID   string
	Name string
}

// What is wrong with a name, for errors.Is.
var (
	// ErrTooMany: the table would have more than MaxNames.
	ErrTooMany = errors.New("too many names")
	// ErrBadName: the id or the name is empty, too long, or no text in one line.
	ErrBadName = errors.New("the name cannot be used")
)

// Clean takes off the blanks around the id and the name, and checks what is left. An id
// in the form of a UUID becomes lower case without braces, as [Table.User] reads it.
func (n Name) Clean() (Name, error) {
	n.ID, n.Name = strings.TrimSpace(n.ID), strings.TrimSpace(n.Name)
	if id, ok := parseUUID(n.ID); ok {
		n.ID = id.String()
	}
	switch {
	case n.ID == "":
		return n, fmt.Errorf("%w: the id is empty", ErrBadName)
	case n.Name == "":
		return n, fmt.Errorf("%w: the name is empty", ErrBadName)
	case len(n.ID) > MaxIDBytes:
		return n, fmt.Errorf("%w: the id has %d bytes, at most %d are allowed", ErrBadName, len(n.ID), MaxIDBytes)
	case utf8.RuneCountInString(n.Name) > MaxNameRunes:
		return n, fmt.Errorf("%w: it has %d characters, at most %d are allowed", ErrBadName,
			utf8.RuneCountInString(n.Name), MaxNameRunes)
	case !utf8.ValidString(n.ID), !utf8.ValidString(n.Name):
		return n, fmt.Errorf("%w: it is not valid UTF-8", ErrBadName)
	case strings.ContainsAny(n.ID+n.Name, "\x00\r\n"):
		return n, fmt.Errorf("%w: it has a line break or a zero byte", ErrBadName)
	}
	return n, nil
}

// uuidLen is the length of a UUID as text.
const uuidLen = 36

// parseUUID reads an id in the form of a UUID, in any letter case, with or without
// braces. It allocates nothing.
func parseUUID(id string) (parsed uuid.UUID, ok bool) {
	switch len(id) {
	case uuidLen:
	case uuidLen + len("{}"):
		if id[0] != '{' || id[len(id)-1] != '}' {
			return parsed, false
		}
	default:
		return parsed, false
	}
	parsed, err := uuid.Parse(id)
	return parsed, err == nil
}

// Table is the names of one app. It never changes, so it may be read from any
// goroutine. A nil table has no names.
type Table struct {
	record []byte // what it is stored as; ids and names are parts of a copy of it
	of     [kinds]called
}

// called is the names of one kind. Nearly all ids are UUIDs: as 16 bytes they lie in
// the map itself, which looking for one then touches once.
type called struct {
	uuids  map[uuid.UUID]string
	others map[string]string
}

func (c *called) set(id, name string) {
	if parsed, ok := parseUUID(id); ok {
		c.uuids[parsed] = name
	} else {
		c.others[id] = name
	}
}

func (c *called) get(id string) (name string, known bool) {
	if parsed, ok := parseUUID(id); ok {
		name, known = c.uuids[parsed]
	} else {
		name, known = c.others[id]
	}
	return name, known
}

// NewTable returns a table of names that [Name.Clean] has passed; of an id that comes
// twice the later name holds. It is nil if there are none. The error is ErrTooMany.
func NewTable(all []Name) (*Table, error) {
	latest := make(map[Name]string, len(all)) // by the rest of it
	for _, n := range all {
		latest[Name{Kind: n.Kind, ID: n.ID}] = n.Name
	}
	switch {
	case len(latest) == 0:
		return nil, nil
	case len(latest) > MaxNames:
		return nil, fmt.Errorf("%w: %d, at most %d are kept", ErrTooMany, len(latest), MaxNames)
	}
	sorted := make([]Name, 0, len(latest))
	for n, name := range latest {
		n.Name = name
		sorted = append(sorted, n)
	}
	slices.SortFunc(sorted, compare)
	return Decode(encode(sorted))
}

// compare puts infobases first, then users, each by name and id.
func compare(a, b Name) int {
	return cmp.Or(cmp.Compare(b.Kind, a.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
}

// User is what the user with this id is called; empty if the table does not say. An id
// in the form of a UUID is found in any letter case, with braces and without.
func (t *Table) User(id string) string { return t.name(User, id) }

// Infobase is what the infobase with this id is called; see [Table.User].
func (t *Table) Infobase(id string) string { return t.name(Infobase, id) }

func (t *Table) name(k Kind, id string) string {
	if t == nil {
		return ""
	}
	name, _ := t.of[k].get(id)
	return name
}

// Len is the number of names.
func (t *Table) Len() int { return t.Users() + t.Infobases() }

// Users is the number of users that have a name.
func (t *Table) Users() int { return t.len(User) }

// Infobases is the number of infobases that have a name.
func (t *Table) Infobases() int { return t.len(Infobase) }

func (t *Table) len(k Kind) int {
	if t == nil {
		return 0
	}
	return len(t.of[k].uuids) + len(t.of[k].others)
}

// All passes on the names in no order.
func (t *Table) All() iter.Seq[Name] {
	return func(yield func(Name) bool) {
		if t == nil {
			return
		}
		for k := range kinds {
			for id, name := range t.of[k].uuids {
				if !yield(Name{k, id.String(), name}) {
					return
				}
			}
			for id, name := range t.of[k].others {
				if !yield(Name{k, id, name}) {
					return
				}
			}
		}
	}
}

// Sorted returns the names: infobases first, then users, each by name and id.
func (t *Table) Sorted() []Name {
	return slices.SortedFunc(t.All(), compare)
}

// With is the table with other names beside it, which replace those of the same ids.
func (t *Table) With(others []Name) (*Table, error) {
	return NewTable(append(slices.AppendSeq(make([]Name, 0, t.Len()+len(others)), t.All()), others...))
}

// Without is the table without the name of an id.
func (t *Table) Without(k Kind, id string) *Table {
	n, _ := Name{k, id, id}.Clean()
	var rest []Name
	for have := range t.All() {
		if have.Kind != k || have.ID != n.ID {
			rest = append(rest, have)
		}
	}
	less, _ := NewTable(rest) // fewer than before
	return less
}

// Equal reports whether two tables have the same names.
func (t *Table) Equal(other *Table) bool {
	if t == other {
		return true
	}
	return bytes.Equal(t.Encode(), other.Encode())
}
