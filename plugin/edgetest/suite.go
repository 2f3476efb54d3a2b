package edgetest

import "testing"

// Run runs the whole suite against the edges that make makes.
func Run(t *testing.T, make Maker) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, make Maker)
	}{
		{"an edge that is not ready answers 503 to everything", notReady},
		{"the route's list decides", decisions},
		{"paths", paths},
		{"token corpus", tokens},
		{"two credentials of a kind are refused", duplicates},
		{"a server gets nothing of the hub's or the visitor's", stripped},
		{"the forwarded request is the same byte for byte", untouched},
		{"forged headers are dropped", forged},
		{"answers are filtered", answersFiltered},
		{"no early hints and no trailers", earlyHints},
		{"only WebSocket upgrades", upgrades},
		{"a WebSocket works and needs the right origin", webSocket},
		{"a WebSocket keeps nothing of its request", lightSocket},
		{"requests from other sites are refused", otherSites},
		{"what ends a permission cuts open connections", cuts},
		{"a signing key has its time", keyTimes},
		{"a new epoch ends what older keys admitted", epochs},
		{"identity headers", identityHeaders},
		{"events are flushed, and cut with the session", events},
		{"uploads and downloads stream", streams},
		{"the control plane gets what has no route", hubGets},
		{"the control plane away is 503 for it alone", hubAway},
		{"replicas of the control plane are found and tried in turn", hubReplicas},
		{"API tokens are exchanged once", exchange},
		{"sessions are renewed in the background", renewal},
		{"visitor tickets", tickets},
		{"bad records are absent, others stay", badRecords},
		{"a server that is away is 502", serverAway},
		{"etcd away and back", etcdAway},
		{"a stopped server is answered without the control plane", stopped},
		{"a stopped server is 503 by option", stoppedLegacy},
		{"requests wait for a server that starts", held},
		{"what ends a wait without a server", heldInVain},
		{"who may not visit a server does not wait for it", heldForFew},
		{"other hosts than the hub's are refused", foreignHosts},
		{"each user's host has that user's servers", userHosts},
		{"signing in on a user's host", userHostVisit},
		{"an edge token is good on its own host only", hostBound},
		{"pages of one user's host do nothing on another", betweenHosts},
		{"tokens in addresses, by option", queryTokens},
		{"long answers come whole each time", longAgain},
		{"methods", methods},
		{"each credential opens only what it is for", confusion},
		{"forged headers in every spelling", forgedForms},
		{"cookies that look like the hub's", cookieForms},
		{"origins that look like the hub's", foreignOrigins},
		{"two requests in one", smuggling},
		{"hostile servers harm only their visitor", hostile},
		{"poisoned records harm nobody", poisoned},
		{"another etcd cluster", otherCluster},
		{"members of etcd that die or fall silent are left", deadMembers},
		{"unix sockets", unixSockets},
		{"real use is reported", activity},
		{"activity waits for the control plane", activityWaits},
		{"the access log learns who and why, and nobody else", logFields},
		{"metrics count", metricsCount},
		{"metrics are for who has the token", metricsRefused},
		{"readiness says why", readiness},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, make) })
	}
}
