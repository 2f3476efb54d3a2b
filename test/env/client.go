package env

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Client is one person's browser, or one program with a token, in front of the front door. It follows no redirects.
type Client struct {
	// Name is the user's name, empty if nobody is signed in.
	Name string
	// Header is added to every request.
	Header http.Header
	// HTTP does the requests.
	HTTP *http.Client

	world *World
}

// Response is an answer that was read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// String is the answer in short.
func (r *Response) String() string {
	return fmt.Sprintf("%d %s %.300s", r.Status, r.Header.Get("Location"), r.Body)
}

// JSON decodes the body.
func (r *Response) JSON(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		t.Fatalf("not the JSON that was expected: %s: %s", err, r)
	}
}

// Anonymous is a client without any credential.
func (w *World) Anonymous() *Client {
	jar, _ := cookiejar.New(nil) // never fails
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &Client{world: w, Header: http.Header{}, HTTP: &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Bearer is a program with an API token.
func (w *World) Bearer(token string) *Client {
	c := w.Anonymous()
	c.Header.Set("Authorization", "token "+token)
	return c
}

// Clone is another client with the same cookies: what somebody has who copied them.
func (c *Client) Clone() *Client {
	clone := c.world.Anonymous()
	clone.Name = c.Name
	u, _ := url.Parse(c.world.URL("/hub/")) // it is ours
	var all []*http.Cookie
	for _, cookie := range c.Cookies("/hub/") {
		path := "/" // a jar does not say
		if cookie.Name == "_xsrf" {
			path = "/hub/"
		}
		all = append(all, &http.Cookie{Name: cookie.Name, Value: cookie.Value, Path: path})
	}
	clone.HTTP.Jar.SetCookies(u, all)
	return clone
}

// Cookies are those that the client sends to a path.
func (c *Client) Cookies(path string) []*http.Cookie {
	u, _ := url.Parse(c.world.URL(path)) // it is ours
	return c.HTTP.Jar.Cookies(u)
}

// Cookie is the value of one of them, or "".
func (c *Client) Cookie(name string) string {
	for _, cookie := range c.Cookies("/hub/") {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// CookieHeader is the Cookie header that the client sends to a path below /user/.
func (c *Client) CookieHeader() string {
	var all []string
	for _, cookie := range c.Cookies("/user/") {
		all = append(all, cookie.Name+"="+cookie.Value)
	}
	return strings.Join(all, "; ")
}

// Request makes a request as a browser does: with an Origin if it changes something.
func (c *Client) Request(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.world.URL(path), body)
	if err != nil {
		return nil, err
	}
	if method != http.MethodGet && method != http.MethodHead {
		req.Header.Set("Origin", c.world.front)
	}
	for _, h := range []http.Header{c.Header, header} {
		for name, values := range h {
			req.Header[name] = values
		}
	}
	return req, nil
}

// Try does a request and reads the whole answer.
func (c *Client) Try(ctx context.Context, method, path string, header http.Header, body io.Reader) (*Response, error) {
	req, err := c.Request(ctx, method, path, header, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return &Response{resp.StatusCode, resp.Header, data}, err
}

// Do does a request; a failing connection ends the test.
func (c *Client) Do(t testing.TB, method, path string, header http.Header, body io.Reader) *Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	resp, err := c.Try(ctx, method, path, header, body)
	if err != nil {
		t.Fatalf("%s: %s %s: %s", c.who(), method, path, err)
	}
	return resp
}

func (c *Client) who() string {
	if c.Name == "" {
		return "anonymous"
	}
	return c.Name
}

// Get is what a program gets.
func (c *Client) Get(t testing.TB, path string) *Response {
	t.Helper()
	return c.Do(t, http.MethodGet, path, nil, nil)
}

// Page is what a person's browser gets that opens a page.
func (c *Client) Page(t testing.TB, path string) *Response {
	t.Helper()
	return c.Do(t, http.MethodGet, path, http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"},
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}}, nil)
}

// Post sends JSON.
func (c *Client) Post(t testing.TB, path string, body any) *Response {
	t.Helper()
	return c.Do(t, http.MethodPost, path, http.Header{"Content-Type": {"application/json"}}, encode(t, body))
}

func encode(t testing.TB, body any) io.Reader {
	t.Helper()
	if body == nil {
		return nil
	}
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(data)
}

// Submit posts the form of a hub page as a browser does. The XSRF token is added, from the page at path or from another one.
func (c *Client) Submit(t testing.TB, page, action string, form url.Values) *Response {
	t.Helper()
	if form == nil {
		form = url.Values{}
	}
	form.Set("_xsrf", c.XSRF(t, page))
	return c.Do(t, http.MethodPost, action, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"text/html"},
		"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"}}, strings.NewReader(form.Encode()))
}

var xsrfField = regexp.MustCompile(`name="_xsrf" value="([^"]+)"`)

// XSRF is the token in a page of the hub.
func (c *Client) XSRF(t testing.TB, page string) string {
	t.Helper()
	resp := c.Page(t, page)
	found := xsrfField.FindSubmatch(resp.Body)
	if resp.Status != http.StatusOK || found == nil {
		t.Fatalf("%s: no form with an XSRF token on %s: %s", c.who(), page, resp)
	}
	return string(found[1])
}

// Login signs a user in through the form, in a new browser.
func (w *World) Login(t testing.TB, name string) *Client {
	t.Helper()
	w.mu.Lock()
	password := w.passwords[name]
	w.mu.Unlock()
	c := w.Anonymous()
	resp := c.Submit(t, "/hub/login", "/hub/login", url.Values{"username": {name}, "password": {password}})
	if resp.Status != http.StatusFound || c.Cookie("edgehub") == "" || c.Cookie("edgehub-session") == "" {
		t.Fatalf("sign in as %s: %s", name, resp)
	}
	c.Name = name
	return c
}

// Logout signs out through the form.
func (c *Client) Logout(t testing.TB) {
	t.Helper()
	if resp := c.Submit(t, "/hub/logout", "/hub/logout", nil); resp.Status != http.StatusFound {
		t.Fatalf("sign out %s: %s", c.Name, resp)
	}
}

// Token is an API token.
type Token struct {
	ID     string `json:"id"`
	Secret string `json:"token"`
}

// Token makes an API token for the signed-in user, through the API and with the browser's own credentials. Without scopes it
// may do all that the user may.
func (c *Client) Token(t testing.TB, scopes ...string) Token {
	t.Helper()
	body := map[string]any{"note": "end-to-end test"}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	resp := c.Do(t, http.MethodPost, "/hub/api/users/"+c.Name+"/tokens",
		http.Header{"Content-Type": {"application/json"}, "X-Xsrftoken": {c.XSRF(t, "/hub/home")}}, encode(t, body))
	var token Token
	if resp.JSON(t, &token); resp.Status != http.StatusCreated || token.Secret == "" {
		t.Fatalf("make a token for %s: %s", c.Name, resp)
	}
	return token
}

// DialWebSocket tries to open a WebSocket. What the header says wins over what a browser would send.
func (c *Client) DialWebSocket(ctx context.Context, path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	h := http.Header{"Origin": {c.world.front}}
	for _, more := range []http.Header{c.Header, header} {
		for name, values := range more {
			h[name] = values
		}
	}
	conn, resp, err := websocket.Dial(ctx, c.world.URL(path), &websocket.DialOptions{HTTPClient: c.HTTP, HTTPHeader: h})
	if err == nil {
		conn.SetReadLimit(64 << 20)
	}
	return conn, resp, err
}

// WebSocket opens a WebSocket as a page of the hub does. It is closed when the test ends.
func (c *Client) WebSocket(t testing.TB, path string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, resp, err := c.DialWebSocket(ctx, path, nil)
	if err != nil {
		status := 0
		if resp != nil {
			status = resp.StatusCode
		}
		t.Fatalf("%s: open a WebSocket at %s: status %d: %s", c.who(), path, status, err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}
