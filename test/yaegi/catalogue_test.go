package yaegi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/traefik/paerser/file"
	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// root is the repository, which the catalogue unpacks as a whole.
const root = "../.."

// manifest is .traefik.yml as the catalogue and Traefik read it.
type manifest struct {
	DisplayName   string         `yaml:"displayName"`
	Type          string         `yaml:"type"`
	Runtime       string         `yaml:"runtime"`
	Import        string         `yaml:"import"`
	BasePkg       string         `yaml:"basePkg"`
	Compatibility string         `yaml:"compatibility"`
	Summary       string         `yaml:"summary"`
	IconPath      string         `yaml:"iconPath"`
	BannerPath    string         `yaml:"bannerPath"`
	UseUnsafe     bool           `yaml:"useUnsafe"`
	TestData      map[string]any `yaml:"testData"`
}

func readManifest(t *testing.T) *manifest {
	t.Helper()
	m := &manifest{}
	// Traefik's own reader of configuration, which refuses keys that it does not know.
	if err := file.Decode(filepath.Join(root, ".traefik.yml"), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func readModule(t *testing.T) *modfile.File {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}

// TestTheCatalogueTakesTheManifest repeats what Traefik's plugin catalogue asks of .traefik.yml, go.mod and the repository
// (github.com/traefik/piceus, pkg/core), and what Traefik asks of a local plugin's manifest (pkg/plugins/plugins.go).
func TestTheCatalogueTakesTheManifest(t *testing.T) {
	m, mod := readManifest(t), readModule(t)
	for name, value := range map[string]string{"displayName": m.DisplayName, "summary": m.Summary, "import": m.Import} {
		if value == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if m.Type != "middleware" || m.Runtime != "" && m.Runtime != "yaegi" {
		t.Errorf("type %q and runtime %q are not those of an interpreted middleware", m.Type, m.Runtime)
	}
	if m.UseUnsafe {
		t.Error("useUnsafe: operators would have to allow it, and the catalogue would not try the plugin")
	}
	if len(m.TestData) == 0 {
		t.Error("testData is missing")
	}
	name := mod.Module.Mod.Path
	if err := module.CheckPath(name); err != nil || !strings.HasPrefix(name, "github.com/") {
		t.Errorf("the module %s is not named after a repository: %v", name, err)
	}
	if !strings.HasPrefix(m.Import, name) {
		t.Errorf("the import %s is not in the module %s", m.Import, name)
	}
	for _, r := range mod.Require {
		for _, banned := range []string{"traefik/yaegi", "traefik/traefik", "traefik/mesh", "containous/"} {
			if strings.Contains(r.Mod.Path, "github.com/"+banned) {
				t.Errorf("go.mod requires %s, which the catalogue refuses", r.Mod.Path)
			}
		}
	}
	for _, f := range []string{"README.md", m.IconPath, m.BannerPath} {
		if _, err := os.Stat(filepath.Join(root, f)); err != nil {
			t.Error(err)
		}
	}
}

// TestTheCatalogueLoadsThePlugin does what the catalogue does with the sources: the whole repository in a GOPATH, with its
// tests and without any dependency, no environment, one import, testData into CreateConfig's answer, New within ten seconds.
func TestTheCatalogueLoadsThePlugin(t *testing.T) {
	m, mod := readManifest(t), readModule(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	i := interp.New(interp.Options{GoPath: goPathWith(t, mod.Module.Mod.Path)})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	eval := func(src string) reflect.Value {
		t.Helper()
		v, err := i.EvalWithContext(ctx, src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		return v
	}
	eval(`import "` + m.Import + `"`)
	base := m.BasePkg
	if base == "" {
		base = strings.ReplaceAll(path.Base(m.Import), "-", "_")
	}
	config := eval(base + ".CreateConfig()")
	if err := decode(m.TestData, config.Interface()); err != nil {
		t.Fatal("testData:", err)
	}
	if unknown := config.Elem().FieldByName("Unknown"); unknown.Len() != 0 {
		t.Errorf("testData has options that the plugin does not have: %v", unknown)
	}
	create := eval(base + ".New")
	checkSignature(t, create.Type(), config.Type())
	next := http.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	results := create.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf("test")})
	if err := results[1].Interface(); err != nil {
		t.Fatal("New:", err)
	}
	edge, ok := results[0].Interface().(http.Handler)
	if !ok {
		t.Fatalf("New made no handler but %T", results[0].Interface())
	}
	// The catalogue ends here. But what it shows as the example should not be a wrong configuration.
	rec := httptest.NewRecorder()
	edge.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	if strings.Contains(rec.Body.String(), "wrong configuration") {
		t.Errorf("testData close the edge: %s", rec.Body)
	}
}

// goPathWith is a GOPATH that holds the repository under its module's name.
func goPathWith(t *testing.T, name string) string {
	t.Helper()
	goPath := t.TempDir()
	place := filepath.Join(goPath, "src", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(repository, place); err != nil {
		t.Fatal(err)
	}
	return goPath
}

// checkSignature is the catalogue's idea of func(context.Context, http.Handler, *Config, string) (http.Handler, error).
func checkSignature(t *testing.T, create, config reflect.Type) {
	t.Helper()
	contexts, handlers, failures := reflect.TypeFor[context.Context](), reflect.TypeFor[http.Handler](), reflect.TypeFor[error]()
	if create.NumIn() != 4 || create.NumOut() != 2 {
		t.Fatalf("New is %s", create)
	}
	if !create.In(0).Implements(contexts) || !create.In(1).Implements(handlers) || !create.In(2).AssignableTo(config) ||
		create.In(3).Kind() != reflect.String || !create.Out(0).Implements(handlers) || !create.Out(1).Implements(failures) {
		t.Errorf("New is %s", create)
	}
}
