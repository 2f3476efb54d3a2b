package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func serverProgressCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "progress SERVER", Short: "Watch a server start", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `Watch a server start, from the first event on until it is ready or has failed. Whose start is over is told how it ended.
--json prints one event a line.`,
		Example: "  edgehub server progress alice",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		return api.follow(cmd.Context(), out, args[0])
	})
}

// event is a step of a start.
type event struct {
	Progress int    `json:"progress"`
	Message  string `json:"message"`
	Ready    bool   `json:"ready"`
	Failed   bool   `json:"failed"`
}

// silence is how long a stream may say nothing. The hub sends an empty line every eight seconds.
const silence = 30 * time.Second

// errBroken is a stream that ended before the start did.
var errBroken = errors.New("the hub stopped telling how the start goes. It may go on: ask again with 'edgehub server progress'")

// follow prints the events of a start until its end. Any replica of the hub knows all of them: when a connection breaks, the
// next one is told everything again.
func (c *client) follow(ctx context.Context, out output, name string) error {
	shown := 0
	for attempt := 0; ; attempt++ {
		before := shown
		last, err := c.stream(ctx, out, name, &shown)
		if shown > before {
			attempt = 0
		}
		if last.Failed {
			return fmt.Errorf("%s: %s", name, last.Message)
		}
		var refused *refusal
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if last.Ready || errors.As(err, &refused) || attempt == 5 {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollTime):
		}
	}
}

// stream reads one connection's events, prints those after the first *shown, and returns the last.
func (c *client) stream(ctx context.Context, out output, name string, shown *int) (event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	var last event
	resp, err := c.send(ctx, &http.Client{CheckRedirect: stayHere}, http.MethodGet, serverPath(name)+"/progress", nil)
	if err != nil {
		return last, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for seen := 0; lines.Scan(); {
		quiet.Reset(silence)
		data, ok := strings.CutPrefix(lines.Text(), "data:")
		if !ok || json.Unmarshal([]byte(data), &last) != nil {
			continue
		}
		if seen++; seen > *shown {
			*shown = seen
			if err := out.event(last, strings.TrimSpace(data)); err != nil {
				return last, err
			}
		}
		if last.Ready || last.Failed {
			return last, nil
		}
	}
	return last, errBroken
}

func (o output) event(e event, raw string) error {
	switch {
	case o.json:
		return o.say("%s", raw)
	case e.Failed:
		return nil // it is the error
	}
	return o.say("%3d%%  %s", e.Progress, printable(e.Message))
}
