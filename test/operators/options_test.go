package operators

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/test/env"
)

// optionRow is a row of the manual's table of options: | `name`, `name` | ...
var optionRow = regexp.MustCompile("(?m)^\\| (`[a-zA-Z]+`(?:, `[a-zA-Z]+`)*) \\| [^|]*\\| .+ \\|$")

// TestEveryOptionIsInTheManual keeps the table of options in docs/traefik.md complete, in both directions.
func TestEveryOptionIsInTheManual(t *testing.T) {
	_, table, _ := strings.Cut(manual(t), "\n## Options\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string]bool{}
	for _, m := range optionRow.FindAllStringSubmatch(table, -1) {
		for _, name := range strings.Split(m[1], ", ") {
			rows[strings.Trim(name, "`")] = true
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[plugin.Config]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if !rows[name] {
			t.Errorf("plugin.Config has the option %s, and docs/traefik.md does not: add a row \"| `%s` | default | meaning |\" below \"## Options\"",
				name, name)
		}
		delete(rows, name)
	}
	for name := range rows {
		t.Errorf("docs/traefik.md documents the option %s, which plugin.Config does not have", name)
	}
}

// changing is a Traefik whose dynamic configuration a test changes.
type changing struct {
	*traefik
	*edgetest.World
	t       *testing.T
	changes int
}

// Address implements edgetest.Remote.
func (c *changing) Address() string { return c.web }

// ServeHTTP implements edgetest.Remote, which is served elsewhere.
func (c *changing) ServeHTTP(http.ResponseWriter, *http.Request) {}

func newChanging(t *testing.T) *changing {
	t.Helper()
	p := newPlace(t)
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	w.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
	c := &changing{World: w, t: t}
	p.write(t, "dynamic.yml", "{}")
	c.traefik = p.start(t, "--entryPoints.web.address="+p.web, "--log.level=INFO", "--log.noColor=true",
		"--providers.providersThrottleDuration=10ms", "--providers.file.filename="+filepath.Join(p.dir, "dynamic.yml"),
		"--experimental.abortOnPluginFailure=true", "--experimental.localPlugins.edgehub.moduleName="+module)
	w.Serve(c)
	return c
}

// use makes Traefik use a middleware for everything. It returns when it does, with what it has logged since.
func (c *changing) use(router, middlewares section) func() string {
	c.t.Helper()
	before := len(c.log(c.t))
	c.changes++
	probe := fmt.Sprintf("probe-%d.example.org", c.changes)
	router["rule"], router["service"] = "PathPrefix(`/`)", "noop@internal"
	text, err := json.Marshal(section{"http": section{"middlewares": middlewares, "routers": section{
		"hub": router, "probe": section{"rule": "Host(`" + probe + "`)", "service": "noop@internal", "priority": 1000}}}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(c.t, "dynamic.yml", string(text))
	env.Eventually(c.t, "Traefik has taken up its configuration", 20*time.Second, func() error {
		resp, err := http.DefaultTransport.RoundTrip(request(c.t, "http://"+c.web, probe))
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusTeapot {
			return os.ErrNotExist
		}
		return nil
	})
	return func() string { return c.log(c.t)[before:] }
}

func (c *changing) options(options section) func() string {
	c.t.Helper()
	return c.use(section{"middlewares": []string{"hub"}}, section{"hub": section{"plugin": section{"edgehub": options}}})
}

// good are options that work.
func (c *changing) good() section {
	return edgetest.Options{Etcd: []string{c.Etcd.Endpoint}, Prefix: c.Prefix, Hub: []string{c.Hub.URL}}.Map()
}

func (c *changing) assertOpen() {
	c.t.Helper()
	c.Eventually("alice gets her server", func() bool {
		seen := c.World.Get("alice", "/user/alice/api").Seen()
		return seen != nil && seen.Server == "alice"
	})
}

// TestAWrongOptionClosesTheEdge is the same table as in test/yaegi, in Traefik, which changes between options that work and
// wrong ones while it runs.
func TestAWrongOptionClosesTheEdge(t *testing.T) {
	c := newChanging(t)
	for _, wrong := range edgetest.WrongOptions {
		c.options(c.good())
		c.assertOpen()
		said := c.options(wrong.With(c.good()))
		c.Eventually(wrong.Name+": the log says "+wrong.Says, func() bool { return strings.Contains(said(), wrong.Says) })
		c.AssertClosed("alice")
		if t.Failed() {
			t.Fatalf("%s: %v", wrong.Name, wrong.Change)
		}
	}
	if strings.Contains(c.log(t), edgetest.Canary) {
		t.Error("the log shows a secret")
	}
	c.options(c.good())
	c.assertOpen()
}

// TestWhatTraefikItselfRefusesIsNobodys shows the mistakes that do not reach the plugin: there is no router then, and the log has
// the lines that the manual quotes.
func TestWhatTraefikItselfRefusesIsNobodys(t *testing.T) {
	c := newChanging(t)
	hub := func(plugin string, options section) section {
		return section{"hub": section{"plugin": section{plugin: options}}}
	}
	wrongKind := c.good()
	wrongKind["etcd"] = section{"host": "etcd-1"}
	for _, mistake := range []struct {
		name        string
		middleware  string
		middlewares section
		says        []string
	}{
		{"an option of another kind", "hub", hub("edgehub", wrongKind),
			[]string{"failed to decode configuration", `'Etcd[0]' expected type 'string', got unconvertible type 'map[string]interface {}'`}},
		{"no such middleware", "hbu", hub("edgehub", c.good()), []string{`middleware "hbu@file" does not exist`}},
		{"no such plugin", "hub", hub("edgehubb", c.good()), []string{"plugin: unknown plugin type: edgehubb"}},
	} {
		c.options(c.good())
		c.assertOpen()
		said := c.use(section{"middlewares": []string{mistake.middleware}}, mistake.middlewares)
		for _, line := range mistake.says {
			if !strings.Contains(manual(t), line) {
				t.Errorf("%s: docs/traefik.md does not quote %q", mistake.name, line)
			}
			c.Eventually(mistake.name+": the log says "+line, func() bool { return strings.Contains(strings.ReplaceAll(said(), `\"`, `"`), line) })
		}
		for _, path := range []string{"/", "/hub/home", "/user/alice/api"} {
			if a := c.World.Get("alice", path); a.Status != http.StatusNotFound || a.Seen() != nil {
				t.Errorf("%s: %s: %d %s, want 404", mistake.name, path, a.Status, a.Body)
			}
		}
	}
}

// TestTheManualQuotesTheLog compares the lines that the manual shows with what the edge says.
func TestTheManualQuotesTheLog(t *testing.T) {
	c := newChanging(t)
	for _, m := range []map[string]any{{"etcd": []string{"etcd-1:2379"}}, {"etcdPassword": "x"}, {"etcdUsername": "edge"}} {
		said := c.options(edgetest.WrongOption{Change: m}.With(c.good()))
		closed := regexp.MustCompile(`edgehub edge: middleware "hub@file" is closed[^\n]*?(?: module=.*)?\n`)
		var line string
		c.Eventually("the log has a line", func() bool { line = closed.FindString(said()); return line != "" })
		line, _, _ = strings.Cut(strings.TrimSpace(line), " module=")
		if !strings.Contains(manual(t), "    "+line+"\n") {
			t.Errorf("docs/traefik.md does not show this line of the log:\n%s", line)
		}
	}
}
