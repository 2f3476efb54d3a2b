// Package edge is `edgehub bench edge`: what a request, a WebSocket message, a route change, a revocation, a start and a
// reload cost at the edge, beside a plain Traefik route and other proxies, on the same machine in the same run.
//
// Client, user server, auth service, etcd and each proxy are processes of their own, so that the processor time of a proxy
// is the proxy's alone. The parts that are ours are this same program, started again with a hidden command (Part).
//
// Invariant: a figure is only printed when every answer behind it was the right one. One wrong answer ends the run.
package edge
