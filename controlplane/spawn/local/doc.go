// Package local runs single-user servers as processes of this machine: hub.Spawner for `edgehub up` and for hubs that
// need no containers. It does not isolate users from each other beyond what their system accounts do (see
// Options.SystemUser), sets no limits, and is no scheduler: all replicas that share a Dir run on one Linux machine, in
// one process id namespace.
//
// Invariant: of one name at most one process exists at any instant, and none is started with a generation lower than
// one that was started or stopped before. Killing the hub at any point leaves either nothing or one recorded process.
//
// Every name has a folder with the files lock, instance.json (which process, which generation), exit.json (how it ended)
// and server.log. The kernel guards the invariant, not the hub's memory: the server process itself holds the lock. To
// give it the lock, the hub starts a shim, which is its own binary once more, and the shim becomes the server:
//
//	hub                            shim                              kernel
//	 │ Start: read instance.json
//	 │   same gen lives: adopt it
//	 │   older gen lives: end it
//	 ├── fork, setsid ────────────►│
//	 ├── order (JSON, a pipe) ────►│ flock(lock) ────────────────────► held by this process, whatever it executes
//	 │                             │ read instance.json again
//	 │◄── "held", "too old" ───────┤   lives or is newer: say so, exit
//	 │                             │ write instance.json
//	 │                             │ log file, user, work dir
//	 │◄── status pipe closes ──────┤ execve(jupyter...)
//	 │ read instance.json          └─ the server ─ exit ───────────────► lock free
//
// The status pipe is close-on-exec, so that its end without a word means success. Stop takes the lock too, once the
// process is gone, to write down up to which generation the name is over: a shim that comes late finds that and gives up.
// All descendants carry the name and generation in their environment, by which Stop finds kernels and daemons that left
// the process group.
//
// Generations of a name must never go back, not even when a user is deleted and another one with that name is created:
// such starts are refused. A name should hence contain the user's id.
//
// A service manager must not kill the servers together with the hub: under systemd that is KillMode=process.
package local
