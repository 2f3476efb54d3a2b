// Package routes is the vocabulary that the edge and the control plane share: route, key and revocation records, the
// names of their etcd keys, the rule for paths, the lookup table, edge tokens, visitor tickets, and reports of activity.
//
// It holds pure functions and plain structs only: no I/O, no goroutines, standard library only. It runs compiled and
// under Yaegi (the Go interpreter inside Traefik), so it keeps to the smaller Go that Yaegi 0.16.1 speaks.
//
// Invariant: the record that was authorised is the record that is dialled. One function (Split) reads a path, one
// lookup (Table.Lookup) finds its record, and nobody else parses paths to decide.
package routes
