package routes

import (
	"testing"
)

func TestActivityProvesItself(t *testing.T) {
	t.Parallel()
	route := func(change func(*Route)) *Route {
		r := &Route{Prefix: "/user/alice/", Gen: 3, Auth: AuthSecret, Secret: "0123456789abcdef0123"}
		change(r)
		return r
	}
	same := func(*Route) {}
	good := SignActivity(route(same), 1000)
	if good.Prefix != "/user/alice/" || good.Gen != 3 || good.At != 1000 || !VerifyActivity(good, route(same)) {
		t.Fatalf("%+v does not prove itself", good)
	}
	for what, change := range map[string]func(*Activity){
		"another time":       func(a *Activity) { a.At++ },
		"another prefix":     func(a *Activity) { a.Prefix = "/user/bob/" },
		"another generation": func(a *Activity) { a.Gen++ },
		"no MAC":             func(a *Activity) { a.MAC = "" },
		"a short MAC":        func(a *Activity) { a.MAC = a.MAC[:20] },
		"a MAC with a break": func(a *Activity) { a.MAC += "\n" },
	} {
		bad := *good
		change(&bad)
		if VerifyActivity(&bad, route(same)) {
			t.Errorf("an activity with %s proves itself: %+v", what, bad)
		}
	}
	for what, change := range map[string]func(*Route){
		"secret":     func(r *Route) { r.Secret += "x" },
		"generation": func(r *Route) { r.Gen++ },
		"prefix":     func(r *Route) { r.Prefix = "/user/bob/" },
	} {
		if VerifyActivity(good, route(change)) {
			t.Errorf("it proves itself to a route with another %s", what)
		}
	}
	for what, change := range map[string]func(*Route){
		"without a secret":     func(r *Route) { r.Secret = "" },
		"with a short secret":  func(r *Route) { r.Secret = "short" },
		"without a generation": func(r *Route) { r.Gen = 0 },
	} {
		r := route(change)
		if CanSignActivity(r) || VerifyActivity(SignActivity(r, 1000), r) {
			t.Errorf("anybody can sign for a route %s", what)
		}
	}
}
