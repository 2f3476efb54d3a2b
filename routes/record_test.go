package routes

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestParseRoute(t *testing.T) {
	good := Route{Schema: 1, Prefix: "/user/alice/", Target: "http://127.0.0.1:1", Auth: AuthSecret, Secret: "0123456789abcdef", OwnerID: "u1"}
	parse := func(key string, change func(r *Route)) error {
		r := good
		change(&r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseRoute(key, b)
		return err
	}
	key := EscapeKey(good.Prefix)
	for name, change := range map[string]func(r *Route){
		"as it is": func(*Route) {}, "next schema": func(r *Route) { r.Schema = 2 }, "https": func(r *Route) { r.Target = "https://[::1]:2/" },
		"open": func(r *Route) { r.Auth, r.Secret, r.OwnerID = AuthNone, "", "" }, "ticket": func(r *Route) { r.Auth = AuthTicket },
		"pass": func(r *Route) { r.Auth, r.Secret, r.OwnerID = AuthPass, "", "" },
	} {
		if err := parse(key, change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(r *Route){
		"no schema": func(r *Route) { r.Schema = 0 }, "far schema": func(r *Route) { r.Schema = 3 },
		"other prefix": func(r *Route) { r.Prefix = "/user/bob/" }, "auth": func(r *Route) { r.Auth = "" },
		"secret": func(r *Route) { r.Secret = "short" }, "owner": func(r *Route) { r.OwnerID = "" },
		"path in target": func(r *Route) { r.Target = "http://h/x" }, "user in target": func(r *Route) { r.Target = "http://u@h" },
		"scheme": func(r *Route) { r.Target = "ftp://h" }, "no host": func(r *Route) { r.Target = "http://" }, "query": func(r *Route) { r.Target = "http://h?x" },
	} {
		if parse(key, change) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseRoute(key, []byte("{")); err == nil {
		t.Error("half a record is accepted")
	}
	if parse("/user/alice/", func(*Route) {}) == nil {
		t.Error("an unescaped key is accepted")
	}
}

func TestParseKey(t *testing.T) {
	for value, ok := range map[string]bool{
		`{"v":1,"kid":"k1","hub":"h","public":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`: true,
		`{"v":1,"kid":"k2","hub":"h","public":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`: false,
		`{"v":1,"kid":"k1","hub":"","public":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`:  false,
		`{"v":1,"kid":"k1","hub":"h","public":"MDEy"}`:                                         false,
		`{"v":1,"kid":"k1","hub":"h"}`:                                                         false,
		`{`:                                                                                    false,
	} {
		if _, err := ParseKey("k1", []byte(value)); (err == nil) != ok {
			t.Errorf("ParseKey(%s): %v", value, err)
		}
	}
	if _, err := ParseKey("a%2Fb", []byte(`{"v":1,"kid":"a/b","hub":"h","public":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}`)); err == nil {
		t.Error("a key id with a slash is accepted")
	}
}

func TestRevocationsFailClosed(t *testing.T) {
	if r := ParseRevocation([]byte(`{"v":1,"before":7}`)); r.Before != 7 {
		t.Errorf("%+v", r)
	}
	for _, broken := range []string{"", "{", `{"before":"x"}`, `{"before":7,`} {
		if r := ParseRevocation([]byte(broken)); r.Before != 0 {
			t.Errorf("%q revokes only until %d", broken, r.Before)
		}
	}
}

func TestParseHub(t *testing.T) {
	for raw, ok := range map[string]bool{"http://h:1": true, "https://h": true, "unix:///run/x.sock": true, "unix://x": false, "h:1": false, "": false} {
		b, _ := json.Marshal(Hub{Schema: 1, URL: raw})
		if _, err := ParseHub(b); (err == nil) != ok {
			t.Errorf("ParseHub(%q): %v", raw, err)
		}
	}
}

func TestKeysStayInTheirTree(t *testing.T) {
	const p = "/edgehub/"
	for key, tree := range map[string]string{
		RouteKey(p, "/user/a/../b/"): RoutesTree, SigningKeyKey(p, "../x"): KeysTree, RevokedKey(p, RevokedUser, "a/b"): RevokedTree + "user/", HubKey(p, "x/y"): HubsTree,
	} {
		if rest := strings.TrimPrefix(key, p+tree); rest == key || strings.Contains(rest, "/") {
			t.Errorf("%q is not one segment below %q", key, tree)
		}
	}
	for in, want := range map[string]string{"": "/edgehub/", "/": "/edgehub/", "x": "/x/", "/a/b": "/a/b/", "//a//": "/a/"} {
		if got := NormalPrefix(in); got != want {
			t.Errorf("NormalPrefix(%q) = %q, want %q", in, got, want)
		}
	}
}
