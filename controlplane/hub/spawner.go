package hub

import (
	"context"
	"time"
)

// Spec is everything a spawner needs to make one server.
type Spec struct {
	// Name is a function of hub, user and server, safe as a file or container name. There is at most one live instance
	// of a name at any instant; the generation is its label.
	Name   string
	Gen    int64
	User   UserName
	Server ServerName
	// Prefix is the URL prefix that the program must serve under: "/user/alice/".
	Prefix string
	// Secret is what the edge presents or signs tickets with (see Instance.Auth).
	Secret string
	// Env is the environment in JupyterHub's form without JUPYTERHUB_SERVICE_URL, which the spawner adds because it
	// knows the port.
	Env map[string]string
	// Options are the user_options of this start.
	Options map[string]any
}

// Status is a spawner's answer about an instance.
type Status struct {
	// Running is false only when the spawner knows that the instance is gone. "Unknown" is an error, never false.
	Running bool
	// Reason says how it ended, for the user: "exited with code 1".
	Reason string
	// Gen is the generation of the live instance.
	Gen int64
}

// Spawner makes, finds and ends instances. One Spawner serves many servers at once and keeps nothing that another
// replica or its own next incarnation would need: names and Instance.State are enough to go on.
//
// Ordering: the caller never has two calls for one name under way in the same process, but a late owner of the record
// may still be calling. Generations fence it: a call with an older generation than the live instance fails.
type Spawner interface {
	// Start makes the instance spec.Name with generation spec.Gen and returns as soon as it exists, before it is ready.
	// If an instance with this name and generation exists it is adopted, not made again. One with an older generation
	// is ended first. One with a newer generation makes Start fail with a Conflict error.
	// Errors of kind Invalid and Unavailable carry a message for the user (a missing program, a missing directory).
	Start(ctx context.Context, spec Spec) (Instance, error)
	// Poll says whether the instance name is live. An error means unknown. inst may be nil when the record has none yet.
	Poll(ctx context.Context, name string, inst *Instance) (Status, error)
	// Stop ends the instance name if its generation is at most gen, gently at first, by force after grace. It returns
	// when the instance is gone; stopping one that is gone already is not an error.
	Stop(ctx context.Context, name string, gen int64, inst *Instance, grace time.Duration) error
}
