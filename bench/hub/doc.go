// Package hub is `edgehub bench hub`: what requests to the hub's API cost, beside a JupyterHub on the same machine in the same
// run where one is installed.
//
// etcd, the hub and JupyterHub are processes of their own, and the client is this one. The processor time of edgehub's side is
// that of hub and etcd together; JupyterHub has its database inside.
//
// Invariant: a figure is only printed when every answer behind it was the right one. One wrong answer ends the run.
package hub
