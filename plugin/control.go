package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the conversation with the control plane.
const (
	hubDialTimeout = 2 * time.Second
	hubCallTimeout = 5 * time.Second
	hubAvoid       = 5 * time.Second // a replica that could not be dialled is tried last for so long
)

// errNoHub says that no replica of the control plane is known.
var errNoHub = errors.New("no control plane is known")

// control reaches the control plane through whichever replica answers. Replicas are equal, so the choice is made when a
// connection is opened: nothing has been sent by then, and trying the next one is safe for every request.
type control struct {
	shared    *shared
	transport *http.Transport
	client    *http.Client

	mu    sync.Mutex
	turn  int
	avoid map[string]time.Time
}

func newControl(s *shared) *control {
	c := &control{shared: s, avoid: make(map[string]time.Time)}
	c.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.dial(ctx)
		},
		MaxIdleConns:           200,
		MaxIdleConnsPerHost:    200,
		IdleConnTimeout:        30 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
	}
	c.client = &http.Client{
		Transport:     c.transport,
		Timeout:       hubCallTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// dial opens a connection to one replica, trying all of them in turn.
func (c *control) dial(ctx context.Context) (net.Conn, error) {
	err := errNoHub
	for _, a := range c.candidates() {
		conn, dialErr := dialHub(ctx, a)
		if dialErr == nil {
			c.note(a, time.Time{})
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, dialErr
		}
		c.note(a, time.Now().Add(hubAvoid))
		err = dialErr
	}
	return nil, err
}

// candidates are the replicas in the order to try: round robin, those that failed lately last.
func (c *control) candidates() []*address {
	all := c.shared.set.hub
	if len(all) == 0 {
		all = c.shared.state.hubAddresses()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	good, bad := make([]*address, 0, len(all)), []*address{}
	for i := range all {
		a := all[(c.turn+i)%len(all)]
		if until, ok := c.avoid[a.host]; ok && time.Now().Before(until) {
			bad = append(bad, a)
		} else {
			good = append(good, a)
		}
	}
	return append(good, bad...)
}

// note remembers until when a replica is avoided; the zero time forgets it.
func (c *control) note(a *address, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.avoid, a.host)
	if until.IsZero() {
		return
	}
	if len(c.avoid) > 1000 { // replicas come and go, their addresses must not pile up
		c.avoid = make(map[string]time.Time)
	}
	c.avoid[a.host] = until
}

func dialHub(ctx context.Context, a *address) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, hubDialTimeout)
	defer cancel()
	conn, err := dialPlain(ctx, a, hubDialTimeout)
	if err != nil || a.scheme != "https" {
		return conn, err
	}
	secure := tls.Client(conn, &tls.Config{ServerName: a.name, MinVersion: tls.VersionTLS12})
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// edgeToken gives the control plane a token for an edge token; see call.
func (c *control) edgeToken(path, token string) (string, int) {
	answer, status := c.call(path, map[string]string{"token": token})
	return answer.EdgeToken, status
}

// redeem gives the code of a sign-in on a user's host for an edge token, and the address that the visitor wanted. Both are
// empty if there is none.
func (c *control) redeem(code, host, state string) (token, next string) {
	answer, _ := c.call("/hub/api/edge/redeem", map[string]string{"code": code, "host": host, "state": state})
	return answer.EdgeToken, answer.Next
}

// edgeAnswer is what the control plane says to an edge.
type edgeAnswer struct {
	EdgeToken string `json:"edge_token"`
	Next      string `json:"next"`
}

// call asks the control plane for an edge token and returns its answer with the HTTP status: an empty answer if that is not
// 200, and status 0 if there was none.
func (c *control) call(path string, question map[string]string) (*edgeAnswer, int) {
	answer := &edgeAnswer{}
	status := c.post(context.Background(), path, question, answer)
	if status != http.StatusOK {
		return &edgeAnswer{}, status
	}
	if answer.EdgeToken == "" {
		return &edgeAnswer{}, 0
	}
	return answer, status
}

// post sends body to the control plane as JSON, reads what it answers into answer unless that is nil, and returns the HTTP
// status. The status is 0 if there was no answer, or a good one that cannot be read.
func (c *control) post(ctx context.Context, path string, body, answer any) int {
	text, err := json.Marshal(body)
	if err != nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, hubCallTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://hub"+c.shared.set.base.Path(path), bytes.NewReader(text))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		// The replica may have vanished without a word: nobody else shall wait for it over what else is open to it.
		c.transport.CloseIdleConnections()
		c.shared.log.printf("control", "the control plane does not answer: %s", clip(err.Error()))
		return 0
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode == http.StatusOK && answer != nil && (err != nil || json.Unmarshal(text, answer) != nil) {
		return 0
	}
	return resp.StatusCode
}
