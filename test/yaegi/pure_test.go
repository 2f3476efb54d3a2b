package yaegi

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/edgehub/edgehub/routes"
	"github.com/edgehub/edgehub/test/yaegi/pure"
)

// TestInterpretedRoutesDecideLikeCompiled compares the two on generated input. It is here because of what was found: of
// "case a, b:" in a switch without a tag Yaegi 0.16.1 looked at a only, and accepted tokens that live for ever.
func TestInterpretedRoutesDecideLikeCompiled(t *testing.T) {
	goPath := t.TempDir()
	write(t, goPath, "routes", routes.Files)
	write(t, goPath, "pure", func() (map[string][]byte, error) {
		text, err := os.ReadFile(filepath.Join("pure", "pure.go"))
		return map[string][]byte{"pure.go": text}, err
	})
	i := interp.New(interp.Options{GoPath: goPath})
	if err := i.Use(stdlib.Symbols); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Eval(`import "github.com/edgehub/edgehub/pure"`); err != nil {
		t.Fatal(err)
	}
	get := func(name string) any {
		v, err := i.Eval("pure." + name)
		if err != nil {
			t.Fatal(err)
		}
		return v.Interface()
	}
	path := get("Path").(func([]string, string) string)
	verify := get("Verify").(func(string, string, int64) string)
	allows := get("Allows").(func(string, string) string)
	record := get("Record").(func(string, string) string)
	ticket := get("Ticket").(func(string, string, string, int64, int64) string)
	same := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s:\ninterpreted %s\ncompiled    %s", what, got, want)
		}
	}
	seed := rand.Int63()
	t.Log("seed", seed)
	g := &generator{rand.New(rand.NewSource(seed))}
	prefixes := []string{"/user/alice/", "/user/alice/a/", "/user/a%20b/", "/user/a@b/", "/x/"}
	for range 4000 {
		p := g.path()
		same("path "+p, path(prefixes, p), pure.Path(prefixes, p))
	}
	key := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	for range 4000 {
		token, keys := g.token(key)
		same("token "+token+" "+keys, verify(token, keys, now), pure.Verify(token, keys, now))
		r, r2, c := g.route(), g.route(), g.json(g.claims())
		same("list "+r+" "+c, allows(r, c), pure.Allows(r, c))
		k, v := g.record()
		same("record "+k+" "+v, record(k, v), pure.Record(k, v))
		expires := now + g.pick64(-31, -30, -29, 0, 900)
		same("ticket "+r, ticket(r, r2, c, expires, now), pure.Ticket(r, r2, c, expires, now))
	}
}

const now = 1_800_000_000

// generator makes input near every boundary of the rules.
type generator struct{ *rand.Rand }

func (g *generator) pick(list ...string) string { return list[g.Intn(len(list))] }
func (g *generator) pick64(list ...int64) int64 { return list[g.Intn(len(list))] }
func (g *generator) some(list ...string) (s []string) {
	for _, x := range list {
		if g.Intn(2) == 0 {
			s = append(s, x)
		}
	}
	return s
}

func (g *generator) json(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func (g *generator) path() string {
	p := g.pick("/", "/", "/", "/", "", "//")
	for range g.Intn(6) {
		p += g.pick("user", "alice", "al", "a", "a%20b", "a@b", "a%40b", "%61", ".", "..", "%2e%2E", "...", "%2F", "%5c", `\`, "%00", "\x01", "%7F", "\x7f",
			"%C3%A9", "é", "%C2%85", "\u0085", "%ff", "\xff", ";", "%3b", "?", "#", "%", "%2", "%zz", "%25", "hub", "", "x.y", "%2f..") + g.pick("/", "/", "/", "//", "", "/.")
	}
	return p
}

func (g *generator) claims() routes.Claims {
	iat := now + g.pick64(-4000, -100, -5, 0, 29, 30, 31)
	return routes.Claims{
		Issuer: g.pick("h", "h", "h", "h", "x", ""), Audience: g.pick("edge", "edge", "edge", "hub", ""), Subject: g.pick("alice", "alice", "alice", ""),
		UserID: g.pick("u1", "u1", "u2", "u2", ""), Session: g.pick("s", "s", ""), Token: g.pick("t", ""), Admin: g.Intn(2) == 0,
		Groups: g.some("g1", "g2"), Scopes: g.some("inherit", "access:servers", "access:servers!user=alice", "access:servers!server=alice/", "access:servers!server=alice/lab", "x"),
		IssuedAt: iat * g.pick64(1, 1, 1, 1, 1, 0, -1), NotBefore: g.pick64(0, 0, now, now+30, now+31), Expires: iat + g.pick64(-1, 0, 1, 60, 3600, 3601, 1<<40),
	}
}

func (g *generator) token(key ed25519.PrivateKey) (token, keys string) {
	k := map[string]routes.Key{"k1": {Schema: 1, ID: "k1", Hub: "h", Public: key.Public().(ed25519.PublicKey),
		NotBefore: g.pick64(0, 0, 0, now+30, now+31), NotAfter: g.pick64(0, 0, 0, now-29, now-30, now+5)}}
	header := g.pick(`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`,
		`{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`,
		`{"alg":"none","typ":"edgehub-edge+jwt","kid":"k1"}`, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":""}`, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k2"}`)
	payload := g.json(g.claims())
	switch g.Intn(12) {
	case 0:
		payload = payload[:len(payload)-1] + g.pick(`,"sub":"bob"}`, `,"SUB":"bob"}`, `,"ſub":"bob"}`, `,"exp":1e99}`, `,"x":{"y":[1]}}`, `}{}`, `]`)
	case 1:
		payload = g.pick("", "null", "[]", "{}", `"x"`, "{")
	}
	enc := base64.RawURLEncoding
	token = enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	token += "." + enc.EncodeToString(ed25519.Sign(key, []byte(token)))
	switch g.Intn(12) {
	case 0:
		token = token[:len(token)-1] + g.pick("A", "B", "g", "=", "\n", "")
	case 1:
		token += g.pick(".", "=", "\n", "A")
	}
	return token, g.json(k)
}

func (g *generator) route() string {
	return g.json(routes.Route{Schema: 1, Prefix: g.pick("/user/alice/", "/user/alice/lab/"), Auth: g.pick("none", "ticket", "ticket", "secret"), Secret: g.pick("0123456789abcdef", "0123456789abcdeg"),
		Owner: "alice", OwnerID: "u1", Server: g.pick("", "lab"), Users: g.some("u2", "u3"), Groups: g.some("g2"), Gen: g.pick64(1, 1, 2)})
}

func (g *generator) record() (key, value string) {
	if g.Intn(3) == 0 {
		return g.pick("k1", "k2", "a%2Fb"), `{"v":` + g.pick("0", "1", "2", "3") + `,"kid":"` + g.pick("k1", "k1", "a/b", "") + `","hub":"` + g.pick("h", "") +
			`","public":"` + g.pick("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "MDEy", "") + `","not_after":` + g.pick("0", "5", `"x"`) +
			`,"before":` + g.pick("0", "7", "null", `"x"`) + `,"url":"` + g.pick("http://h:1", "unix:///x", "unix://x", "ftp://x", "") + `"}`
	}
	prefix := g.pick("/user/alice/", "/user/alice/", "/hub/", "/user/alice", "/user/%61/", "/a/b/c/d/")
	return g.pick(routes.EscapeKey(prefix), routes.EscapeKey(prefix), prefix), `{"v":` + g.pick("0", "1", "1", "2", "3") + `,"prefix":"` + prefix + `","target":"` +
		g.pick("http://h:1", "http://h:1", "https://[::1]:1/", "http://u@h", "http://h/x", "ftp://h", "http://h?q", "http://") + `","auth":"` + g.pick("secret", "ticket", "none", "x", "") +
		`","secret":"` + g.pick("0123456789abcdef", "short", "") + `","owner_id":"` + g.pick("u1", "u2", "") + `","owner":"` + g.pick("alice", "alice", "") +
		`","hold":` + g.pick("0", "1", "300", "301", "-1", `"x"`) + `,"users":` + g.pick(`["a"]`, "null", "[]", "1") + g.pick("}", "}", "}", "")
}
