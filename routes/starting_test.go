package routes

import (
	"encoding/json"
	"testing"
)

func TestParseStarting(t *testing.T) {
	good := Starting{Schema: 1, Prefix: "/user/alice/", Owner: "alice", OwnerID: "u1", Gen: 3, Hold: 30}
	parse := func(key string, change func(s *Starting)) error {
		s := good
		change(&s)
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseStarting(key, b)
		return err
	}
	key := EscapeKey(good.Prefix)
	for name, change := range map[string]func(s *Starting){
		"as it is": func(*Starting) {}, "next schema": func(s *Starting) { s.Schema = 2 },
		"nobody waits": func(s *Starting) { s.Hold = 0 }, "longest wait": func(s *Starting) { s.Hold = MaxHold },
	} {
		if err := parse(key, change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(s *Starting){
		"no schema": func(s *Starting) { s.Schema = 0 }, "far schema": func(s *Starting) { s.Schema = 3 },
		"other prefix": func(s *Starting) { s.Prefix = "/user/bob/" }, "owner": func(s *Starting) { s.Owner = "" },
		"owner's id": func(s *Starting) { s.OwnerID = "" }, "negative": func(s *Starting) { s.Hold = -1 }, "for ever": func(s *Starting) { s.Hold = MaxHold + 1 },
	} {
		if parse(key, change) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ParseStarting(key, []byte("{")); err == nil {
		t.Error("half a record is accepted")
	}
	if parse("/user/alice/", func(*Starting) {}) == nil {
		t.Error("an unescaped key is accepted")
	}
	if parse(EscapeKey("/hub/"), func(s *Starting) { s.Prefix = "/hub/" }) == nil {
		t.Error("the hub's own prefix is accepted")
	}
}

func TestAllowsWaiting(t *testing.T) {
	s := &Starting{Prefix: "/user/alice/lab/", Owner: "alice", OwnerID: "u1", Server: "lab"}
	for _, c := range []struct {
		name, user, scope string
		want              bool
	}{
		{"owner", "u1", ScopeInherit, true}, {"owner, this server", "u1", "access:servers!server=alice/lab", true},
		{"owner, another server", "u1", "access:servers!server=alice/", false}, {"owner, no access", "u1", "read:users", false},
		{"stranger", "u2", ScopeInherit, false}, {"administrator", "u2", ScopeAccess, true},
		{"stranger with the owner's scope", "u2", "access:servers!user=alice", false},
	} {
		if got := AllowsWaiting(s, &Claims{UserID: c.user, Scopes: []string{c.scope}}); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
