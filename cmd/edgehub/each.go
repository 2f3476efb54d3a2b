package main

import (
	"fmt"
	"net/http"

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
