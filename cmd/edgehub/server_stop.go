package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func serverStopCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "stop SERVER...", Short: "Stop servers", Args: oneOrMore("the servers to stop, each USER or USER/SERVER, or - to read their names"),
		ValidArgsFunction: every(serverNames),
		Long: `Stop servers, one after the other, and wait until each is gone. What was not saved in them is lost. A start that is under way
is cancelled. With - the names are read from the input, one a line. With --no-wait it ends when the hub has begun.

With --remove the hub also forgets the servers, which must be named ones: their options, their shares and share codes. Files stay.`,
		Example: "  edgehub server stop alice\n  edgehub server stop alice/gpu --remove\n  edgehub server list --json | jq -r '.[].full_name' | edgehub server stop -",
	}
	noWait := c.Flags().Bool("no-wait", false, "do not wait until the servers are gone")
	remove := c.Flags().Bool("remove", false, "forget the servers, too")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		names, err := namesOf(cmd, args)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := api.stop(cmd.Context(), out, name, stopping{noWait: *noWait, remove: *remove}); err != nil {
				return err
			}
		}
		done := "stopped"
		if *remove {
			done = "removed"
		}
		return out.value(map[string][]string{done: names}, func() error { return nil })
	})
}

// stopping is how servers shall be stopped.
type stopping struct{ noWait, remove bool }

func (c *client) stop(ctx context.Context, out output, name string, how stopping) error {
	var body any
	said := "%s is stopped."
	if how.remove {
		body, said = map[string]bool{"remove": true}, "%s is removed."
	}
	status, err := c.status(ctx, http.MethodDelete, serverPath(name), body, nil)
	if err != nil {
		return err
	}
	if status == http.StatusAccepted && how.noWait {
		said = "%s stops."
	} else if status == http.StatusAccepted {
		err = c.untilStopped(ctx, name, how.remove)
	}
	if err != nil || out.json {
		return err
	}
	return out.say(said, name)
}

// untilStopped asks until a server is stopped, or removed if it shall be.
func (c *client) untilStopped(ctx context.Context, name string, remove bool) error {
	for {
		var s server
		err := c.call(ctx, http.MethodGet, serverPath(name), nil, &s)
		var refused *refusal
		if gone := errors.As(err, &refused) && refused.status == http.StatusNotFound; remove && gone {
			return nil
		}
		if err != nil || !remove && s.state() == "stopped" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollTime):
		}
	}
}
