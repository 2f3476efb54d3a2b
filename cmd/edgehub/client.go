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

	"github.com/edgehub/edgehub/routes"
)

// client speaks to a running hub for one of the operator's verbs. Its errors are one line that says what to do.
type client struct {
	base  string
	token string
	// signedIn says that the token is from `edgehub login`.
	signedIn bool
	http     *http.Client
}

// callTime bounds one call. The slowest answers are those of a hub that waits for its etcd.
const callTime = 30 * time.Second

// newClient returns a client without a token.
func newClient(s settings) (*client, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a hub. Write --url https://HOST, and the hub's base URL behind it if it has one", s.URL)
	}
	base, err := routes.ParseBase(u.EscapedPath())
	if err != nil {
		return nil, fmt.Errorf("%q is not the address of a hub: %s cannot be its base URL. Write --url https://HOST/BASE/", s.URL, u.EscapedPath())
	}
	site := u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimSuffix(base.Path("/"), "/")
	return &client{base: site, http: &http.Client{Timeout: callTime, CheckRedirect: stayHere}}, nil
}

// stayHere follows no redirect: it would take the token somewhere else.
func stayHere(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// call makes one call of the API; path begins behind /hub/api. The body and the answer are JSON; either may be nil.
func (c *client) call(ctx context.Context, method, path string, body, answer any) error {
	_, err := c.status(ctx, method, path, body, answer)
	return err
}

// status is call for those who want to know the status of a success.
func (c *client) status(ctx context.Context, method, path string, body, answer any) (int, error) {
	resp, err := c.send(ctx, c.http, method, path, body)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return 0, c.unreachable(err)
	}
	if answer == nil {
		return resp.StatusCode, nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return 0, fmt.Errorf("%s does not answer as a hub does. Is --url right?", c.base)
	}
	return resp.StatusCode, nil
}

// send makes one call and returns a success whose body is to be read.
func (c *client) send(ctx context.Context, by *http.Client, method, path string, body any) (*http.Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/hub/api"+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+c.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", pageType+", application/json")
	resp, err := by.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, c.unreachable(err)
	}
	return nil, c.refused(resp, text)
}

func (c *client) unreachable(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) {
		err = dial.Err
	}
	return fmt.Errorf("cannot reach the hub at %s: %w. Start it, or name another one with --url", c.base, err)
}

// refusal is the hub's answer to a call that failed.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

// refused is what the hub says of a call that failed.
func (c *client) refused(resp *http.Response, text []byte) error {
	var said struct {
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	e := &refusal{status: resp.StatusCode}
	switch {
	case json.Unmarshal(text, &said) != nil || said.Message == "":
		return fmt.Errorf("%s answered %s. Is it a hub, and is it ready?", c.base, resp.Status)
	case resp.StatusCode >= http.StatusInternalServerError && said.RequestID != "":
		e.text = fmt.Sprintf("the hub says: %s (%d, request %s in its log)", said.Message, resp.StatusCode, said.RequestID)
	case said.Message == "Missing or invalid credentials." && c.signedIn:
		e.text = fmt.Sprintf("the hub says: %s (%d). Sign in again with 'edgehub login --url %s'", said.Message, resp.StatusCode, c.base)
	default:
		e.text = fmt.Sprintf("the hub says: %s (%d)", said.Message, resp.StatusCode)
	}
	return e
}
