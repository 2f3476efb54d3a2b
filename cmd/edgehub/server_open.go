package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

func serverOpenCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "open SERVER", Short: "Open a server in the browser", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `Print the address of a server that runs, and open it if there is a browser. You visit it as who you are signed in as there, and
not by the token of this command. With --json or --no-browser it is only printed.`,
		Example: "  edgehub server open alice\n  edgehub server open alice/gpu --no-browser",
	}
	noBrowser := c.Flags().Bool("no-browser", false, "print the address only")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var raw json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, serverPath(args[0]), nil, &raw); err != nil {
			return err
		}
		var s server
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		if !s.Ready {
			return fmt.Errorf("%s is %s. Start it with 'edgehub server start %s'", args[0], s.state(), args[0])
		}
		address, err := api.address(s.URL, "")
		if err != nil {
			return err
		}
		if !*noBrowser && !out.json {
			openBrowser(address)
		}
		return out.value(map[string]string{"url": address}, func() error { return out.say("%s", address) })
	})
}

// address is where a browser finds what the hub gives as a path, or, if it knows more, as a full one.
func (c *client) address(path, full string) (string, error) {
	if full != "" {
		path = full
	}
	base, err := url.Parse(c.base + "/")
	if err != nil {
		return "", err
	}
	u, err := base.Parse(path)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" { // whatever the hub says, only a page is opened
		return "", fmt.Errorf("%s does not answer as a hub does. Is --url right?", c.base)
	}
	return u.String(), nil
}
