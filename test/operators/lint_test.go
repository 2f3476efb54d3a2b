package operators

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/plugin"
)

// example is a shipped configuration, whatever form it is shipped in.
type example struct {
	static      section // nil where it has none
	routers     map[string]section
	middlewares map[string]section
}

// examples are all that the manual shows, and what `edgehub up --edge=traefik` writes to copy from.
func examples(t *testing.T) map[string]example {
	t.Helper()
	all := map[string]example{}
	for _, name := range []string{"hub.yml", "hub-etcd-tls.yml", "two-hubs.yml"} {
		all[name] = dynamic(t, parse(t, block(t, name)), parse(t, block(t, "traefik.yml")))
	}
	compose, _ := dig(parse(t, block(t, "compose.yml")), "services", "traefik").(section)
	all["compose.yml"] = dynamic(t, unflat(labels(t, compose))["traefik"].(section), unflat(flags(texts(t, compose["command"]))))
	all["kubernetes.yaml"] = manifests(t, unflat(flags(chartArguments(t, block(t, "values.yaml")))))
	up := &front.Traefik{Dir: t.TempDir(), Listen: "127.0.0.1:8000", Plugin: &plugin.Config{Etcd: []string{"unix:///etcd.sock"}, Prefix: "/edgehub/"}}
	if err := up.Write(); err != nil {
		t.Fatal(err)
	}
	all["edgehub up"] = dynamic(t, parse(t, read(t, filepath.Join(up.Dir, "dynamic", "hub.yml"))),
		parse(t, read(t, filepath.Join(up.Dir, "traefik.yml"))))
	return all
}

func dynamic(t *testing.T, config, static section) example {
	t.Helper()
	return example{static: static, routers: sections(t, dig(config, "http", "routers")), middlewares: sections(t, dig(config, "http", "middlewares"))}
}

func sections(t *testing.T, v any) map[string]section {
	t.Helper()
	all := map[string]section{}
	s, _ := v.(section)
	for name, below := range s {
		below, ok := below.(section)
		if !ok {
			t.Fatalf("%s is no section", name)
		}
		all[name] = below
	}
	return all
}

// manifests are Kubernetes' objects in the words of the other forms.
func manifests(t *testing.T, static section) example {
	t.Helper()
	e := example{static: static, routers: map[string]section{}, middlewares: map[string]section{}}
	for _, o := range documents(t, block(t, "kubernetes.yaml")) {
		name, _ := dig(o, "metadata", "name").(string)
		spec, _ := o["spec"].(section)
		switch o["kind"] {
		case "Middleware":
			e.middlewares[name] = spec
		case "IngressRoute":
			routes, _ := spec["routes"].([]any)
			for _, r := range routes {
				route := r.(section)
				e.routers[route["match"].(string)] = section{"rule": route["match"],
					"middlewares": names(route["middlewares"]), "service": names(route["services"])[0]}
			}
		default:
			t.Errorf("nobody has looked at what a %v does", o["kind"])
		}
	}
	return e
}

func names(v any) []any {
	var all []any
	list, _ := v.([]any)
	for _, x := range list {
		all = append(all, x.(section)["name"])
	}
	return all
}

// flags are arguments like labels: --a.b=c.
func flags(args []string) map[string]string {
	all := map[string]string{}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		all[name] = value
	}
	return all
}

// unflat makes sections of names with dots. What is both a value and a section, as Traefik allows, is a section.
func unflat(flat map[string]string) section {
	root := section{}
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		s, path := root, strings.Split(name, ".")
		for _, key := range path[:len(path)-1] {
			below, ok := s[key].(section)
			if !ok {
				below = section{}
				s[key] = below
			}
			s = below
		}
		s[path[len(path)-1]] = flat[name]
	}
	return root
}

var oneHost = regexp.MustCompile("^Host\\(`[a-z.]+`\\)$")

// TestOneRouterForEachHost is what the manual asks for under "Never a second router", of all that we ship: one router for each host,
// or for everything; nothing but the plugin on it; and nowhere to go on from there.
func TestOneRouterForEachHost(t *testing.T) {
	for name, e := range examples(t) {
		rules := map[any]bool{}
		if len(e.routers) == 0 {
			t.Errorf("%s: no router", name)
		}
		for id, router := range e.routers {
			rule, _ := router["rule"].(string)
			if everything := rule == "PathPrefix(`/`)" && len(e.routers) == 1; !everything && !oneHost.MatchString(rule) || rules[rule] {
				t.Errorf("%s: router %s has the rule %s", name, id, rule)
			}
			rules[rule] = true
			if router["service"] != "noop@internal" {
				t.Errorf("%s: router %s leads to %v", name, id, router["service"])
			}
			on := router["middlewares"]
			if text, ok := on.(string); ok {
				on = []any{text}
			}
			if list, _ := on.([]any); len(list) != 1 || !isPlugin(e.middlewares[list[0].(string)]) {
				t.Errorf("%s: router %s has the middlewares %v", name, id, on)
			}
		}
	}
}

func isPlugin(middleware section) bool {
	return len(middleware) == 1 && dig(middleware, "plugin", "edgehub") != nil
}

// TestNoExampleOpensAnythingElse looks at the static configurations: nothing of Traefik's own is served, and nothing that the plugin
// relies on is switched off.
func TestNoExampleOpensAnythingElse(t *testing.T) {
	for name, e := range examples(t) {
		static := e.static
		chart := name == "kubernetes.yaml" // its entry points for these are inside the cluster
		for _, feature := range []string{"api", "metrics", "ping"} {
			if !chart && static[feature] != nil {
				t.Errorf("%s: %s is on", name, feature)
			}
		}
		if dashboard := dig(static, "api", "dashboard"); chart && dashboard != "false" || dig(static, "api", "insecure") != nil {
			t.Errorf("%s: the API is on", name)
		}
		experimental, _ := static["experimental"].(section)
		if on := first(experimental["abortOnPluginFailure"], experimental["abortonpluginfailure"]); on != true && on != "true" {
			t.Errorf("%s: Traefik would start without the plugin", name)
		}
		for id, entry := range sections(t, static["entryPoints"]) {
			if dig(entry, "http", "sanitizePath") != nil || dig(entry, "http", "encodedCharacters") != nil || dig(entry, "forwardedHeaders") != nil {
				t.Errorf("%s: entry point %s: %v", name, id, entry)
			}
		}
	}
}

func first(values ...any) any {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}
