package differential

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"time"
)

// side is one of the hubs, with what the script has learned from it.
type side struct {
	origin   string
	vars     map[string]string
	browsers map[string]*http.Client
	client   *http.Client
}

func newSide(origin string, vars map[string]string) *side {
	return &side{origin: origin, vars: vars, browsers: map[string]*http.Client{}, client: newClient(nil)}
}

func newClient(jar http.CookieJar) *http.Client {
	return &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *side) close() {
	s.client.CloseIdleConnections()
	for _, b := range s.browsers {
		b.CloseIdleConnections()
	}
}

// run sends the whole script and returns the answers by the names of its steps.
func (s *side) run(ctx context.Context, script []*step) (map[string]answer, error) {
	defer s.close()
	answers := map[string]answer{}
	for _, st := range script {
		a, err := s.send(ctx, st)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.name, err)
		}
		answers[st.name] = a
	}
	return answers, nil
}

func (s *side) send(ctx context.Context, st *step) (answer, error) {
	req, client, err := s.request(ctx, st)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	s.keep(st, body)
	return newAnswer(resp, body), nil
}

func (s *side) request(ctx context.Context, st *step) (*http.Request, *http.Client, error) {
	client := s.client
	browser := strings.HasPrefix(st.who, "@")
	if browser {
		client = s.browser(st.who)
	}
	req, err := http.NewRequestWithContext(ctx, st.method, s.origin+s.fill(client, st.path), strings.NewReader(s.fill(client, st.body)))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("User-Agent", "differential")
	switch {
	case browser:
		navigate(req, s.origin)
	case st.who != "nobody":
		token, ok := s.vars[st.who+"_token"]
		if !ok {
			return nil, nil, fmt.Errorf("there is no token for %s", st.who)
		}
		req.Header.Set("Authorization", "token "+token)
	}
	for _, h := range st.header {
		if req.Header.Set(h[0], s.fill(client, h[1])); h[1] == "" {
			req.Header.Del(h[0])
		}
	}
	return req, client, nil
}

// navigate sets what a browser sends when a person opens a page.
func navigate(req *http.Request, origin string) {
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if req.Method != http.MethodGet {
		req.Header.Set("Origin", origin)
	}
}

func (s *side) browser(name string) *http.Client {
	if s.browsers[name] == nil {
		jar, _ := cookiejar.New(nil) // never fails
		s.browsers[name] = newClient(jar)
	}
	return s.browsers[name]
}

// fill replaces $NAME. Longer names first is not needed: the script's names are no prefixes of each other's.
func (s *side) fill(client *http.Client, text string) string {
	return os.Expand(text, func(name string) string {
		if name == "xsrf" {
			return s.xsrf(client)
		}
		return s.vars[name]
	})
}

func (s *side) xsrf(client *http.Client) string {
	u, err := url.Parse(s.origin + "/hub/")
	if err != nil || client.Jar == nil {
		return ""
	}
	for _, c := range client.Jar.Cookies(u) {
		if c.Name == "_xsrf" {
			return url.QueryEscape(c.Value)
		}
	}
	return ""
}

// keep stores what the step wants to have kept. A hub that has not answered with it gets a value that is nobody's, so that the
// steps that use it differ too and the others go on.
func (s *side) keep(st *step, body []byte) {
	for _, k := range st.save {
		value, err := find(body, k[1])
		if err != nil {
			value = "missing"
		}
		s.vars[k[0]] = value
	}
}
