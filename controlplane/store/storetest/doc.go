// Package storetest gives tests a real etcd, and holds the suite that every change of package store must pass.
//
// A package whose tests need etcd has
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// and calls Open in its tests. They share one etcd, which is started when the first of them asks, and each has a prefix of
// its own, so that they can run in parallel. A test that stops, restarts or compacts etcd starts one for itself (Start).
//
// The etcd is the program in EDGEHUB_TEST_ETCD, else the one that `edgehub up` embeds. Both listen on a Unix socket only.
package storetest
