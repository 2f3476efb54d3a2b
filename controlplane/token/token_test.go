package token_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

func TestIssueAndFind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	want := hub.Token{User: "alice", UserID: "u1", Scopes: []string{"inherit"}, Note: "from <my> laptop", Server: "alice/", Expires: soon()}
	issued, secret, err := f.Issue(t.Context(), want, store.Put(f.store.Key("test/", "op"), 1))
	f.must("Issue", err)
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(secret) || !regexp.MustCompile(`^a[1-9][0-9]{0,15}$`).MatchString(issued.ID) {
		t.Errorf("secret %q and id %q: want 32 hex digits, and a with a number that JavaScript can hold", secret, issued.ID)
	}
	found, err := f.Find(t.Context(), secret)
	f.must("Find", err)
	want.Schema, want.ID, want.Created = hub.Schema, issued.ID, issued.Created
	if !reflect.DeepEqual(found, want) || time.Since(found.Created) > time.Minute {
		t.Errorf("Find:\n got %+v\nwant %+v, created now", found, want)
	}
	if raw, _, _ := storetest.Raw(t, f.client, f.store.Key("test/", "op")); raw != "1" {
		t.Errorf("the other write of Issue: got %q, want 1", raw)
	}
	if _, second := f.issue("u1"); second == secret {
		t.Error("two tokens have one secret")
	}
}

func TestFindRefusesWhatWasNotIssued(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	issued, secret := f.issue("u1")
	_, expired, err := f.Issue(t.Context(), hub.Token{UserID: "u1", Expires: time.Now().Add(-time.Second)})
	f.must("Issue", err)
	session, cookie, err := f.StartSession(t.Context(), hub.User{Name: "alice", ID: "u1"})
	f.must("StartSession", err)
	hash := strings.TrimPrefix(onlyKey(f, store.Sessions), f.store.Key(store.Sessions, ""))
	for what, s := range map[string]string{
		"nothing": "", "the id": issued.ID, "capitals": strings.ToUpper(secret) + "A", "a space": secret + " ", "a part": secret[:31],
		"an expired token": expired, "a session's cookie": cookie, "a session's id": session.ID, "a key of etcd": hash, "a path": "../tokens/x", "junk": "\x00\xff",
	} {
		_, err := f.Find(t.Context(), s)
		wantKind(t, "Find with "+what, err, hub.Unauthenticated)
	}
	for what, s := range map[string]string{"nothing": "", "an API token": secret, "a session's id": session.ID, "a key of etcd": hash} {
		_, err := f.FindSession(t.Context(), s)
		wantKind(t, "FindSession with "+what, err, hub.Unauthenticated)
	}
}

// onlyKey is the only key of a tree.
func onlyKey(f fixture, tree string) string {
	f.t.Helper()
	var found []string
	for key := range storetest.Dump(f.t, f.store, f.client) {
		if strings.HasPrefix(key, f.store.Key(tree, "")) {
			found = append(found, key)
		}
	}
	if len(found) != 1 {
		f.t.Fatalf("keys below %s: %q, want one", tree, found)
	}
	return found[0]
}

// TestFindIsOneRead holds the reason for hashed secrets as keys: the cost of a request does not grow with the number of
// tokens, and it writes nothing most of the time.
func TestFindIsOneRead(t *testing.T) {
	t.Parallel()
	counted := newCalls()
	f := newFixture(t, counted.option())
	var secret string
	for range 50 {
		_, secret = f.issue("u1")
	}
	_, err := f.Find(t.Context(), secret) // notes the first use
	f.must("Find", err)
	for what, do := range map[string]func(){
		"a token":        func() { _, err = f.Find(t.Context(), secret) },
		"no token":       func() { _, _ = f.Find(t.Context(), "junk") },
		"no session":     func() { _, _ = f.FindSession(t.Context(), "junk") },
		"nobody's token": func() { _, _ = f.Find(t.Context(), "") },
	} {
		byMethod, ranges := counted.during(do)
		if !maps.Equal(byMethod, map[string]int{"Range": 1}) || ranges != 0 {
			t.Errorf("looking for %s made the calls %v, %d of them reads of many keys; want one read of one key", what, byMethod, ranges)
		}
	}
	f.must("Find", err)
}

func TestLastUseIsWrittenOncePerMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, secret := f.issue("u1")
	key := onlyKey(f, store.Tokens)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := f.Find(t.Context(), secret); err != nil {
				t.Errorf("Find: %v", err)
			}
		})
	}
	all.Wait()
	if _, _, version := storetest.Raw(t, f.client, key); version != 2 {
		t.Errorf("20 uses at once wrote the record %d times, want once", version-1)
	}
	used, err := f.Find(t.Context(), secret)
	f.must("Find", err)
	if used.LastActivity.IsZero() || time.Since(used.LastActivity) > time.Minute {
		t.Errorf("last use: %v, want now", used.LastActivity)
	}
	_, err = store.NewTable[hub.Token](f.store, store.Tokens, "token").Update(t.Context(), key[len(f.store.Key(store.Tokens, "")):], func(r *hub.Token) ([]store.Op, error) {
		r.LastActivity = r.LastActivity.Add(-2 * time.Minute)
		return nil, nil
	})
	f.must("Update", err)
	_, err = f.Find(t.Context(), secret)
	f.must("Find", err)
	if _, _, version := storetest.Raw(t, f.client, key); version != 4 {
		t.Errorf("a use after two minutes: the record has version %d, want 4", version)
	}
}

func TestDeleteToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	kept, keptSecret := f.issue("u1")
	gone, secret := f.issue("u1")
	wantKind(t, "Delete of another user's token", f.Delete(t.Context(), "u2", gone.ID), hub.NotFound)
	wantKind(t, "Delete of nothing", f.Delete(t.Context(), "u1", "a1"), hub.NotFound)
	if r, _ := f.revocation(routes.RevokedToken, gone.ID); r != nil {
		t.Errorf("a Delete that failed revoked: %+v", r)
	}
	from := f.revision() + 1
	f.must("Delete", f.Delete(t.Context(), "u1", gone.ID))
	f.wantRevoked(routes.RevokedToken, gone.ID, f.goneAt(f.store.Key(store.Tokens, ""), from))
	f.wantRevoked(routes.RevokedToken, gone.ID, f.goneAt(f.store.Key(store.TokenOwners, ""), from))
	_, err := f.Find(t.Context(), secret)
	wantKind(t, "Find of a deleted token", err, hub.Unauthenticated)
	wantKind(t, "Delete of a deleted token", f.Delete(t.Context(), "u1", gone.ID), hub.NotFound)
	_, err = f.Find(t.Context(), keptSecret)
	f.must("Find of the other token", err)
	if list := f.list("u1"); !reflect.DeepEqual(list, []string{kept.ID}) {
		t.Errorf("OfUser: got %q, want %q", list, kept.ID)
	}
}

func (f fixture) list(userID string) []string {
	f.t.Helper()
	tokens, err := f.OfUser(f.t.Context(), userID)
	f.must("OfUser", err)
	var ids []string
	for _, t := range tokens {
		ids = append(ids, t.ID)
	}
	return ids
}

// TestUseDoesNotBringBackADeletedToken deletes tokens while they are in use.
func TestUseDoesNotBringBackADeletedToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var all sync.WaitGroup
	for range 20 {
		issued, secret := f.issue("u1")
		all.Go(func() { _, _ = f.Find(t.Context(), secret) })
		all.Go(func() {
			if err := f.Delete(t.Context(), "u1", issued.ID); err != nil {
				t.Errorf("Delete: %v", err)
			}
		})
	}
	all.Wait()
	for key := range storetest.Dump(t, f.store, f.client) {
		for _, tree := range []string{store.Tokens, store.TokenOwners} {
			if strings.HasPrefix(key, f.store.Key(tree, "")) {
				t.Errorf("left in etcd: %s", key)
			}
		}
	}
}

func TestListOfAUsersTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var want []string
	for range 3 {
		issued, _ := f.issue("u1")
		want = append(want, issued.ID)
	}
	f.issue("u10") // an id that starts alike
	f.issue("u1/a")
	_, _, err := f.Issue(t.Context(), hub.Token{UserID: "u1", Expires: time.Now().Add(-time.Hour)})
	f.must("Issue", err)
	_, _, err = f.Issue(t.Context(), hub.Token{Service: "u1"})
	f.must("Issue", err)
	got := f.list("u1")
	if len(got) != len(want) {
		t.Errorf("OfUser: got %q, want %q", got, want)
	}
	for _, id := range want {
		if !strings.Contains(fmt.Sprint(got), id) {
			t.Errorf("OfUser: got %q, %s is missing", got, id)
		}
	}
}

// TestServiceTokenIsReplaced is about the token that an operator puts into a file, and changes.
func TestServiceTokenIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	bot := hub.Token{Service: "bot", Scopes: []string{"inherit"}}
	f.must("Adopt", f.AdoptForService(t.Context(), bot, "first secret"))
	first, err := f.Find(t.Context(), "first secret")
	f.must("Find", err)
	f.must("Adopt again", f.AdoptForService(t.Context(), bot, "first secret"))
	if again, err := f.Find(t.Context(), "first secret"); err != nil || again.ID != first.ID {
		t.Errorf("the same secret again: got %+v, %v; want token %s to stay", again, err, first.ID)
	}
	f.must("Adopt another", f.AdoptForService(t.Context(), bot, "second secret"))
	_, err = f.Find(t.Context(), "first secret")
	wantKind(t, "Find of the replaced token", err, hub.Unauthenticated)
	f.wantRevoked(routes.RevokedToken, first.ID, 0)
	_, err = f.Find(t.Context(), "second secret")
	f.must("Find of the new token", err)

	for range 8 { // whatever their order in etcd
		_, _, err = f.Issue(t.Context(), bot)
		f.must("Issue", err)
	}
	f.must("Adopt", f.AdoptForService(t.Context(), bot, "second secret"))
	n := strings.Count(f.dump(), f.store.Key(store.TokenOwners, ""))
	if _, err = f.Find(t.Context(), "second secret"); err != nil || n != 1 {
		t.Errorf("the service has %d tokens, %v; want the adopted one only", n, err)
	}
	_, userSecret := f.issue("u1")
	wantKind(t, "Adopt of a user's token", f.AdoptForService(t.Context(), hub.Token{Service: "thief"}, userSecret), hub.Conflict)
}

// TestReplicasAdoptAtOnce is about a hub that starts with several replicas and one token file.
func TestReplicasAdoptAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for round := range 5 {
		secret := fmt.Sprint("secret ", round)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := f.AdoptForService(t.Context(), hub.Token{Service: "bot"}, secret); err != nil {
					t.Errorf("round %d: Adopt: %v", round, err)
				}
			})
		}
		all.Wait()
		if n := strings.Count(f.dump(), f.store.Key(store.TokenOwners, "")); n != 1 {
			t.Errorf("round %d: the service has %d tokens, want 1", round, n)
		}
		if _, err := f.Find(t.Context(), secret); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
}

// TestDeleteAll leaves nothing of a user but what edges need to refuse the user's edge tokens.
func TestDeleteAll(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	issued, secret := f.issue("user 1")
	_, _, err := f.Issue(t.Context(), hub.Token{UserID: "user 1", Expires: time.Now().Add(-time.Hour)})
	f.must("Issue", err)
	session, cookie, err := f.StartSession(t.Context(), hub.User{Name: "alice", ID: "user 1"})
	f.must("StartSession", err)
	_, otherSecret := f.issue("u2")
	f.must("DeleteAll", f.DeleteAll(t.Context(), "user 1"))
	f.must("DeleteAll again", f.DeleteAll(t.Context(), "user 1"))
	f.wantRevoked(routes.RevokedUser, "user 1", 0)
	f.wantRevoked(routes.RevokedToken, issued.ID, 0)
	f.wantRevoked(routes.RevokedSession, session.ID, 0)
	_, err = f.Find(t.Context(), secret)
	wantKind(t, "Find of a token", err, hub.Unauthenticated)
	_, err = f.FindSession(t.Context(), cookie)
	wantKind(t, "FindSession", err, hub.Unauthenticated)
	_, err = f.Find(t.Context(), otherSecret)
	f.must("Find of another user's token", err)
	for key, value := range storetest.Dump(t, f.store, f.client) { // a space is in no random text
		if !strings.Contains(key, routes.RevokedTree) && strings.Contains(key+value, "user 1") {
			t.Errorf("left in etcd: %s = %s", key, value)
		}
	}
}

// TestSecretsAreNotInEtcd is threat T104 for what this package makes.
func TestSecretsAreNotInEtcd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, secret := f.issue("u1")
	session, cookie, err := f.StartSession(t.Context(), hub.User{Name: "alice", ID: "u1"})
	f.must("StartSession", err)
	f.must("Adopt", f.AdoptForService(t.Context(), hub.Token{Service: "bot"}, "operator's secret"))
	edge, err := f.EdgeToken(t.Context(), routes.Claims{Subject: "alice", UserID: "u1", Session: session.ID})
	f.must("EdgeToken", err)
	dump := f.dump()
	for what, s := range map[string]string{"API token": secret, "cookie": cookie, "service token": "operator's secret", "edge token": edge} {
		for _, form := range storetest.Spellings(s) {
			if strings.Contains(dump, form) {
				t.Errorf("the %s is in etcd as %q", what, form)
			}
		}
	}
	// What edges may read has no private key, in whatever spelling.
	for key, value := range storetest.Dump(t, f.store, f.client) {
		if strings.HasPrefix(key, f.store.Key(routes.EdgeTree, "")) && strings.Contains(value, "seed") {
			t.Errorf("edges can read %s", key)
		}
	}
}
