package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func serverStartCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "start SERVER", Short: "Start a server", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `Start a server and show how it goes until it is ready. Ctrl-C ends the watching, not the start. With --no-wait nothing is
watched: that the server starts is all that is known then.

Options are what the hub's spawner takes. --option profile=small is one of them; a value that is JSON is passed as such, all else
as text. Without any, the server gets those of its last start.`,
		Example: `  edgehub server start alice
  edgehub server start alice/gpu --option profile=gpu --option cpus=4
  edgehub server start alice --options-file options.json --no-wait`,
	}
	pairs := c.Flags().StringArray("option", nil, "an option of the server, `KEY=VALUE`; repeat it for more")
	file := c.Flags().String("options-file", "", "`FILE` with options as a JSON object")
	noWait := c.Flags().Bool("no-wait", false, "do not wait until the server is ready")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		options, err := startOptions(*file, *pairs)
		if err != nil {
			return err
		}
		return api.start(cmd.Context(), out, args[0], options, *noWait)
	})
}

// startOptions are those of a file and of the command line, nil for none at all.
func startOptions(file string, pairs []string) (map[string]any, error) {
	var options map[string]any
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the options: %w", err)
		}
		if err := json.Unmarshal(data, &options); err != nil || options == nil {
			return nil, fmt.Errorf("the options in %s are not a JSON object", file)
		}
	}
	given, err := keyValues(pairs)
	if err != nil {
		return nil, err
	}
	if options == nil && len(given) > 0 {
		options = map[string]any{}
	}
	for key, value := range given {
		options[key] = value
	}
	return options, nil
}

// keyValues reads KEY=VALUE. A value that is JSON counts as such, all else is text.
func keyValues(pairs []string) (map[string]any, error) {
	all := map[string]any{}
	for _, pair := range pairs {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, misused("%q is not KEY=VALUE", pair)
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		all[key] = value
	}
	return all, nil
}

// start asks for a start, and follows it from the moment in which the hub has it.
func (c *client) start(ctx context.Context, out output, name string, options map[string]any, noWait bool) error {
	var body any
	if options != nil {
		body = map[string]any{"user_options": options}
	}
	if err := c.askForStart(ctx, name, body); err != nil {
		return err
	}
	if noWait {
		return out.value(map[string]string{"starting": name}, func() error { return out.say("%s starts.", name) })
	}
	return c.follow(ctx, out, name)
}

// askForStart returns when the hub has the start. Its answer to the request takes as long as the start does, ten seconds at
// most; it is not needed then any more.
func (c *client) askForStart(ctx context.Context, name string, body any) error {
	asking, cancel := context.WithCancel(ctx)
	asked, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		asked <- c.call(asking, http.MethodPost, serverPath(name), body, nil)
	}()
	defer func() {
		cancel()
		<-done
	}()
	return c.untilPending(ctx, name, asked)
}

// untilPending returns when asked has the hub's answer, or the server is seen to start. Who may not look waits for the answer.
func (c *client) untilPending(ctx context.Context, name string, asked <-chan error) error {
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		select {
		case err := <-asked:
			return err
		case <-tick.C:
		}
		var s server
		if err := c.call(ctx, http.MethodGet, serverPath(name), nil, &s); err == nil && s.Pending == "spawn" {
			return nil
		}
	}
}

// pollTime is how often a state is asked for that nothing announces.
const pollTime = 300 * time.Millisecond
