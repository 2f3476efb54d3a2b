package plugin

import (
	"net/http"
	"strings"
)

// userTree is where users' servers are. What has no route there is a server that does not run, or that never was: the
// edge answers both alike and by itself, because the open tabs of stopped servers come back every few seconds, and ten
// thousand of them must not reach the control plane.
const userTree = "/user/"

// belowUserTree reports whether a checked path names a user, and so is answered by serveStopped if it has no route.
func belowUserTree(path string) bool {
	return len(path) > len(userTree) && strings.HasPrefix(path, userTree)
}

// serveStopped answers for a server without a route: a person is sent to the hub's page about it, which offers to start
// it, and a program is told that it does not run, unless it may wait for a start (see awaitRoute).
func serveStopped(s *shared, w http.ResponseWriter, r *http.Request, path string, f *found) {
	dropOtherUpgrade(r)
	if navigates(r) {
		noted(r, decidedStopped, "page")
		sendTo(w, r, hubOrigin(s)+withQuery(s.set.base.Path("/hub"+path), withoutToken(r.URL.RawQuery)))
		return
	}
	if f.starting != nil {
		now, again := awaitRoute(s, r, path, f)
		if now != nil {
			serve(s, w, r, false)
			return
		}
		if again {
			w.Header().Set("Retry-After", "5")
		}
	}
	notRunning(s, w, r, path)
}

// notRunning is JupyterHub's answer to programs, in its words: JupyterLab shows its dialog about a server that is gone when
// it sees the status. It is the same for a name that nobody has.
func notRunning(s *shared, w http.ResponseWriter, r *http.Request, path string) {
	noted(r, decidedStopped, "not_running")
	noteSent(r, s.set.stoppedStatus)
	kind := "invalid"
	if s.set.stoppedStatus == http.StatusServiceUnavailable {
		kind = "unavailable"
	}
	user, _, _ := strings.Cut(path[len(userTree):], "/")
	scheme, host := originOf(s.set, r)
	if s.set.hosts != nil {
		host = s.set.publicHost
	}
	answerJSON(w, s.set.stoppedStatus, problemBody(s.set.stoppedStatus, kind, "JupyterHub server no longer running at "+s.set.base.Path(path)+
		". Restart the server at "+scheme+"://"+host+s.set.base.Path("/hub/spawn/"+user)))
}
