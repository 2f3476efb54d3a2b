package yaegi

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/mitchellh/mapstructure"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
)

// decode fills a Config, compiled or interpreted, as Traefik does (pkg/plugins/middlewareyaegi.go): names by fields without
// regard to case, one string for a list too. It leaves out that Traefik does not decode at all where there are no options.
func decode(options map[string]any, config any) error {
	d, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		DecodeHook: mapstructure.StringToSliceHookFunc(","), WeaklyTypedInput: true, Result: config})
	if err != nil {
		return err
	}
	return d.Decode(options)
}

// TestEveryOptionIsReadByItsName sets each option by the name in its tag, as Traefik would, and looks where it arrives.
// It is here because Traefik goes by the names of the fields, not by the tags.
func TestEveryOptionIsReadByItsName(t *testing.T) {
	interpreted := load(t).createConfig.Call(nil)[0]
	for name, config := range map[string]reflect.Value{"compiled": reflect.ValueOf(plugin.CreateConfig()), "interpreted": interpreted} {
		for _, f := range reflect.VisibleFields(reflect.TypeFor[plugin.Config]()) {
			option, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if option == "-" {
				continue
			}
			if option == "" {
				t.Errorf("the field %s has no name for operators in a json tag", f.Name)
				continue
			}
			var value any = "7"
			if f.Type.Kind() == reflect.Bool {
				value = "true"
			}
			if err := decode(map[string]any{option: value}, config.Interface()); err != nil {
				t.Errorf("%s: option %s: %v", name, option, err)
			}
			if unknown := config.Elem().FieldByName("Unknown"); unknown.Len() != 0 {
				t.Errorf("%s: option %s does not reach the field %s: %v", name, option, f.Name, unknown)
			}
			if config.Elem().FieldByName(f.Name).IsZero() {
				t.Errorf("%s: option %s leaves the field %s empty", name, option, f.Name)
			}
		}
	}
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

// newEdge makes an edge from options and writes its log to out.
type newEdge func(t *testing.T, options map[string]any, out io.Writer) http.Handler

func newCompiled(t *testing.T, options map[string]any, out io.Writer) http.Handler {
	t.Helper()
	log.SetOutput(out)
	config := plugin.CreateConfig()
	if err := decode(options, config); err != nil {
		t.Fatal(err)
	}
	h, err := plugin.New(t.Context(), http.NotFoundHandler(), config, "hub@file")
	if err != nil {
		t.Fatal("New failed, so that Traefik would drop the router:", err)
	}
	return h
}

func newInterpreted(t *testing.T, options map[string]any, out io.Writer) http.Handler {
	t.Helper()
	l := loadFrom(t, plugin.Files, out)
	config := l.createConfig.Call(nil)[0]
	if err := decode(options, config.Interface()); err != nil {
		t.Fatal(err)
	}
	ctx, next := context.Context(t.Context()), http.Handler(http.NotFoundHandler())
	results := l.create.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf("hub@file")})
	if err := results[1].Interface(); err != nil {
		t.Fatal("New failed, so that Traefik would drop the router:", err)
	}
	return results[0].Interface().(http.Handler)
}

// TestAWrongOptionClosesTheEdge lays each mistake over options that work: every path is 503 then, also to the owner of a
// running server, and the log says which option it is. test/operators does the same in Traefik.
func TestAWrongOptionClosesTheEdge(t *testing.T) {
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	for name, make := range map[string]newEdge{"compiled": newCompiled, "interpreted": newInterpreted} {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range edgetest.WrongOptions {
				t.Run(wrong.Name, func(t *testing.T) { closes(t, make, wrong) })
			}
		})
	}
}

func closes(t *testing.T, make newEdge, wrong edgetest.WrongOption) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	w.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
	good := edgetest.Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}}
	out := &safeBuffer{}
	w.Serve(make(t, wrong.With(good.Map()), out))
	w.Eventually("the log says "+wrong.Says, func() bool { return strings.Contains(out.String(), wrong.Says) })
	w.AssertClosed("alice")
	if strings.Contains(out.String(), edgetest.Canary) {
		t.Errorf("the log shows a secret:\n%s", out)
	}
}
