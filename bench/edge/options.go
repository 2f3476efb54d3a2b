package edge

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Names of the sides of the comparison.
const (
	Direct      = "direct"      // the user server without a proxy
	Plain       = "plain"       // a Traefik route
	ForwardAuth = "forwardauth" // a Traefik route that asks an auth service about each request
	Plugin      = "plugin"      // Traefik with our plugin, interpreted
	Embedded    = "embedded"    // our edge compiled: `edgehub edge`
	CHP         = "chp"         // configurable-http-proxy
	// EtcdProvider is Traefik reading routers and services from etcd itself; only Changes has it.
	EtcdProvider = "traefik-etcd"
)

// Sides are all sides, in the order in which they run.
var Sides = []string{Direct, Plain, ForwardAuth, Plugin, Embedded, CHP}

// Options are what the operator chooses.
type Options struct {
	// Routes is the number of routes in etcd, which the sides plugin, embedded and chp serve.
	Routes int
	// Users are active, each with a route of their own, spread evenly over all routes.
	Users int
	// Seconds are measured for each side, in all rounds together.
	Seconds float64
	// Sides are some of Sides; empty means all that can be had on this machine.
	Sides []string
	// Connections are kept busy by the client, each with one request after the other.
	Connections int
	// Count is how many idle WebSockets are opened, sessions revoked, or reloads done.
	Count int
	// Rate is how many routes change in a second.
	Rate int
	// JSON prints one object a line instead of a table.
	JSON bool
	// Traefik is the traefik program; empty: looked for.
	Traefik string
	// Profile is a folder for profiles of the proxies; empty: none are taken.
	Profile string
	// sockets makes the client send messages over WebSockets.
	sockets bool
	// throttle is Traefik's providersThrottleDuration; empty: its own.
	throttle string
	// profileTime is how long a processor profile is taken.
	profileTime time.Duration
	// inside makes the proxies show profiles.
	inside bool
	// chp is the configurable-http-proxy program; empty: there is none.
	chp string
	// temp is where the run keeps its files; empty: the system's folder for that.
	temp string
	// Program is this program's file.
	Program string
	// Out gets the results, Progress what happens meanwhile.
	Out, Progress io.Writer
}

// rounds is how often each side has its turn. A disturbance of the machine then meets all of them, or shows in the spread.
const rounds = 5

// check says what is wrong with the options, before anything is started. Of the sides, only those allowed can be chosen,
// and they are the default.
func (o *Options) check(allowed ...string) error {
	if o.Users < 1 || o.Routes < o.Users {
		return fmt.Errorf("--routes %d: there must be one for each of the %d active users at least. Lower --users", o.Routes, o.Users)
	}
	if o.Seconds <= 0 {
		return errors.New("--seconds must be more than 0")
	}
	if o.Connections < 1 {
		return errors.New("--connections must be at least 1")
	}
	for _, s := range o.Sides {
		if !slices.Contains(allowed, s) {
			return fmt.Errorf("there is no side %q here. Choose from --sides %s", s, strings.Join(allowed, ","))
		}
	}
	if len(o.Sides) == 0 && !slices.Equal(allowed, Sides) {
		o.Sides = allowed
	}
	return nil
}

// wants reports whether a side was asked for.
func (o *Options) wants(side string) bool { return len(o.Sides) == 0 || slices.Contains(o.Sides, side) }

func (o *Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Progress, format+"\n", args...)
}

// round is how long a side's turn is.
func (o *Options) round() time.Duration {
	return time.Duration(o.Seconds / rounds * float64(time.Second))
}
