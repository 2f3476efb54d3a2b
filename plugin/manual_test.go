package plugin

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName  = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	suiteName = regexp.MustCompile(`\*([^*]+)\*`)
)

// TestSecurityManualNamesRealTests looks for every test that docs/security.md relies on.
func TestSecurityManualNamesRealTests(t *testing.T) {
	manual, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, suite := sourceOfTests(t), readFile(t, "edgetest/suite.go")
	rows := 0
	for _, line := range strings.Split(string(manual), "\n") {
		for _, name := range testName.FindAllString(line, -1) {
			if !strings.Contains(tests, "func "+name+"(") {
				t.Errorf("there is no test %s", name)
			}
		}
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(strings.ToLower(cells[3]), "suite *") {
			continue
		}
		rows++
		for _, name := range suiteName.FindAllStringSubmatch(cells[3], -1) {
			if !strings.Contains(suite, `{"`+name[1]+`", `) {
				t.Errorf("the suite has no test %q", name[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows name the suite: the test looks in the wrong place", rows)
	}
}

// sourceOfTests is the text of all tests of the repository.
func sourceOfTests(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			all.WriteString(readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
