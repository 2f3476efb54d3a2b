package routes

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

const testNow = 1_800_000_000

func testKey(t testing.TB) (ed25519.PrivateKey, map[string]*Key) {
	t.Helper()
	key := ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	return key, map[string]*Key{"k1": {Schema: 1, ID: "k1", Hub: "h", Public: key.Public().(ed25519.PublicKey)}}
}

func testClaims() Claims {
	return Claims{Issuer: "h", Subject: "alice", UserID: "u1", Session: "s1", Scopes: []string{ScopeInherit}, IssuedAt: testNow, Expires: testNow + 600}
}

// signRaw signs any header and payload.
func signRaw(key ed25519.PrivateKey, header, payload string) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return signed + "." + enc.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

const testHeader = `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`

func TestVerifyTokenAcceptsWhatSignTokenMade(t *testing.T) {
	key, keys := testKey(t)
	c := testClaims()
	c.Groups, c.Admin, c.Token = []string{"g"}, true, "t1"
	token, err := SignToken("k1", key, c)
	if err != nil || !IsEdgeToken(token) {
		t.Fatal(token, err)
	}
	got, err := VerifyToken(token, keys, testNow+599)
	if err != nil || got.UserID != "u1" || got.Token != "t1" || !got.Admin || got.Groups[0] != "g" {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestVerifyTokenRefuses(t *testing.T) {
	key, keys := testKey(t)
	other := ed25519.NewKeyFromSeed([]byte("another key, another key, anothe"))
	keys["short"] = &Key{ID: "short", Hub: "h", Public: []byte("short")}
	good, _ := SignToken("k1", key, testClaims())
	sign := func(change func(c *Claims)) string {
		c := testClaims()
		change(&c)
		token, err := SignToken("k1", key, c)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	payload := func(text string) string { return signRaw(key, testHeader, text) }
	const full = `"iss":"h","aud":"edge","sub":"alice","uid":"u1","sid":"s1","scopes":[],"iat":1800000000,"exp":1800000600`
	if _, err := VerifyToken(payload("{"+full+"}"), keys, testNow); err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty": "", "dots": "..", "three dots": good + ".", "long": good + strings.Repeat("A", MaxTokenLen),
		"other key":       signRaw(other, testHeader, "{"+full+"}"),
		"alg none":        signRaw(key, `{"alg":"none","typ":"edgehub-edge+jwt","kid":"k1"}`, "{"+full+"}"),
		"order of header": signRaw(key, `{"typ":"edgehub-edge+jwt","alg":"EdDSA","kid":"k1"}`, "{"+full+"}"),
		"more header":     signRaw(key, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1","crit":[]}`, "{"+full+"}"),
		"spaces":          signRaw(key, `{"alg": "EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`, "{"+full+"}"),
		"empty kid":       signRaw(key, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":""}`, "{"+full+"}"),
		"unknown kid":     signRaw(key, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k2"}`, "{"+full+"}"),
		"short key":       signRaw(key, `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"short"}`, "{"+full+"}"),
		"twice":           payload("{" + full + `,"sub":"bob"}`), "other case": payload("{" + full + `,"SUB":"bob"}`),
		"folded": payload("{" + full + `,"ſub":"bob"}`), "kelvin": payload("{" + full + `,"K":"1"}`),
		"array": payload("[]"), "null": payload("null"), "text": payload(`"x"`), "nothing": payload(""), "half": payload("{" + full),
		"exp text": payload(strings.Replace("{"+full+"}", `"exp":1800000600`, `"exp":"1800000600"`, 1)),
		"exp big":  payload(strings.Replace("{"+full+"}", `"exp":1800000600`, `"exp":1e99`, 1)),
		"issuer":   sign(func(c *Claims) { c.Issuer = "x" }),
		"audience": payload(strings.Replace("{"+full+"}", `"aud":"edge"`, `"aud":"hub"`, 1)),
		"no sub":   sign(func(c *Claims) { c.Subject = "" }), "no uid": sign(func(c *Claims) { c.UserID = "" }),
		"no session": sign(func(c *Claims) { c.Session = "" }),
		"iat 0":      sign(func(c *Claims) { c.IssuedAt = 0 }), "exp before iat": sign(func(c *Claims) { c.Expires = c.IssuedAt }),
		"life":   sign(func(c *Claims) { c.Expires = c.IssuedAt + TokenLife + 1 }),
		"future": sign(func(c *Claims) { c.IssuedAt, c.Expires = testNow+31, testNow+100 }),
		"nbf":    sign(func(c *Claims) { c.NotBefore = testNow + 31 }),
		"past":   sign(func(c *Claims) { c.IssuedAt, c.Expires = testNow-100, testNow-30 }),
	} {
		if _, err := VerifyToken(token, keys, testNow); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, token := range map[string]string{
		"future in leeway": sign(func(c *Claims) { c.IssuedAt, c.Expires = testNow+30, testNow+100 }),
		"past in leeway":   sign(func(c *Claims) { c.IssuedAt, c.Expires = testNow-100, testNow-29 }),
	} {
		if _, err := VerifyToken(token, keys, testNow); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys["k1"].NotAfter = testNow - 31
	if _, err := VerifyToken(good, keys, testNow); !errors.Is(err, ErrExpired) {
		t.Errorf("a retired key: %v", err)
	}
	keys["k1"].NotAfter, keys["k1"].NotBefore = 0, testNow+31
	if _, err := VerifyToken(good, keys, testNow); err == nil {
		t.Error("a key before its time is accepted")
	}
}

func TestOneSpellingOfASignature(t *testing.T) {
	key, keys := testKey(t)
	good, _ := SignToken("k1", key, testClaims())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	accepted := 0
	for _, last := range alphabet {
		if _, err := VerifyToken(good[:len(good)-1]+string(last), keys, testNow); err == nil {
			accepted++
		}
	}
	for _, s := range []string{good + "=", good + "\n", good[:20] + "\n" + good[20:], good[:len(good)-5] + "\r" + good[len(good)-5:]} {
		if _, err := VerifyToken(s, keys, testNow); err == nil {
			t.Errorf("another spelling is accepted: %q", s)
		}
	}
	if accepted != 1 {
		t.Errorf("%d spellings of the last character are accepted", accepted)
	}
}

func TestAllows(t *testing.T) {
	route := &Route{Auth: AuthSecret, Owner: "alice", OwnerID: "u1", Server: "lab", Users: []string{"u2"}, Groups: []string{"g"}}
	for _, c := range []struct {
		name   string
		uid    string
		groups []string
		scopes []string
		want   bool
	}{
		{"owner", "u1", nil, []string{"inherit"}, true}, {"owner without scopes", "u1", nil, nil, false},
		{"owner, this user's servers", "u1", nil, []string{"x", "access:servers!user=alice"}, true},
		{"owner, this server", "u1", nil, []string{"access:servers!server=alice/lab"}, true},
		{"owner, another server", "u1", nil, []string{"access:servers!server=alice/"}, false},
		{"owner, another user's", "u1", nil, []string{"access:servers!user=bob"}, false},
		{"listed", "u2", nil, []string{"inherit"}, true}, {"group", "u3", []string{"x", "g"}, []string{"inherit"}, true},
		{"stranger", "u3", []string{"x"}, []string{"inherit"}, false},
		{"stranger with the scope of one server", "u3", nil, []string{"access:servers!server=alice/lab"}, false},
		{"administrator", "u3", nil, []string{"access:servers"}, true},
	} {
		if got := Allows(route, &Claims{UserID: c.uid, Groups: c.groups, Scopes: c.scopes}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestGrantsOpenWhatTheyName(t *testing.T) {
	route := &Route{Auth: AuthSecret, Owner: "alice", OwnerID: "u1", Server: "lab", OwnerGroups: []string{"g", "h"}}
	byHand := &Route{Auth: AuthHeaders, Groups: []string{"g"}, OwnerGroups: []string{"g"}}
	for grant, want := range map[string]bool{
		"access:servers!user=alice": true, "access:servers!server=alice/lab": true, "access:servers!group=h": true,
		"access:servers!user=bob": false, "access:servers!server=alice/": false, "access:servers!group=x": false, "access:servers": false,
		"access:servers!user=": false, "access:servers!server=/": false, "read:servers!group=g": false, "": false,
	} {
		c := &Claims{UserID: "u3", Grants: []string{"x", grant}}
		if got := Allows(route, c); got != want {
			t.Errorf("%s: %v", grant, got)
		}
		if Allows(byHand, c) {
			t.Errorf("%s opens a route without an owner", grant)
		}
	}
}

func TestTicketsOpenOnlyTheirOwnServer(t *testing.T) {
	c := testClaims()
	alice := &Route{Prefix: "/user/alice/", Auth: AuthTicket, Secret: "0123456789abcdef", Gen: 3, Owner: "alice"}
	bob := &Route{Prefix: "/user/bob/", Auth: AuthTicket, Secret: "fedcba9876543210", Gen: 1, Owner: "bob"}
	ticket, err := SignTicket(alice, &c, testNow+TicketLife)
	if err != nil || !IsTicket(ticket) || IsEdgeToken(ticket) || strings.Contains(ticket, "s1") {
		t.Fatal(ticket, err)
	}
	at := func(routes ...*Route) func(string) *Route {
		return func(prefix string) *Route {
			for _, r := range routes {
				if r.Prefix == prefix {
					return r
				}
			}
			return nil
		}
	}
	got, err := OpenTicket(ticket, at(alice, bob), testNow)
	if err != nil || got.User != "alice" || got.Prefix != "/user/alice/" {
		t.Fatalf("%+v %v", got, err)
	}
	if v := VisitorOf(got, alice); v.Name != "alice" || v.Scopes[0] != "access:servers!server=alice/" || v.SessionID == nil || *v.SessionID == "s1" || v.Groups == nil {
		t.Errorf("%+v", v)
	}
	next := *alice
	next.Gen = 4
	open := *alice
	open.Auth = AuthSecret
	forged, _ := SignTicket(&Route{Prefix: "/user/alice/", Secret: bob.Secret, Gen: 3}, &c, testNow+9)
	for name, refused := range map[string]bool{
		"next generation": bad(OpenTicket(ticket, at(&next), testNow)), "no route": bad(OpenTicket(ticket, at(bob), testNow)),
		"other kind": bad(OpenTicket(ticket, at(&open), testNow)), "late": bad(OpenTicket(ticket, at(alice), testNow+TicketLife+Leeway)),
		"cut": bad(OpenTicket(ticket[:len(ticket)-1], at(alice), testNow)), "newline": bad(OpenTicket(ticket+"\n", at(alice), testNow)),
		"signed by another server": bad(OpenTicket(forged, at(alice, bob), testNow)),
		"no signature":             bad(OpenTicket(ticket[:strings.LastIndexByte(ticket, '.')+1], at(alice), testNow)),
	} {
		if !refused {
			t.Errorf("%s: accepted", name)
		}
	}
}

func bad(_ *Ticket, err error) bool { return err != nil }

func FuzzVerifyToken(f *testing.F) {
	key, keys := testKey(f)
	good, _ := SignToken("k1", key, testClaims())
	f.Add(good)
	f.Add(signRaw(key, testHeader, "{}"))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := VerifyToken(token, keys, testNow); err == nil && token != good {
			t.Fatalf("a token that nobody signed is accepted: %q %+v", token, c)
		}
	})
}

func FuzzClaims(f *testing.F) {
	key, keys := testKey(f)
	f.Add(`{"iss":"h","aud":"edge","sub":"alice","uid":"u1","sid":"s1","scopes":[],"iat":1800000000,"exp":1800000600}`)
	f.Fuzz(func(t *testing.T, payload string) {
		c, err := VerifyToken(signRaw(key, testHeader, payload), keys, testNow)
		if err != nil {
			return
		}
		if c.Issuer != "h" || c.UserID == "" || c.Expires <= testNow-Leeway || c.Expires-c.IssuedAt > TokenLife || c.IssuedAt > testNow+Leeway ||
			c.Session == "" && c.Token == "" || strings.Count(strings.ToLower(payload), `"uid":`) > 1 && !strings.Contains(payload, `\"`) && !strings.Contains(payload, "{{") && strings.Count(payload, "{") == 1 {
			t.Fatalf("accepted %q as %+v", payload, c)
		}
	})
}

func TestOnlyTheStandardLibrary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.Fields(string(out)); len(got) != 1 || !strings.HasSuffix(got[0], "/routes") {
		t.Errorf("routes depends on %v", got)
	}
}
