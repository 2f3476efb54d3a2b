package hub_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/edgehub/edgehub/"

// deps lists the packages that a package of this module is built from, besides the standard library and itself.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+pkg)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool { return p == module+pkg })
}

// TestVocabularyNeedsOnlyTheStandardLibrary keeps what everything imports from importing anything.
func TestVocabularyNeedsOnlyTheStandardLibrary(t *testing.T) {
	t.Parallel()
	if got := deps(t, "controlplane/hub"); len(got) != 0 {
		t.Errorf("controlplane/hub needs %q", got)
	}
}

// TestLayers holds the lower half of the list of who may import whom.
func TestLayers(t *testing.T) {
	t.Parallel()
	for pkg, allowed := range map[string][]string{
		"controlplane/store":   {"controlplane/hub", "routes"},
		"controlplane/etcd":    {"controlplane/hub"},
		"controlplane/web":     {"controlplane/hub", "routes"},
		"controlplane/token":   {"controlplane/hub", "routes", "controlplane/store"},
		"controlplane/account": {"controlplane/hub", "routes", "controlplane/store", "controlplane/token", "controlplane/access"},
	} {
		for _, dep := range deps(t, pkg) {
			if own, ok := strings.CutPrefix(dep, module); ok && !slices.Contains(allowed, own) {
				t.Errorf("%s needs %s, allowed are %q", pkg, own, allowed)
			}
		}
	}
}
