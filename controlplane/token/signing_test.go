package token_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// publishedKeys are the keys as an edge reads them.
func (f fixture) publishedKeys() map[string]*routes.Key {
	f.t.Helper()
	keys := map[string]*routes.Key{}
	tree := f.store.Key(routes.KeysTree, "")
	for key, value := range storetest.Dump(f.t, f.store, f.client) {
		if segment, ok := strings.CutPrefix(key, tree); ok {
			k, err := routes.ParseKey(segment, []byte(value))
			f.must("ParseKey", err)
			keys[k.ID] = k
		}
	}
	return keys
}

var claims = routes.Claims{Subject: "alice", UserID: "u1", Session: "s1", Groups: []string{"g"}, Scopes: []string{"inherit"}}

func TestReplicasShareOneSigningKey(t *testing.T) {
	t.Parallel()
	s, client := storetest.Open(t)
	const replicas = 8
	services, signings := make([]*token.Service, replicas), make([]*token.Signing, replicas)
	var all sync.WaitGroup
	for i := range replicas {
		all.Go(func() {
			own, _ := storetest.Replica(t, s)
			signing, err := token.OpenSigning(t.Context(), own)
			if err != nil {
				t.Errorf("OpenSigning: %v", err)
				return
			}
			signings[i], services[i] = signing, token.New(own, signing)
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	f := fixture{services[0], t, s, client, signings[0]}
	keys := f.publishedKeys()
	if len(keys) != 1 {
		t.Errorf("%d keys are published, want 1", len(keys))
	}
	for i := range replicas {
		if signings[i].HubID() != signings[0].HubID() || !bytes.Equal(signings[i].MAC("p", "d"), signings[0].MAC("p", "d")) {
			t.Errorf("replica %d has another hub id or XSRF key", i)
		}
		edge, err := services[i].EdgeToken(t.Context(), claims)
		f.must("EdgeToken", err)
		if _, err := routes.VerifyToken(edge, keys, time.Now().Unix()); err != nil {
			t.Errorf("edges refuse a token of replica %d: %v", i, err)
		}
		if _, err := services[0].OpenEdgeToken(t.Context(), edge); err != nil {
			t.Errorf("replica 0 refuses a token of replica %d: %v", i, err)
		}
	}
	again, err := token.OpenSigning(t.Context(), s)
	f.must("OpenSigning", err)
	if again.HubID() != signings[0].HubID() {
		t.Error("a later start made new keys")
	}
}

func TestDamagedSigningKeyIsNotReplaced(t *testing.T) {
	t.Parallel()
	for _, damaged := range []string{`{"v":1}`, `{"v":1,"hub":"h","kid":"k","seed":"AAAA","xsrf":"AAAA"}`, "not JSON"} {
		s, client := storetest.Open(t)
		key := s.Key(store.Secrets, "signing")
		if _, err := client.Put(t.Context(), key, damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := token.OpenSigning(t.Context(), s); err == nil {
			t.Errorf("OpenSigning with %s in etcd: no error", damaged)
		}
		if raw, _, _ := storetest.Raw(t, client, key); raw != damaged {
			t.Errorf("a damaged key was replaced by %s", raw)
		}
	}
}

func TestEdgeToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	edge, err := f.EdgeToken(t.Context(), claims)
	f.must("EdgeToken", err)
	now := time.Now().Unix()
	got, err := routes.VerifyToken(edge, f.publishedKeys(), now)
	f.must("an edge's check with the published key", err)
	if got.Issuer != f.signing.HubID() || got.Subject != "alice" || got.UserID != "u1" || got.Session != "s1" || got.Expires-got.IssuedAt != routes.TokenLife || got.IssuedAt < now-5 || got.IssuedAt > now {
		t.Errorf("claims: %+v, want those given, from now on, for %d s", got, routes.TokenLife)
	}
	later := claims
	later.IssuedAt = now + 20
	edge, err = f.EdgeToken(t.Context(), later)
	f.must("EdgeToken", err)
	if got, err := routes.VerifyToken(edge, f.publishedKeys(), now); err != nil || got.IssuedAt != now+20 {
		t.Errorf("a token that may not be older than %d: got %+v, %v", now+20, got, err)
	}
	_, err = f.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: "u1", Session: "s1", Groups: []string{strings.Repeat("g", 5000)}})
	if err == nil {
		t.Error("an edge token that edges would refuse for its length was issued")
	}
}

// TestOpenEdgeTokenRefuses holds rows of T19 to T28 for the hub's side. The corpus is package routes'.
func TestOpenEdgeTokenRefuses(t *testing.T) {
	t.Parallel()
	f, foreign := newFixture(t), newFixture(t)
	good, err := f.EdgeToken(t.Context(), claims)
	f.must("EdgeToken", err)
	if c, err := f.OpenEdgeToken(t.Context(), good); err != nil || c.UserID != "u1" {
		t.Fatalf("a good token: got %+v, %v", c, err)
	}
	stranger, err := foreign.EdgeToken(t.Context(), claims)
	f.must("EdgeToken", err)
	_, api := f.issue("u1")
	parts := strings.Split(good, ".")
	for what, s := range map[string]string{
		"nothing": "", "another hub's": stranger, "an API token": api, "no signature": parts[0] + "." + parts[1] + ".",
		"other claims": parts[0] + "." + strings.Split(stranger, ".")[1] + "." + parts[2], "padded": good + "=", "a line break": good + "\n",
		"none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "dots": "..", "long": strings.Repeat("x", routes.MaxTokenLen+1),
	} {
		_, err := f.OpenEdgeToken(t.Context(), s)
		wantKind(t, "OpenEdgeToken with "+what, err, hub.Unauthenticated)
		if strings.Contains(hub.MessageOf(err), "alice") || what == "another hub's" && !errors.Is(err, routes.ErrToken) {
			t.Errorf("%s: message %q, cause %v", what, hub.MessageOf(err), errors.Unwrap(err))
		}
	}
}

// TestRevokedUserGetsAcceptedTokensAgain follows edges: what was issued at or before the change of rights is refused, what is
// issued after it is accepted, also within the same second.
func TestRevokedUserGetsAcceptedTokensAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, err := f.EdgeToken(t.Context(), claims)
	f.must("EdgeToken", err)
	before := time.Now().Unix() // an edge token of this second may exist
	f.must("RevokeUser", f.store.Apply(t.Context(), f.RevokeUser("u1", before)))
	fresh := claims
	fresh.IssuedAt = before + 1
	renewed, err := f.EdgeToken(t.Context(), fresh)
	f.must("EdgeToken", err)
	rev, _ := f.revocation(routes.RevokedUser, "u1")
	if rev == nil || rev.Before != before {
		t.Fatalf("what edges read: %+v, want everything up to %d revoked", rev, before)
	}
	for what, c := range map[string]struct {
		token   string
		revoked bool
	}{"the old token": {old, true}, "the new token": {renewed, false}} {
		got, err := routes.VerifyToken(c.token, f.publishedKeys(), time.Now().Unix())
		f.must("VerifyToken", err)
		if revoked := got.IssuedAt <= rev.Before; revoked != c.revoked {
			t.Errorf("%s was issued at %d and is revoked: %t, want %t", what, got.IssuedAt, revoked, c.revoked)
		}
	}
	_, secret := f.issue("u1")
	if _, err := f.Find(t.Context(), secret); err != nil {
		t.Errorf("the user's API tokens must stay: %v", err)
	}
}

func TestMACDependsOnAllOfItsInput(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	seen := map[string]string{}
	for _, in := range [][2]string{{"a", "b"}, {"ab", ""}, {"", "ab"}, {"a:b", ""}, {"a", ":b"}, {"1:a", "b"}, {"", "1:a:b"}, {"xsrf", "s|n"}} {
		mac := string(f.signing.MAC(in[0], in[1]))
		if before, ok := seen[mac]; ok {
			t.Errorf("MAC of %q equals that of %s", in, before)
		}
		seen[mac] = in[0] + "," + in[1]
	}
}
