// Package plugin is the edge of edgehub: a Traefik middleware plugin that decides every request to a user's server and
// proxies it. It also serves compiled, as the front door of `edgehub up`.
//
// It keeps the route table, the public keys and the revocations of one hub in memory, fed by an etcd list and watch, and
// verifies edge tokens offline, so a request to a running server touches neither the control plane nor etcd. Whatever
// has no route goes to the control plane. It does not start servers, issue tokens or write to etcd.
//
// Invariant: a request reaches a user's server only if one table lookup found its route, one token check named its
// bearer, and that route's own access list admits the bearer; and what the server answers cannot touch the hub's own
// cookies. Before the first complete list every request is answered with 503; after it the edge fails static on routes
// and closed on tokens.
//
// The reading order is config.go, edge.go and pass.go (one request from top to bottom), credentials.go, forward.go,
// filter.go; then watcher.go and state.go (where the table comes from), live.go (how open connections are cut), use.go and
// activity.go (which servers are in use), shared.go (lifecycle).
//
// The code runs under Yaegi 0.16.1 as well as compiled and keeps to the smaller Go that it speaks: standard library up to
// Go 1.22 plus the routes package, no generics, and callbacks wrapped in functions. What Yaegi quietly reads differently is
// kept out by TestNothingThatYaegiReadsDifferently, and looked for by test/yaegi.
package plugin
