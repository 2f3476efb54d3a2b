package main

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func serverStopCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "stop SERVER...", Short: "Stop servers", Args: oneOrMore("the servers to stop, each USER or USER/SERVER, or - to read their names"),
		ValidArgsFunction: every(serverNames),
		Long: `Stop servers, one after the other, and wait until each is gone. What was not saved in them is lost. A start that is under way
is cancelled. With - the names are read from the input, one a line. With --no-wait it ends when the hub has begun.`,
		Example: "  edgehub server stop alice\n  edgehub server list --json | jq -r '.[].full_name' | edgehub server stop -",
	}
	noWait := c.Flags().Bool("no-wait", false, "do not wait until the servers are gone")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		names, err := namesOf(cmd, args)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := api.stop(cmd.Context(), out, name, *noWait); err != nil {
				return err
			}
		}
		return out.value(map[string][]string{"stopped": names}, func() error { return nil })
	})
}

func (c *client) stop(ctx context.Context, out output, name string, noWait bool) error {
	status, err := c.status(ctx, http.MethodDelete, serverPath(name), nil, nil)
	if err != nil {
		return err
	}
	said := "%s is stopped."
	if status == http.StatusAccepted && noWait {
		said = "%s stops."
	} else if status == http.StatusAccepted {
		err = c.untilStopped(ctx, name)
	}
	if err != nil || out.json {
		return err
	}
	return out.say(said, name)
}

// untilStopped asks until a server is gone.
func (c *client) untilStopped(ctx context.Context, name string) error {
	for {
		var s server
		if err := c.call(ctx, http.MethodGet, serverPath(name), nil, &s); err != nil || s.state() == "stopped" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollTime):
		}
	}
}
