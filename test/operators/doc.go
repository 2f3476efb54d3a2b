// Package operators tests the manual for Traefik's operators: every block of docs/traefik.md that has a file name is taken out
// of it and loaded by a real Traefik, which then serves a user through the plugin with a real etcd behind it.
//
// What cannot be had on a test machine is answered by stand-ins: the Docker and the Kubernetes API.
//
// Invariant: a block is changed only where it names a place of the operator's world (addresses, paths, the catalogue), and a
// change that finds nothing to change fails the test.
package operators
