package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

type body struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	List  []string `json:"list"`
}

func readJSON(raw string) (body, error) {
	v := body{Name: "before"}
	r := httptest.NewRequest("POST", "/", strings.NewReader(raw))
	err := web.ReadJSON(httptest.NewRecorder(), r, &v)
	return v, err
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]body{
		"": {Name: "before"}, "  \n\t ": {Name: "before"}, "{}": {Name: "before"}, "null": {Name: "before"},
		`{"name":"x","count":3}`: {Name: "x", Count: 3}, " {\"name\":\"x\"}\r\n ": {Name: "x"}, `{"other":1,"name":"x"}`: {Name: "x"},
	} {
		if got, err := readJSON(raw); err != nil || got.Name != want.Name || got.Count != want.Count {
			t.Errorf("ReadJSON(%q): got %+v, %v; want %+v", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"{", "}", "x", "{}{}", "{} {}", "{}x", "{}}", "{}]", `{"name":"x"}}`, `{"name":"x"},`, "[]", `"text"`, "1", "true",
		`{"name":1}`, `{"count":"1"}`, `{"count":1.5}`, `{"count":1e99}`, `{"list":{}}`, `{"list":[1]}`, "{'name':1}", "{\"name\":\"x\"}\x00",
		strings.Repeat("[", 100_000), `{"count":` + strings.Repeat("9", 100_000) + "}", "\xff", "name=x&count=1",
		"{\"name\":\"a\xff\"}", "{\"name\":\"\xed\xa0\x80\"}", "{\"na\xc0\xafme\":1}", "\xfe\xff\x00{\x00}", "\xef\xbb\xbf{}",
	} {
		_, err := readJSON(raw)
		if err == nil || hub.KindOf(err) != hub.Invalid {
			t.Errorf("ReadJSON(%.60q): got %v, want it refused as invalid", raw, err)
			continue
		}
		if m := hub.MessageOf(err); m == "" || len(m) > 200 || strings.HasPrefix(m, " ") || strings.Contains(m, "Go ") {
			t.Errorf("ReadJSON(%.60q): message %.250q, want a short sentence without our types", raw, m)
		}
	}
}

func TestReadJSONStopsAtItsLimit(t *testing.T) {
	t.Parallel()
	for what, raw := range map[string]string{
		"a long value":      `{"name":"` + strings.Repeat("x", web.MaxBody) + `"}`,
		"spaces behind it":  "{}" + strings.Repeat(" ", web.MaxBody),
		"spaces in front":   strings.Repeat(" ", web.MaxBody) + "{}",
		"rubbish behind it": "{}" + strings.Repeat(" ", web.MaxBody-1) + "x",
	} {
		if _, err := readJSON(raw); err == nil || web.Status(err) != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: got %v, want status 413", what, err)
		}
	}
	if got, err := readJSON(`{"name":"` + strings.Repeat("x", web.MaxBody-11) + `"}`); err != nil || len(got.Name) != web.MaxBody-11 {
		t.Errorf("a body of exactly the limit: %v", err)
	}
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"token abc": "abc", "Bearer abc": "abc", "TOKEN abc": "abc", "bearer  abc ": "abc", "Basic abc": "", "abc": "", "": "", "token": "", "token ": "",
		"tokenabc": "", "token\tabc": "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", header)
		if got := web.BearerToken(r); got != want {
			t.Errorf("Authorization %q: got %q, want %q", header, got, want)
		}
	}
}

func TestWantsHTML(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": false, "text/html": true, "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8": true,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept", accept)
		if got := web.WantsHTML(r); got != want {
			t.Errorf("Accept %q: got %t, want %t", accept, got, want)
		}
	}
}

func TestStrictPath(t *testing.T) {
	t.Parallel()
	h := web.StrictPath(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	try := func(target string) int {
		u, err := url.ParseRequestURI(target) // as the server parses the request line
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = u
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for _, target := range []string{
		"/", "/hub/", "/hub/api/users/alice", "/hub/api/users/a%40b.org", "/hub/api/users/a@b", "/hub/x;y", "/hub/%C3%A4",
		"/hub/...", "/hub/a..b", "/hub/.well-known", "/hub/a.", "/hub/?next=%2f%2e%2e%2f//x\\", "/hub/%20", "/hub/..a/", "/hub/%2e%2e%2e/",
	} {
		if got := try(target); got != http.StatusNoContent {
			t.Errorf("%s: got %d, want it passed on", target, got)
		}
	}
	for _, target := range []string{
		"//hub/", "/hub//api", "/hub/api//", "/user%2falice", "/%2fhub", "/hub/%2F", "/hub/a%5cb", "/hub/a%5C", "/hub/a\\b", "/hub/%00", "/hub/a%00b",
		"/hub/%25", "/hub/%252e%252e/", "/hub/%2525", "/..", "/.", "/../", "/./", "/hub/..", "/hub/.", "/hub/../x", "/hub/./x",
		"/hub/%2e%2e/x", "/hub/%2e/x", "/hub/%2e", "/hub/%2e%2e", "/hub/.%2e/x", "/hub/%2E./x", "/%2e%2e", "/%2e",
	} {
		if got := try(target); got != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", target, got)
		}
	}
}
