package account_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

func spec(name, url, token string) account.ServiceSpec {
	return account.ServiceSpec{Service: hub.Service{Name: name, URL: url, Display: true}, Token: token}
}

// TestServicesOfTheFile starts several replicas with one file, then with a shorter one.
func TestServicesOfTheFile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateService(t.Context(), hub.Service{Name: "byhand"}, "0123456789abcdef-byhand")
	f.must("CreateService", err)
	f.must("PutAdminService", f.PutAdminService(t.Context(), "bootstrap", "bootstrap secret"))
	app := spec("app", "http://127.0.0.1:1", "0123456789abcdef-app")
	app.Protect, app.Users = true, []hub.UserName{"alice"}
	file := []account.ServiceSpec{app, spec("jobs", "", "")}
	sync1 := func(specs []account.ServiceSpec) {
		t.Helper()
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if err := f.SyncServices(t.Context(), specs); err != nil {
					t.Errorf("SyncServices: %v", err)
				}
			})
		}
		all.Wait()
	}
	sync1(file)
	if got := f.serviceNames(); got != "app bootstrap byhand jobs" {
		t.Errorf("services: %s", got)
	}
	stored, err := f.Service(t.Context(), "app")
	f.must("Service", err)
	if !stored.FromConfig || len(stored.Secret) < 16 || f.byToken("0123456789abcdef-app").Service != "app" {
		t.Errorf("stored: %+v", stored)
	}
	route := f.edgeRoute("/services/app/")
	if route == nil || route.Auth != routes.AuthHeaders || route.Secret != stored.Secret || strings.Join(route.Names, " ") != "alice" || route.Service != "app" {
		t.Errorf("route: %+v", route)
	}
	dump := storetest.Dump(t, f.store, f.client)
	for key, value := range dump {
		if strings.Contains(key+value, "0123456789abcdef-") {
			t.Errorf("a token is stored as it is: %s %s", key, value)
		}
	}

	sync1(file) // the next start
	again, err := f.Service(t.Context(), "app")
	f.must("Service", err)
	if again.Secret != stored.Secret {
		t.Error("another start changed what the service and edges share")
	}

	file[0].Token, file[0].Protect, file[0].Users = "", false, nil
	sync1(file[:1])
	if got := f.serviceNames(); got != "app bootstrap byhand" {
		t.Errorf("services after jobs has gone from the file: %s", got)
	}
	if _, err := f.ByToken(t.Context(), "0123456789abcdef-app"); hub.KindOf(err) != hub.Unauthenticated {
		t.Errorf("a token that is no more in the file: %v", err)
	}
	if route := f.edgeRoute("/services/app/"); route == nil || route.Auth != routes.AuthPass || route.Secret != "" || len(route.Names) > 0 {
		t.Errorf("route: %+v", route)
	}
	sync1(nil)
	if got := f.serviceNames(); got != "bootstrap byhand" || f.edgeRoute("/services/app/") != nil {
		t.Errorf("services of an empty file: %s", got)
	}
	if f.byToken("0123456789abcdef-byhand").Service != "byhand" || f.byToken("bootstrap secret").Service != "bootstrap" {
		t.Error("services of others lost their tokens")
	}
}

// TestScopesOfTheFileThatDoNotExist is about a mistake in the file: the hub does not start.
func TestScopesOfTheFileThatDoNotExist(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, s := range []hub.Service{{Name: "a", Scopes: []string{"nope"}}, {Name: "a", AllowedScopes: []string{"nope"}}} {
		err := f.SyncServices(t.Context(), []account.ServiceSpec{{Service: s}})
		if wantKind(t, "SyncServices", err, hub.Invalid); err != nil && !strings.Contains(hub.MessageOf(err), "nope") {
			t.Errorf("it says %q", hub.MessageOf(err))
		}
	}
}

// TestAChangeOfScopesEndsEdgeTokens is about a service that may do less after the next start.
func TestAChangeOfScopesEndsEdgeTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	probe := spec("probe", "", "0123456789abcdef-probe")
	probe.Scopes = []string{"access:services"}
	f.must("SyncServices", f.SyncServices(t.Context(), []account.ServiceSpec{probe}))
	key := routes.RevokedKey(f.store.Prefix(), routes.RevokedService, "probe")
	f.must("SyncServices", f.SyncServices(t.Context(), []account.ServiceSpec{probe}))
	if raw, _, _ := storetest.Raw(t, f.client, key); raw != "" {
		t.Error("the same file again revoked something")
	}
	probe.Scopes = nil
	f.must("SyncServices", f.SyncServices(t.Context(), []account.ServiceSpec{probe}))
	if raw, _, _ := storetest.Raw(t, f.client, key); raw == "" {
		t.Error("nothing was revoked")
	}
}

func (f fixture) serviceNames() string {
	f.t.Helper()
	all, err := f.Services(f.t.Context())
	f.must("Services", err)
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// edgeRoute is the route of a prefix as an edge reads it, or nil.
func (f fixture) edgeRoute(prefix string) *routes.Route {
	f.t.Helper()
	raw, _, _ := storetest.Raw(f.t, f.client, routes.RouteKey(f.store.Prefix(), prefix))
	if raw == "" {
		return nil
	}
	r, err := routes.ParseRoute(routes.EscapeKey(prefix), []byte(raw))
	f.must("ParseRoute", err)
	return r
}

// TestServiceScopesReachTheEdge is about services and people whom scopes admit to a protected service.
func TestServiceScopesReachTheEdge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.CreateService(t.Context(), hub.Service{Name: "probe", Scopes: []string{"access:services!service=app"}}, "0123456789abcdef-probe")
	f.must("CreateService", err)
	root := f.user("root", true)
	app := &routes.Route{Auth: routes.AuthHeaders, Service: "app"}
	other := &routes.Route{Auth: routes.AuthHeaders, Service: "other"}
	for what, c := range map[string]struct {
		secret string
		other  bool
	}{
		"a service with the scope":       {"0123456789abcdef-probe", false},
		"an administrator":               {f.api(root, "inherit"), true},
		"an administrator's token of it": {f.api(root, "access:services!service=app"), false},
	} {
		claims := f.claims(f.byToken(c.secret))
		if !routes.Allows(app, claims) || routes.Allows(other, claims) != c.other {
			t.Errorf("%s: scopes %q", what, claims.Scopes)
		}
	}
	alice := f.user("alice", false)
	if routes.Allows(app, f.claims(f.byToken(f.api(alice, "inherit")))) {
		t.Error("somebody without a scope may visit")
	}
}
