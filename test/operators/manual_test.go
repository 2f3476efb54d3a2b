package operators

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/test/env"
)

// blocks are those of the manual by their file names.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range named.FindAllStringSubmatch(manual(t), -1) {
		if all[m[1]] != "" {
			t.Errorf("docs/traefik.md has two blocks %s", m[1])
		}
		all[m[1]] = m[2]
	}
	return all
}

var (
	fence = regexp.MustCompile("(?m)^```[a-z]+$")
	named = regexp.MustCompile("(?ms)^<!-- file: (\\S+) -->\n```[a-z]+\n(.*?)^```$")
)

func manual(t *testing.T) string {
	t.Helper()
	return read(t, filepath.Join(env.Root(), "docs", "traefik.md"))
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is one of the manual's, with replacements in pairs.
func block(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	text, ok := blocks(t)[name]
	if !ok {
		t.Fatalf("docs/traefik.md has no block %s", name)
	}
	return replaced(t, text, pairs...)
}

// replaced is text with replacements in pairs, each of which has to be found.
func replaced(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q to replace in:\n%s", pairs[i], text)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// section is a part of a YAML document.
type section = map[string]any

func parse(t *testing.T, text string) section {
	t.Helper()
	var s section
	if err := yaml.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%s\n%s", err, text)
	}
	return s
}

// dig is the value at a path of keys, nil if there is none.
func dig(s section, path ...string) any {
	var v any = s
	for _, key := range path {
		below, _ := v.(section)
		v = below[key]
	}
	return v
}

// TestEveryBlockOfTheManualIsLoaded fails for a block that somebody adds without a test that loads it.
func TestEveryBlockOfTheManualIsLoaded(t *testing.T) {
	all := blocks(t)
	if n := len(fence.FindAllString(manual(t), -1)); n != len(all) {
		t.Errorf("docs/traefik.md has %d blocks, %d of them with <!-- file: NAME --> in front", n, len(all))
	}
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, file := range tests {
		sources.WriteString(read(t, file))
	}
	for name := range all {
		if !strings.Contains(sources.String(), `"`+name+`"`) {
			t.Errorf("no test loads the block %s of docs/traefik.md", name)
		}
	}
}
