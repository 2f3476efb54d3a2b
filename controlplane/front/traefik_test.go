package front

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
)

func readYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := yaml.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return m
}

func dig(m map[string]any, path ...string) any {
	var v any = m
	for _, p := range path {
		section, _ := v.(map[string]any)
		v = section[p]
	}
	return v
}

func written(t *testing.T) *Traefik {
	t.Helper()
	tr := &Traefik{Dir: t.TempDir(), Listen: "127.0.0.1:1", Plugin: &Config{Etcd: []string{"unix:///x"}, Prefix: "/edgehub/"}}
	if err := tr.Write(); err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestNothingFallsThrough is facts F5 and T18: one router for everything, and no Traefik without the plugin.
func TestNothingFallsThrough(t *testing.T) {
	t.Parallel()
	tr := written(t)
	static := readYAML(t, filepath.Join(tr.Dir, "traefik.yml"))
	if dig(static, "experimental", "abortOnPluginFailure") != true {
		t.Error("Traefik would start without the plugin")
	}
	if dig(static, "api") != nil {
		t.Error("Traefik's API, which shows plugin settings, is on")
	}
	dynamic := readYAML(t, filepath.Join(tr.Dir, "dynamic", "hub.yml"))
	routers, _ := dig(dynamic, "http", "routers").(map[string]any)
	if len(routers) != 1 || dig(dynamic, "http", "routers", "edgehub", "rule") != "PathPrefix(`/`)" {
		t.Errorf("want one router for every path, got %v", routers)
	}
	if got := dig(dynamic, "http", "routers", "edgehub", "middlewares"); !reflect.DeepEqual(got, []any{"edgehub"}) {
		t.Errorf("middlewares before the plugin could change the path: %v", got)
	}
}

// TestThePluginFolderIsWhatTheCatalogueWouldLoad compares what we write with the manifest that Traefik's catalogue reads.
func TestThePluginFolderIsWhatTheCatalogueWouldLoad(t *testing.T) {
	t.Parallel()
	tr := written(t)
	root := filepath.Join(tr.Dir, "plugins-local", "src", filepath.FromSlash(module))
	ours, theirs := readYAML(t, filepath.Join(root, ".traefik.yml")), readYAML(t, "../../.traefik.yml")
	for _, key := range []string{"displayName", "type", "import"} {
		if ours[key] != theirs[key] {
			t.Errorf("%s: we write %v, the manifest says %v", key, ours[key], theirs[key])
		}
	}
	options := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		options[name] = true
	}
	testData, _ := theirs["testData"].(map[string]any)
	if len(testData) == 0 {
		t.Error("the manifest has no testData")
	}
	for name := range testData {
		if !options[name] {
			t.Errorf("testData names %s, which is no option of the plugin", name)
		}
	}
	count := 0
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, "_test.go") {
			t.Errorf("a test file in the plugin folder: %s", path)
		}
		if strings.HasSuffix(path, ".go") {
			count++
		}
		return err
	})
	if err != nil || count < 10 {
		t.Errorf("%d source files, %v", count, err)
	}
}

func TestTheModuleRequiresNeitherTraefikNorYaegi(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"github.com/traefik/traefik", "github.com/traefik/yaegi"} {
		if strings.Contains(string(text), banned) {
			t.Errorf("go.mod requires %s: the plugin catalogue refuses that", banned)
		}
	}
}

func TestAMissingTraefikSaysWhatToDo(t *testing.T) {
	t.Parallel()
	_, err := FindTraefik(filepath.Join(t.TempDir(), "traefik"))
	if hub.KindOf(err) != hub.Unavailable || !strings.Contains(err.Error(), "--traefik FILE") {
		t.Errorf("got %v", err)
	}
}
