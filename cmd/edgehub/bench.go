package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgehub/edgehub/bench/edge"
)

// benchCommand measures. Its parts run in child processes: this program again, with the hidden command part.
func benchCommand() *cobra.Command {
	bench := &cobra.Command{
		Use:   "bench",
		Short: "Measure what edgehub costs on this machine",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	part := &cobra.Command{Use: "part", Hidden: true, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		return edge.Part(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout())
	}}
	bench.AddCommand(benchEdgeCommand(), benchHubCommand(), part)
	return bench
}

// benchDefaults hold where a measurement has none of its own.
func benchDefaults() edge.Options {
	return edge.Options{Routes: 10000, Users: 200, Seconds: 10, Connections: 32, Traefik: os.Getenv("EDGEHUB_TRAEFIK")}
}

func benchEdgeCommand() *cobra.Command {
	c := measurement(&cobra.Command{
		Use:   "edge",
		Short: "Compare the edge with plain Traefik and other proxies",
		Long: `Measure a request of a signed-in browser through each of these sides, in turn and in several rounds, with the
same client and the same user server behind it:

  direct       the user server without a proxy
  plain        a Traefik route: one router for everything with one service
  forwardauth  the same with Traefik's ForwardAuth middleware and an auth service that says yes
  plugin       Traefik with the edgehub plugin, interpreted, and --routes routes in etcd
  embedded     the same edge compiled: "edgehub edge"
  chp          configurable-http-proxy with --routes routes, JupyterHub's own proxy

Each proxy is a process of its own. "CPU" is the processor time, user and system, of that process alone; for
forwardauth it is Traefik's, and the auth service's is shown beside it. docs/performance.md says more.`,
		Example: "  edgehub bench edge\n  edgehub bench edge --sides plain,plugin --seconds 20 --json\n" +
			"  edgehub bench edge --sides plugin --profile /tmp/profiles",
	}, benchDefaults(), []string{"routes", "users", "seconds", "sides", "connections", "profile"}, edge.Compare)
	c.AddCommand(benchWebSocketCommand(), benchRoutesCommand(), benchRevokeCommand(), benchStartCommand(), benchReloadsCommand(),
		benchScaleCommand())
	return c
}

func benchWebSocketCommand() *cobra.Command {
	o := benchDefaults()
	o.Connections, o.Count = 50, 5000
	return measurement(&cobra.Command{
		Use:   "websocket",
		Short: "Memory of idle WebSockets, and CPU per message",
		Long: `Open --count WebSockets through each side and look at what the proxy's resident memory has grown by when it has
collected its garbage. Then send messages of 100 bytes over --connections sockets and have the user server send
them back; the CPU is the proxy's, for a message there and back. Sides: plain, plugin, embedded.`,
	}, o, []string{"count", "connections", "seconds", "routes", "users", "sides"}, edge.WebSocket)
}

func benchRoutesCommand() *cobra.Command {
	o := benchDefaults()
	o.Rate = 100
	return measurement(&cobra.Command{
		Use:   "routes",
		Short: "From a changed route in etcd to the first right answer",
		Long: `Change --rate routes a second in etcd and time how long after etcd's acknowledgement a request is answered by the new
server. Sides, one at a time: plugin, embedded, and traefik-etcd: Traefik with its own etcd provider and the keys
that JupyterHub's traefik-proxy writes.`,
	}, o, []string{"rate", "seconds", "routes", "users", "sides"}, edge.Changes)
}

func benchRevokeCommand() *cobra.Command {
	o := benchDefaults()
	o.Count = 200
	return measurement(&cobra.Command{
		Use:   "revoke",
		Short: "From a revocation in etcd to the refusal and the cut",
		Long: `Revoke --count sessions, one after the other, and time how long after etcd's acknowledgement the next request is
refused, and the session's open WebSocket cut. Sides: plugin, embedded.`,
	}, o, []string{"count", "routes", "users", "sides"}, edge.Revoke)
}

func benchStartCommand() *cobra.Command {
	return sized(&cobra.Command{
		Use:   "start",
		Short: "From the start to right answers, and memory, by number of routes",
		Long: `Start each side three times with each number of routes in etcd and time the first right answer, to a request for the
last of the routes; the median counts. Memory is resident memory after a garbage collection. Sides: plain, plugin,
embedded; plain is Traefik alone.`,
	}, benchDefaults(), []int{10000, 100000}, []string{"users", "sides"}, edge.Start)
}

func benchReloadsCommand() *cobra.Command {
	o := benchDefaults()
	o.Count = 300
	return measurement(&cobra.Command{
		Use:   "reloads",
		Short: "Traefik's configuration reloads under load",
		Long: `Change Traefik's dynamic configuration --count times, each time by a router that has nothing to do with the traffic,
while --connections connections send requests and as many WebSockets send messages. Counts what is dropped, and
compares goroutines and heap before and after. Sides: plain, plugin.`,
	}, o, []string{"count", "connections", "routes", "users", "sides"}, edge.Reloads)
}

func benchScaleCommand() *cobra.Command {
	o := benchDefaults()
	o.Users = 100
	return sized(&cobra.Command{
		Use:   "scale",
		Short: "The same comparison with 100, 10,000 and 100,000 routes",
		Long: `Measure requests as "edgehub bench edge" does, through plugin and embedded with different numbers of routes, all there at
the same time and in turn.`,
	}, o, []int{100, 10000, 100000}, []string{"users", "seconds", "sides", "connections"}, edge.Scale)
}

// sized is a measurement for several numbers of routes.
func sized(c *cobra.Command, o edge.Options, sizes []int, flags []string, run func(context.Context, edge.Options, []int) error) *cobra.Command {
	c = measurement(c, o, flags, func(ctx context.Context, o edge.Options) error { return run(ctx, o, sizes) })
	c.Flags().IntSliceVar(&sizes, "routes", sizes, "numbers of routes in etcd, `N,N`")
	return c
}

// measurement makes a command of a measurement, with those flags that it has a use for.
func measurement(c *cobra.Command, o edge.Options, flags []string, run func(context.Context, edge.Options) error) *cobra.Command {
	benchFlags(c.Flags(), &o, append(flags, "traefik", "json"))
	c.Flags().SortFlags = false
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		o.Program, o.Out, o.Progress = program, cmd.OutOrStdout(), cmd.ErrOrStderr()
		err = run(cmd.Context(), o)
		if cmd.Context().Err() != nil {
			return errors.New("interrupted. Everything that ran for the measurement was stopped")
		}
		return err
	}
	return c
}

func benchFlags(fs *pflag.FlagSet, o *edge.Options, names []string) {
	for _, name := range names {
		switch name {
		case "routes":
			fs.IntVar(&o.Routes, name, o.Routes, "routes in etcd, `N`")
		case "users":
			fs.IntVar(&o.Users, name, o.Users, "users who are active, `N`, spread evenly over all routes")
		case "seconds":
			fs.Float64Var(&o.Seconds, name, o.Seconds, "how long to measure each side, `S`, in all rounds together")
		case "sides":
			fs.Var(list{&o.Sides}, name, "sides to measure, `A,B` of those above (default: all; chp where it or npm is)")
		case "connections":
			fs.IntVar(&o.Connections, name, o.Connections, "connections that the client keeps busy, `N`")
		case "count":
			fs.IntVar(&o.Count, name, o.Count, "how many, `N`")
		case "rate":
			fs.IntVar(&o.Rate, name, o.Rate, "changes a second, `N`")
		case "profile":
			fs.StringVar(&o.Profile, name, o.Profile, "save processor and memory profiles of the proxies in `DIR`, taken after the rounds")
		case "traefik":
			fs.StringVar(&o.Traefik, name, o.Traefik, "traefik `PROGRAM` (default: the one on PATH, or the one that make setup has built)")
		case "json":
			fs.BoolVar(&o.JSON, name, o.JSON, "print one JSON object a line")
		default:
			panic("no such flag: " + name)
		}
	}
}
