package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
)

// deleteEach deletes what the arguments name, one after the other, and says so of each. path is where the API has one.
func (c *client) deleteEach(cmd *cobra.Command, out output, args []string, path func(name string) string) error {
	names, err := namesOf(cmd, args)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.call(cmd.Context(), http.MethodDelete, path(name), nil, nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !out.json {
			err = out.say("%s is deleted.", name)
		}
		if err != nil {
			return err
		}
	}
	if out.json {
		return out.value(map[string][]string{"deleted": names}, nil)
	}
	return nil
}

// batch is how many names a call that adds or removes members has.
const batch = 500

// inBatches sends names to path in calls that the hub does not find too large: {"users": [...]}. answer is that of the last one.
func (c *client) inBatches(ctx context.Context, method, path, kind string, names []string, answer *json.RawMessage) error {
	for part := range slices.Chunk(names, batch) {
		if err := c.call(ctx, method, path, map[string][]string{kind: part}, answer); err != nil {
			return err
		}
	}
	return nil
}
