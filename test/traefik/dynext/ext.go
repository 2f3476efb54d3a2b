// Package ext stands in for a package that Traefik names and nobody publishes: the places where its commercial editions
// add fields.
package ext

// HTTP adds nothing to the dynamic HTTP configuration.
type HTTP struct{}

// Router adds nothing to a router.
type Router struct{}
