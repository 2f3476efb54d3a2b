package differential

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	docsFile = "../../docs/compatibility.md"
	begin    = "<!-- The table below is test/differential/allowed.txt's: go test ./test/differential -run Document -document writes it. -->\n"
	end      = "<!-- The end of that table. -->\n"
)

// TestDocument compares the list of allowed differences with the one in the docs.
func TestDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s does not have the two comments around the table", docsFile)
	}
	want := tableOf(readAllowed(t))
	if *document {
		if err := os.WriteFile(docsFile, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("%s is not what allowed.txt says. Run this test with -document.", docsFile)
	}
}

// tableOf is the list for people: each reason, and in which parts of the script the answers differ for it.
func tableOf(list []*reason) string {
	var out strings.Builder
	out.WriteString("\n| Difference | Where | State |\n|---|---|---|\n")
	for _, r := range list {
		state := "on purpose"
		if r.pending != "" {
			state = "not yet"
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", strings.ReplaceAll(r.text, "|", "\\|"), r.where(), state)
	}
	out.WriteString("\n")
	return out.String()
}

// where are the parts of the script that the patterns of a reason begin with.
func (r *reason) where() string {
	var all []string
	for _, e := range r.entries {
		steps, _, _ := strings.Cut(e.line, " | ")
		for _, p := range strings.Split(steps, " || ") {
			section, _, ok := strings.Cut(strings.TrimSpace(p), ": ")
			if !ok || strings.Contains(section, "*") {
				section = "everywhere"
			}
			all = append(all, section)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if slices.Contains(all, "everywhere") {
		return "everywhere"
	}
	return strings.Join(all, ", ")
}
