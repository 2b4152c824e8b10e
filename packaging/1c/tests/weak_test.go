package tests

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	weakPoint = regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]*) \|$`)
	testName  = regexp.MustCompile("`(Test\\w+)(?:/([^`]+))?`")
	testHead  = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// TestTheTableOfWeakPoints: each of the 31 has a line in README.md, and each test that a
// line names exists.
func TestTheTableOfWeakPoints(t *testing.T) {
	t.Parallel()
	var tests []string
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for _, match := range testHead.FindAllStringSubmatch(read(t, file), -1) {
				tests = append(tests, match[1])
			}
		}
	}
	parts := partsOf(t)
	lines := weakPoint.FindAllStringSubmatch(read(t, "README.md"), -1)
	for i, line := range lines {
		if line[1] != strconv.Itoa(i+1) {
			t.Fatalf("line %d of the table is about weak point %s", i+1, line[1])
		}
		named := testName.FindAllStringSubmatch(line[2], -1)
		if len(named) == 0 {
			t.Errorf("weak point %s: no test is named", line[1])
		}
		for _, name := range named {
			if !slices.Contains(tests, name[1]) {
				t.Errorf("weak point %s: there is no %s", line[1], name[1])
			}
			has := func(part string) bool { return strings.HasPrefix(part, name[1]+"/"+name[2]) }
			if name[2] != "" && !slices.ContainsFunc(parts, has) {
				t.Errorf("weak point %s: there is no %s/%s", line[1], name[1], name[2])
			}
		}
	}
	if len(lines) != 31 {
		t.Errorf("the table has %d lines, not 31", len(lines))
	}
}

// partsOf are the names of scenarios and demonstrations, with the tests that run them.
func partsOf(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("scenarios/*.os")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, file := range files {
		parts = append(parts, "TestScenarios/"+strings.TrimSuffix(filepath.Base(file), ".os"))
	}
	for _, name := range withTheAddIn {
		parts = append(parts, "TestWithTheAddIn/"+name)
	}
	for _, d := range demos {
		parts = append(parts, "TestDemonstrations/"+d.name(), "TestWithTheAddIn/"+d.name())
	}
	return parts
}
