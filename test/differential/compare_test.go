package differential

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// differences are what two answers differ in, "KEY: THEIRS -> OURS".
func differences(theirs, ours answer) []string {
	keys := answer{} // also if one of the answers is not there
	maps.Copy(keys, theirs)
	maps.Copy(keys, ours)
	var all []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, b := theirs.value(key), ours.value(key)
		if a != b {
			all = append(all, fmt.Sprintf("%s: %s -> %s", key, a, b))
		}
	}
	return all
}

func (a answer) value(key string) string {
	if v, ok := a[key]; ok {
		return v
	}
	return "(none)"
}

// reason is why some answers may differ.
type reason struct {
	text string
	// pending is the part of the hub that is being built, for differences that go away.
	pending string
	entries []*entry
}

// entry matches differences by patterns in which "*" is any text.
type entry struct {
	line       string
	step, diff *regexp.Regexp
	used       int
}

// readAllowed reads allowed.txt: "= REASON" or "= pending PART: REASON", and below it lines "STEPS | DIFFERENCES".
func readAllowed(t *testing.T) []*reason {
	t.Helper()
	text, err := os.ReadFile("allowed.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []*reason
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '=':
			all = append(all, newReason(strings.TrimSpace(line[1:])))
		default:
			steps, diffs, ok := strings.Cut(line, " | ")
			if !ok || len(all) == 0 {
				t.Fatalf("allowed.txt:%d: not STEPS | DIFFERENCES below a reason: %s", n+1, line)
			}
			r := all[len(all)-1]
			r.entries = append(r.entries, &entry{line: line, step: pattern(steps), diff: pattern(diffs)})
		}
	}
	return all
}

func newReason(text string) *reason {
	if rest, ok := strings.CutPrefix(text, "pending "); ok {
		part, text, _ := strings.Cut(rest, ": ")
		return &reason{text: text, pending: part}
	}
	return &reason{text: text}
}

// pattern is a pattern for a whole text: "*" is any text, "a || b" one of several.
func pattern(text string) *regexp.Regexp {
	var all []string
	for _, p := range strings.Split(text, " || ") {
		all = append(all, strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(p)), `\*`, ".*"))
	}
	return regexp.MustCompile("^(" + strings.Join(all, "|") + ")$")
}

// allowed reports whether a difference is on the list.
func allowed(list []*reason, step, diff string) bool {
	found := false
	for _, r := range list {
		for _, e := range r.entries {
			if e.step.MatchString(step) && e.diff.MatchString(diff) {
				e.used++
				found = true
			}
		}
	}
	return found
}
