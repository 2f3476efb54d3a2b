package yaegi

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// loaded is the plugin inside an interpreter: Traefik has one interpreter for a plugin and calls New many times.
type loaded struct {
	createConfig, create reflect.Value
}

func load(t testing.TB) *loaded {
	t.Helper()
	return loadFrom(t, plugin.Files, io.MultiWriter(os.Stderr, logged))
}

// loadFrom is load for a plugin of other files, whose log goes to out.
func loadFrom(t testing.TB, files func() (map[string][]byte, error), out io.Writer) *loaded {
	t.Helper()
	goPath := t.TempDir()
	write(t, goPath, "plugin", files)
	write(t, goPath, "routes", routes.Files)
	i := interp.New(interp.Options{GoPath: goPath, Env: os.Environ(), Stderr: out})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{`import "github.com/edgehub/edgehub/plugin"`} {
		if _, err := i.Eval(src); err != nil {
			t.Fatal(err)
		}
	}
	eval := func(name string) reflect.Value {
		v, err := i.Eval(name)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if _, err := i.Eval("plugin.Files"); err == nil {
		t.Error("source.go is meant for the compiler only, but Yaegi loaded it")
	}
	return &loaded{createConfig: eval("plugin.CreateConfig"), create: eval("plugin.New")}
}

func write(t testing.TB, goPath, name string, files func() (map[string][]byte, error)) {
	t.Helper()
	dir := filepath.Join(goPath, "src", "github.com", "edgehub", "edgehub", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range all {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// make calls CreateConfig and New as Traefik does.
func (l *loaded) make(t testing.TB, o edgetest.Options) http.Handler {
	t.Helper()
	config := l.createConfig.Call(nil)[0]
	for name, value := range map[string]any{"Etcd": o.Etcd, "Prefix": o.Prefix, "Hub": o.Hub, "PublicURL": o.PublicURL, "BaseURL": o.BaseURL,
		"StoppedStatus": o.StoppedStatus, "ActivityInterval": o.ActivityInterval,
		"UserDomain": o.UserDomain, "APIHosts": o.APIHosts, "QueryTokens": o.QueryTokens,
		"LogFields": o.LogFields, "StatusPath": o.StatusPath, "StatusTokenFile": o.StatusTokenFile} {
		config.Elem().FieldByName(name).Set(reflect.ValueOf(value))
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	next := http.Handler(http.NotFoundHandler())
	results := l.create.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf(t.Name())})
	if err := results[1].Interface(); err != nil {
		t.Fatal(err)
	}
	h := results[0].Interface().(http.Handler)
	if o.AccessLog != "" {
		return edgetest.Logged(h, o.AccessLog)
	}
	return h
}

// logged is what interpreted edges and Traefik wrote into their logs in all tests.
var logged = &safeBuffer{}

func TestMain(m *testing.M) {
	code := m.Run()
	edgetest.StopSharedEtcd()
	for _, secret := range edgetest.Leaked(logged.String()) {
		log.Printf("the log shows the secret %q", secret)
		code = 1
	}
	os.Exit(code)
}

func TestInterpreted(t *testing.T) { edgetest.Run(t, load(t).make) }
