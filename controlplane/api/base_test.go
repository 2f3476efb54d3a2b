package api

import (
	"strings"
	"testing"
)

// TestURLsBelowABase looks at whatever the API says of places in a hub below a base.
func TestURLsBelowABase(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(o *Options) { o.Base = "/teaching/" })
	admin, alice := h.token(h.user("root", true)), h.user("alice", false)
	h.running(alice, "")
	var user struct {
		Server  string `json:"server"`
		Servers map[string]struct {
			URL         string `json:"url"`
			ProgressURL string `json:"progress_url"`
		} `json:"servers"`
	}
	h.do("GET", "/teaching/hub/api/users/alice", "", as(admin)).want(200).into(&user)
	s := user.Servers[""]
	if user.Server != "/teaching/user/alice/" || s.URL != "/teaching/user/alice/" || s.ProgressURL != "/teaching/hub/api/users/alice/server/progress" {
		t.Errorf("the user is %+v", user)
	}
	h.do("GET", s.ProgressURL, "", as(admin)).want(200)
	var table map[string]struct {
		RouteSpec string `json:"routespec"`
	}
	h.do("GET", "/teaching/hub/api/proxy", "", as(admin)).want(200).into(&table)
	if len(table) != 2 || table["/teaching/"].RouteSpec != "/teaching/" || table["/teaching/user/alice/"].RouteSpec != "/teaching/user/alice/" {
		t.Errorf("the proxy's table is %+v", table)
	}
	var page struct {
		Pagination struct {
			Next struct {
				URL string `json:"url"`
			} `json:"next"`
		} `json:"_pagination"`
	}
	h.do("GET", "/teaching/hub/api/users?limit=1", "", as(admin), header("Accept", "application/jupyterhub-pagination+json")).want(200).into(&page)
	if got := page.Pagination.Next.URL; !strings.HasPrefix(got, h.url+"/teaching/hub/api/users?") {
		t.Errorf("the next page is at %q", got)
	}
	if doc := h.do("GET", "/teaching/hub/api/openapi.json", "", as(admin)).want(200); !strings.Contains(doc.body, `"url":"/teaching/hub/api"`) {
		t.Errorf("the document has another server: %.300s", doc.body)
	}
	for _, path := range []string{"/hub/api/users", "/hub/api", "/research/hub/api/users", "/teaching/teaching/hub/api/users"} {
		h.do("GET", path, "", as(admin)).want(404)
	}
}
