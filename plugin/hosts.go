package plugin

import (
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// With userDomain every user has a host, and what a user's server sends is run by browsers in an origin of its own: it can
// neither read the hub's pages nor those of other users. Paths are the same on all hosts, so routes do not change.

// misplaced answers a request that came to a host where its path is not served. It reports false for all others, which
// are most.
func misplaced(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found) bool {
	host := routes.NormalHost(s.set.publicScheme, r.Host)
	hosts := s.set.hosts
	switch {
	case host == s.set.publicHost:
		return hosts != nil && leaveHub(s, w, r, path, f)
	case hosts != nil && hosts.IsUsers(host):
		return onUserHost(s, w, r, path, f, host)
	case s.set.apiHosts[host] && (path == "/hub/api" || path == "/hub/health" || strings.HasPrefix(path, "/hub/api/")):
		return false
	}
	noted(r, decidedRefuse, "unknown_host")
	answer(s, w, r, http.StatusMisdirectedRequest, "invalid", "This host is not served here.")
	return true
}

// homeOf is the host where a path is served: that of the user whose server the path leads to, else the hub's.
func homeOf(hosts *routes.Hosts, path string, f *found) string {
	owner := routes.UserOf(path)
	if f.route != nil {
		owner = f.route.Owner
	}
	if owner == "" {
		return hosts.Hub
	}
	return hosts.Of(owner)
}

// leaveHub is for requests to the hub's host. Nothing that a user's server sends may be a page there: people are sent to the
// user's host, and programs with a token in a header get what they ask for, without any cookie. A server that does not run
// is the business of serveStopped.
func leaveHub(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found) bool {
	if f.route == nil {
		return false
	}
	home := homeOf(s.set.hosts, path, f)
	if home == s.set.publicHost {
		return false
	}
	token, problem := headerToken(r)
	if token != "" || problem != nobody {
		r.Header.Del("Cookie") // so it is neither a credential nor told to the server
		return false
	}
	if navigates(r) {
		query := r.URL.RawQuery
		if !s.set.queryTokens {
			query = withoutToken(query)
		}
		noted(r, decidedEdge, "user_host")
		sendTo(w, r, s.set.publicScheme+"://"+home+withQuery(s.set.base.Path(path), query))
		return true
	}
	noted(r, decidedRefuse, "hub_host")
	answer(s, w, r, http.StatusForbidden, "forbidden", "This server has a host of its own, "+home+".")
	return true
}

// onUserHost is for requests to a user's host, which has the user's servers, the end of the sign-in there, and nothing else.
func onUserHost(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found, host string) bool {
	if path == visitPath {
		noted(r, decidedSignIn, "visit")
		endVisit(s, w, r, host)
		return true
	}
	if (f.route != nil || belowUserTree(path)) && homeOf(s.set.hosts, path, f) == host {
		return false
	}
	if navigates(r) && (path == "/" || path == "/hub" || strings.HasPrefix(path, "/hub/")) {
		noted(r, decidedEdge, "hub_host")
		sendTo(w, r, s.set.hosts.Origin()+withQuery(s.set.base.Path(path), withoutToken(r.URL.RawQuery)))
		return true
	}
	noted(r, decidedRefuse, "user_host")
	answer(s, w, r, http.StatusNotFound, "not_found", "There is nothing here.")
	return true
}

func sendTo(w http.ResponseWriter, r *http.Request, address string) {
	noteSent(r, http.StatusFound)
	ownHeaders(w.Header())
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusFound)
}

// hubOrigin is what comes before the path in links to the hub: nothing on its own host.
func hubOrigin(s *shared) string {
	if s.set.hosts == nil {
		return ""
	}
	return s.set.hosts.Origin()
}

// boundTo is the host that an edge token must be bound to, see routes.Claims, when it comes to host.
func boundTo(set *settings, host string) string {
	if set.hosts == nil || host == set.publicHost {
		return ""
	}
	return host
}

// fromOutside reports whether a page of another origin made a browser send the request.
func fromOutside(set *settings, r *http.Request) bool {
	if set.hosts == nil {
		return false
	}
	sites := r.Header["Sec-Fetch-Site"]
	return len(sites) > 1 || len(sites) == 1 && sites[0] != "same-origin" && sites[0] != "none"
}

// intrudes reports whether a page of another origin asks for something that is not a page in a window of its own: a picture, a
// script, a frame. On users' hosts that is refused if a cookie would authenticate it. All users' hosts are one site to
// browsers, which therefore send such requests with the cookie, whatever its SameSite says.
func intrudes(set *settings, r *http.Request) bool {
	if !fromOutside(set, r) {
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document" || r.Method != http.MethodGet
}
