package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// roles is a role in the configuration file, as docs/configuration.md has one.
const roles = `
roles:
  - name: tutor
    description: May visit the servers of a class
    scopes: ["access:servers!group=class"]
    groups: [tutors]
  - name: user
    scopes: [self, "read:hub"]
  - name: server
    scopes: ["users:activity!user", "access:servers!server", "read:servers!user", "proxy"]
`

// TestRoles shows that a role opens servers of others at the front door, and that its end, in each way there is, closes them
// within a second, open connections included; and that this costs the same however many have the role.
func TestRoles(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e, Config: roles}, "alice", "dora")
		w.AddUser(t, "teacher")
		w.AddUser(t, "tom")
		t.Run("tokens of servers", func(t *testing.T) { tokensOfServers(t, w) })
		t.Run("ways to lose access", func(t *testing.T) { waysToLose(t, w) })
		t.Run("configuration file", func(t *testing.T) { configured(t, w) })
		t.Run("many holders", func(t *testing.T) { manyHolders(t, w) })
	})
}

// call is a call of the API that must succeed.
func call(t *testing.T, w *env.World, method, path string, body any) {
	t.Helper()
	if status, answer := w.API(t, method, path, body); status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
}

type object = map[string]any

// tokensOfServers shows that the role server says what the token of alice's server may do, as far as alice may.
func tokensOfServers(t *testing.T, w *env.World) {
	var list struct {
		Tokens []struct {
			Note   string   `json:"note"`
			Scopes []string `json:"scopes"`
		} `json:"api_tokens"`
	}
	status, answer := w.API(t, http.MethodGet, "/users/alice/tokens", nil)
	if err := json.Unmarshal(answer, &list); err != nil || status != http.StatusOK || len(list.Tokens) != 1 {
		t.Fatalf("alice's tokens: %d %s", status, answer)
	}
	const want = "access:servers!server=alice/ read:servers!user=alice read:users:activity!user=alice read:users:groups!user=alice read:users:name!user=alice users:activity!user=alice"
	if got := strings.Join(list.Tokens[0].Scopes, " "); got != want || list.Tokens[0].Note != "Server at /user/alice/" {
		t.Errorf("the token %q has the scopes %s, want %s", list.Tokens[0].Note, got, want)
	}
}

// waysToLose gives the teacher alice's server by a role, and takes it again in every way.
func waysToLose(t *testing.T, w *env.World) {
	class := object{"scopes": []string{"access:servers!group=class"}}
	inClass, inNone := object{"groups": []string{"class"}}, object{"groups": []string{}}
	holder := object{"users": []string{"teacher"}}
	staff := object{"groups": []string{"staff"}}
	call(t, w, http.MethodPost, "/roles/teacher", object{"scopes": []string{}})
	teacher := w.Login(t, "teacher")
	program := w.Bearer(teacher.Token(t).Secret)
	if resp := program.Get(t, "/user/alice/x"); resp.Status != http.StatusForbidden {
		t.Fatalf("before all: %s", resp)
	}
	type change struct {
		method, path string
		body         any
	}
	give := []change{
		{http.MethodPut, "/roles/teacher", class},
		{http.MethodPatch, "/users/alice", inClass},
		{http.MethodPost, "/roles/teacher/users", holder},
	}
	byGroup := []change{
		{http.MethodPut, "/roles/teacher", class},
		{http.MethodPatch, "/users/alice", inClass},
		{http.MethodPatch, "/users/teacher", staff},
		{http.MethodPost, "/roles/teacher/groups", staff},
	}
	for _, test := range []struct {
		what string
		give []change
		take change
		back []change // so that the next one begins with nothing
	}{
		{"the role loses the scope", give, change{http.MethodPut, "/roles/teacher", object{"scopes": []string{"list:users"}}},
			[]change{{http.MethodDelete, "/roles/teacher/users", holder}}},
		{"the role is for another group", give, change{http.MethodPut, "/roles/teacher", object{"scopes": []string{"access:servers!group=other"}}},
			[]change{{http.MethodDelete, "/roles/teacher/users", holder}}},
		{"the holder loses the role", give, change{http.MethodDelete, "/roles/teacher/users", holder}, nil},
		{"the owner leaves the group", give, change{http.MethodPatch, "/users/alice", inNone},
			[]change{{http.MethodDelete, "/roles/teacher/users", holder}}},
		{"the group loses the role", byGroup, change{http.MethodDelete, "/roles/teacher/groups", staff}, nil},
		{"the holder leaves the group with the role", byGroup, change{http.MethodPatch, "/users/teacher", inNone},
			[]change{{http.MethodDelete, "/roles/teacher/groups", staff}}},
		{"the group with the role is deleted", byGroup, change{http.MethodDelete, "/groups/staff", nil}, nil},
		{"the role is deleted", give, change{http.MethodDelete, "/roles/teacher", nil},
			[]change{{http.MethodPost, "/roles/teacher", object{"scopes": []string{}}}}},
	} {
		t.Run(test.what, func(t *testing.T) {
			for _, c := range test.give {
				call(t, w, c.method, c.path, c.body)
			}
			since := time.Now()
			env.Eventually(t, "the role opens alice's server", second, func() error {
				if resp := program.Get(t, "/user/alice/x"); resp.Status != http.StatusOK || resp.Report(t).User != "alice" {
					return fmt.Errorf("after %s: %s", time.Since(since), resp)
				}
				return nil
			})
			if resp := program.Get(t, "/user/dora/x"); resp.Status != http.StatusForbidden {
				t.Errorf("dora's server: %s", resp)
			}
			cut := talk(t, program.WebSocket(t, "/user/alice/ws"))
			cut.mustGoOn(t, "WebSocket by the role")
			call(t, w, test.take.method, test.take.path, test.take.body)
			since = time.Now()
			gone(t, "request", since, program, nil, http.StatusForbidden)
			cut.mustBreak(t, "WebSocket", since, second)
			for _, c := range test.back {
				call(t, w, c.method, c.path, c.body)
			}
		})
	}
}

// configured shows the roles of the configuration file, in a browser: of a group, and the default role with one scope more.
func configured(t *testing.T, w *env.World) {
	call(t, w, http.MethodPatch, "/users/alice", object{"groups": []string{"class"}})
	tom := w.Login(t, "tom")
	if resp := tom.Get(t, "/user/alice/x"); resp.Status != http.StatusForbidden {
		t.Fatalf("before: %s", resp)
	}
	if resp := tom.Get(t, "/hub/api/info"); resp.Status != http.StatusOK {
		t.Errorf("the scope that the file adds to the role user: %s", resp)
	}
	call(t, w, http.MethodPatch, "/users/tom", object{"groups": []string{"tutors"}})
	again := tom.Page(t, "/user/alice/x") // the old edge token is over, and the session gets a new one on the way
	for range 3 {
		if again.Status != http.StatusFound {
			break
		}
		again = tom.Page(t, again.Header.Get("Location"))
	}
	if again.Status != http.StatusOK {
		t.Errorf("a person who has got the role: %s", again)
	}
	cut := talk(t, tom.WebSocket(t, "/user/alice/ws"))
	cut.mustGoOn(t, "WebSocket by a role of the file")
	call(t, w, http.MethodPatch, "/users/tom", object{"groups": []string{}})
	since := time.Now()
	gone(t, "cookie", since, tom, nil, http.StatusForbidden)
	cut.mustBreak(t, "WebSocket", since, second)
}

// manyHolders changes a role of many users: one revocation, for all of them.
func manyHolders(t *testing.T, w *env.World) {
	const n = 200
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("holder%d", i)
	}
	call(t, w, http.MethodPost, "/users", object{"usernames": names})
	call(t, w, http.MethodPatch, "/users/alice", object{"groups": []string{"class"}})
	call(t, w, http.MethodPost, "/roles/many", object{"scopes": []string{"access:servers!user=alice"}})
	call(t, w, http.MethodPost, "/roles/many/users", object{"users": append(names, "teacher")})
	program := w.Bearer(w.Login(t, "teacher").Token(t).Secret)
	if resp := program.Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Fatalf("a holder: %s", resp)
	}
	_, before := revocations(t, w, 0)
	call(t, w, http.MethodPut, "/roles/many", object{"scopes": []string{"read:hub"}})
	gone(t, "request of a holder", time.Now(), program, nil, http.StatusForbidden)
	if made, _ := revocations(t, w, before); made != 1 {
		t.Errorf("a change of a role of %d users made %d revocations, want one", n, made)
	}
	call(t, w, http.MethodDelete, "/roles/many", nil)
	env.Eventually(t, "the hub has tidied up", 30*second, func() error {
		if status, answer := w.API(t, http.MethodPost, "/roles/many", object{}); status != http.StatusCreated {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
	if _, answer := w.API(t, http.MethodGet, "/roles/many/users", nil); strings.TrimSpace(string(answer)) != "[]" {
		t.Errorf("a later role of the name has users %s", answer)
	}
}

// revocations is how many revocations in etcd are newer than a revision, and etcd's revision now.
func revocations(t *testing.T, w *env.World, since int64) (n, now int64) {
	t.Helper()
	body, err := json.Marshal(object{"key": []byte("/edgehub/edge/revoked/"), "range_end": []byte("/edgehub/edge/revoked0"),
		"keys_only": true, "min_mod_revision": since + 1})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.EtcdURL+"/v3/kv/range", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var found struct {
		Header struct {
			Revision int64 `json:"revision,string"`
		} `json:"header"`
		Kvs []json.RawMessage `json:"kvs"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		t.Fatal(err)
	}
	return int64(len(found.Kvs)), found.Header.Revision
}

// TestAuditLog shows that what people and programs do is in the file and in the API, and that no secret is.
func TestAuditLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	w := env.New(t, env.Options{Args: []string{"--audit-log", file}})
	w.AddUser(t, "alice")
	alice := w.Login(t, "alice")
	token := alice.Token(t)
	if resp := alice.Get(t, "/hub/api/users/nobody"); resp.Status != http.StatusNotFound {
		t.Fatal(resp)
	}
	refused := w.Bearer(token.Secret).Do(t, http.MethodDelete, "/hub/api/users/bob", nil, nil)
	alice.Logout(t)
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, api := w.API(t, http.MethodGet, "/audit", nil)
	for _, want := range []string{
		`"actor":"bootstrap","kind":"service"`, `"action":"POST /hub/api/users/{user}","path":"/hub/api/users/alice","status":201`,
		`"action":"sign in","status":200`, `"action":"POST /hub/api/users/{user}/tokens","path":"/hub/api/users/alice/tokens","status":201`,
		`"action":"sign out","status":200`,
	} {
		for where, text := range map[string][]byte{"file": lines, "API": api} {
			if !bytes.Contains(text, []byte(want)) {
				t.Errorf("the %s does not have %s:\n%s", where, want, text)
			}
		}
	}
	if want := fmt.Sprintf(`"path":"/hub/api/users/bob","status":%d`, refused.Status); !bytes.Contains(lines, []byte(want)) || bytes.Contains(api, []byte(want)) {
		t.Errorf("what was refused must be in the file only: %s", want)
	}
	for what, secret := range map[string]string{"password": w.Password("alice"), "token": token.Secret, "administrator's token": w.AdminToken} {
		if bytes.Contains(lines, []byte(secret)) || bytes.Contains(api, []byte(secret)) {
			t.Errorf("the audit log shows the %s", what)
		}
	}
	for i, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		if !json.Valid(line) {
			t.Errorf("line %d is no JSON: %s", i+1, line)
		}
	}
}
