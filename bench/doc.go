// Package bench measures what a request costs in process, for those who change the edge; what operators measure is in
// package bench/edge. `make bench` runs everything; each benchmark runs all its sides in one
// process and one run, so that their ratio means something on a noisy machine. The figure to look at is cpu-µs/request: the
// processor time of client, proxy and server together.
package bench
