package lint

import (
	"bufio"
	_ "embed" // for the table
	"fmt"
	"strconv"
	"strings"

	"github.com/pns4ones/pns4ones/packaging/1c/bsl"
)

// table is what of the platform the modules may use. What is not in it is refused; so
// whoever uses more adds a line, and says where it is proven that mode 8.3.14 has it.
//
//go:embed platform.txt
var table string

// Any as a largest number of arguments means that there is no limit.
const Any = -1

// platformName is a line of the table.
type platformName struct {
	least, most int
	contexts    map[bsl.Context]bool
	number      bool // what it returns
}

// Platform is the table, by kind and by name in lower case.
type Platform struct {
	functions, properties, types, methods, form map[string]platformName
}

// TheTable reads the table of the package.
func TheTable() *Platform {
	platform, err := read(table)
	if err != nil {
		panic(err) // it is compiled in, and its test reads it
	}
	return platform
}

// With returns the table and further lines: a test has names of its own.
func With(lines string) (*Platform, error) { return read(table + "\n" + lines) }

func read(lines string) (*Platform, error) {
	p := &Platform{
		functions: map[string]platformName{}, properties: map[string]platformName{},
		types: map[string]platformName{}, methods: map[string]platformName{}, form: map[string]platformName{},
	}
	kinds := map[string]map[string]platformName{
		"function": p.functions, "property": p.properties, "type": p.types, "method": p.methods, "form": p.form,
	}
	scanner := bufio.NewScanner(strings.NewReader(lines))
	for number := 1; scanner.Scan(); number++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		kind := kinds[fields[0]]
		if kind == nil || len(fields) < 5 {
			return nil, fmt.Errorf("line %d of the table: %q: kind, name, arguments, contexts, source", number, line)
		}
		name, err := readName(fields)
		if err != nil {
			return nil, fmt.Errorf("line %d of the table: %w", number, err)
		}
		key := strings.ToLower(fields[1])
		if _, twice := kind[key]; twice {
			return nil, fmt.Errorf("line %d of the table: %s is there twice", number, fields[1])
		}
		kind[key] = name
	}
	return p, scanner.Err()
}

func readName(fields []string) (platformName, error) {
	name := platformName{contexts: map[bsl.Context]bool{}}
	least, most, isRange := strings.Cut(fields[2], "-")
	if !isRange {
		most = least
	}
	var err error
	if name.least, err = strconv.Atoi(least); err != nil {
		return name, fmt.Errorf("%q is no number of arguments", fields[2])
	}
	name.most = Any
	if most != "*" {
		if name.most, err = strconv.Atoi(most); err != nil {
			return name, fmt.Errorf("%q is no number of arguments", fields[2])
		}
	}
	for _, letter := range fields[3] {
		switch letter {
		case 'S':
			name.contexts[bsl.Server] = true
		case 'C':
			name.contexts[bsl.Client] = true
		case 'X':
			name.contexts[bsl.ExternalConnection] = true
		case 'n':
			name.number = true
		default:
			return name, fmt.Errorf("%q names a context that is none of S, C, X", fields[3])
		}
	}
	return name, nil
}
