package differential

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

const goldenFile = "golden/jupyterhub.txtar"

// common are lines that nearly all answers of JupyterHub have. In the file their absence stands, as a line without a value.
func common(version string) answer {
	return answer{"header Access-Control-Allow-Headers": "accept, content-type, authorization", "header Content-Security-Policy": "yes",
		"header X-Jupyterhub-Version": version}
}

// readGolden returns the recorded answers and the version of JupyterHub that gave them.
func readGolden(t *testing.T) (version string, answers map[string]answer) {
	t.Helper()
	archive, err := txtar.ParseFile(goldenFile)
	if err != nil {
		t.Fatalf("%s: run this test with -record where a JupyterHub 6 is", err)
	}
	_, version, _ = strings.Cut(strings.TrimSpace(string(archive.Comment)), " ")
	answers = map[string]answer{}
	for _, f := range archive.Files {
		answers[f.Name] = parseGolden(common(version), string(f.Data))
	}
	return version, answers
}

func parseGolden(a answer, text string) answer {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if a[key] = value; !ok {
			delete(a, key)
		}
	}
	return a
}

// writeGolden records answers in the order of the script.
func writeGolden(t *testing.T, version string, script []*step, answers map[string]answer) {
	t.Helper()
	archive := &txtar.Archive{Comment: []byte("JupyterHub " + version + "\n")}
	for _, st := range script {
		text := formatGolden(common(version), answers[st.name])
		archive.Files = append(archive.Files, txtar.File{Name: st.name, Data: []byte(text)})
	}
	if err := os.WriteFile(goldenFile, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func formatGolden(usual, a answer) string {
	keys := maps.Clone(usual)
	maps.Copy(keys, a)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		switch value, ok := a[key]; {
		case !ok:
			fmt.Fprintln(&text, key)
		case value != usual[key] || usual[key] == "":
			fmt.Fprintf(&text, "%s: %s\n", key, value)
		}
	}
	return text.String()
}
