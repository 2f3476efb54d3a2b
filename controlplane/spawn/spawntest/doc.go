// Package spawntest is the suite that every spawner passes: what hub.Spawner promises, tried on the real thing, with two
// spawners over one backend as two replicas of the hub have them. It knows nothing of how instances are made.
//
// A spawner's test hands Run a function that makes a Backend:
//
//	func TestContract(t *testing.T) { spawntest.Run(t, newBackend) }
//
// Where the backend can run programs, it should run Program: that one notices itself when two instances of a name live at
// the same time, even for a millisecond.
package spawntest
