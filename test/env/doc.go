// Package env is the world of end-to-end tests: a real etcd, the hub and the front door as processes of their own (New), or
// `edgehub up`, which is all three in one (Up). Tests act in it as several users (Client), and stop, kill and pause its parts
// (Process).
//
// Users' servers are real Jupyter servers, or, where Jupyter is not the point, the program in echoserver, which says what
// reached it.
//
// Invariant: what a world started ends with its test, by process id. A part that reports a data race or a panic fails the
// test, whatever the test itself was about.
package env
