package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/routes"
)

// client speaks to a running hub for one of the operator's verbs. Its errors are one line that says what to do.
type client struct {
	base  string
	token string
	http  *http.Client
}

// callTime bounds one call. The slowest answers are those of a hub that waits for its etcd.
const callTime = 30 * time.Second

func newClient(s settings) (*client, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a hub. Write --url https://HOST, and the hub's base URL behind it if it has one", s.URL)
	}
	base, err := routes.ParseBase(u.EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of a hub: %s cannot be its base URL. Write --url https://HOST/BASE/", s.URL, u.EscapedPath())
	}
	if s.TokenFile == "" {
		return nil, errors.New("no API token given. Name a file with one: --token-file FILE. The one of --bootstrap-token-file will do")
	}
	token, err := secretFile(s.TokenFile, "API token")
	if err != nil {
		return nil, err
	}
	// A redirect would take the token somewhere else.
	direct := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{base: u.Scheme + "://" + u.Host + strings.TrimSuffix(base.Path("/"), "/"), token: token, http: &http.Client{Timeout: callTime, CheckRedirect: direct}}, nil
}

// call makes one call of the API; path begins behind /hub/api. The body and the answer are JSON; either may be nil.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/hub/api"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "token "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return c.unreachable(err)
	}
	if resp.StatusCode >= 300 {
		return c.refused(resp, text)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s does not answer as a hub does. Is --url right?", c.base)
	}
	return nil
}

func (c *client) unreachable(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial.Err
	}
	return fmt.Errorf("cannot reach the hub at %s: %w. Start it, or name another one with --url", c.base, err)
}

// refused is what the hub says of a call that failed.
func (c *client) refused(resp *http.Response, text []byte) error {
	var said struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(text, &said) != nil || said.Message == "" {
		return fmt.Errorf("%s answered %s. Is it a hub, and is it ready?", c.base, resp.Status)
	}
	if resp.StatusCode >= http.StatusInternalServerError && said.RequestID != "" {
		return fmt.Errorf("the hub says: %s (%d, request %s in its log)", said.Message, resp.StatusCode, said.RequestID)
	}
	return fmt.Errorf("the hub says: %s (%d)", said.Message, resp.StatusCode)
}

// verb makes a command that talks to a running hub. Its own flags are on c already; --url, --token-file and --json are added.
func verb(c *cobra.Command, run func(cmd *cobra.Command, api *client, out output, args []string) error) *cobra.Command {
	defaults := settings{URL: "http://127.0.0.1:8000", LogLevel: "warn"}
	names := []string{"url", "token-file", "config"}
	parsed := defaults
	parsed.flags(c.Flags(), names...)
	asJSON := c.Flags().Bool("json", false, "print JSON, for programs")
	c.Flags().SortFlags = false
	if c.Args == nil {
		c.Args = noArgs
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := resolve(defaults, cmd.Flags(), names)
		if err != nil {
			return err
		}
		api, err := newClient(s)
		if err != nil {
			return err
		}
		return run(cmd, api, output{cmd.OutOrStdout(), *asJSON}, args)
	}
	return c
}

// group is a command that only has others below it.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.AddCommand(below...)
	return c
}
