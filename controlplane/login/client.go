package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/edgehub/edgehub/controlplane/hub"
)

const (
	// answerTime bounds one question to a provider, maxAnswer the length of its answer.
	answerTime = 10 * time.Second
	maxAnswer  = 1 << 20
	// metadataAge is how old what is known of a provider gets before it is asked again.
	metadataAge = time.Hour
	// askAgain is how long a provider that has failed is left alone.
	askAgain = 2 * time.Second
)

// client is the hub's registration at one provider. It is safe for concurrent use.
type client struct {
	Provider
	callback string
	adopt    bool
	keep     *regexp.Regexp
	// The rules' user names as they are here.
	allow, blocked, admins []hub.UserName
	names                  map[string]hub.UserName
	http                   *http.Client

	asking chan struct{} // has a place for the one who asks for the metadata
	mu     sync.Mutex
	known  *metadata
	failed failure
}

// failure is the last time that a provider did not tell its metadata.
type failure struct {
	at  time.Time
	err error
}

// metadata is what a provider says of itself. It is a cache: each replica asks for itself.
type metadata struct {
	*oidc.Provider
	read time.Time
	said struct {
		EndSession string   `json:"end_session_endpoint"`
		UserInfo   string   `json:"userinfo_endpoint"`
		TellsIss   bool     `json:"authorization_response_iss_parameter_supported"`
		TokenAuth  []string `json:"token_endpoint_auth_methods_supported"`
	}
}

func newClient(p Provider, transport http.RoundTripper) (*client, error) {
	keep, err := regexp.Compile(p.GroupsPattern)
	if err != nil {
		return nil, err
	}
	if p.UsernameClaim == "" {
		p.UsernameClaim = "preferred_username"
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{oidc.ScopeProfile, emailClaim}
	}
	c := &client{Provider: p, keep: keep, asking: make(chan struct{}, 1), http: &http.Client{
		Transport: transport, Timeout: answerTime,
		// A redirect could lead the client's secret anywhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	return c, c.parseNames()
}

// newTransport reads answers up to maxAnswer, and takes those that say that the provider has failed for none.
func newTransport() http.RoundTripper {
	t, _ := http.DefaultTransport.(*http.Transport)
	return bounded{t.Clone()}
}

type bounded struct{ *http.Transport }

// RoundTrip does one request.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		_ = resp.Body.Close()
		return nil, errors.New(resp.Status)
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	return resp, nil
}

// context is ctx for calls to the provider.
func (c *client) context(ctx context.Context) context.Context { return oidc.ClientContext(ctx, c.http) }

// metadata returns what is known of the provider, and asks it if that is old. One asks at a time and the others wait for the
// answer, also if it is that there is none. Until there is a new one the old answer is good.
func (c *client) metadata(ctx context.Context) (*metadata, error) {
	if known, _ := c.last(); known != nil && time.Since(known.read) < metadataAge {
		return known, nil
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, c.down(ctx.Err())
	}
	known, failed := c.last()
	if known != nil && time.Since(known.read) < metadataAge {
		return known, nil
	}
	if time.Since(failed.at) > askAgain {
		// It is asked for all who wait, whether or not the first of them has lost patience.
		fresh, err := c.discover(context.WithoutCancel(ctx))
		c.learn(fresh, err)
		known, failed = c.last()
	}
	if known == nil {
		return nil, failed.err
	}
	return known, nil
}

func (c *client) last() (*metadata, failure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known, c.failed
}

func (c *client) learn(fresh *metadata, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed = failure{time.Now(), err}
		return
	}
	c.known, c.failed = fresh, failure{}
}

func (c *client) discover(ctx context.Context) (*metadata, error) {
	p, err := oidc.NewProvider(c.context(ctx), c.Issuer)
	if err != nil {
		return nil, c.wrong(err)
	}
	m := &metadata{Provider: p, read: time.Now()}
	if err := p.Claims(&m.said); err != nil {
		return nil, c.wrong(err)
	}
	if p.Endpoint().AuthURL == "" || p.Endpoint().TokenURL == "" {
		return nil, c.wrong(errors.New("its discovery document names no endpoints"))
	}
	return m, nil
}

// oauth2 is the hub as the provider's client.
func (c *client) oauth2(m *metadata) *oauth2.Config {
	endpoint := m.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if methods := m.said.TokenAuth; c.ClientSecret == "" || len(methods) > 0 && !slices.Contains(methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	scopes := append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(c.Scopes), func(s string) bool { return s == oidc.ScopeOpenID })...)
	return &oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: endpoint, RedirectURL: c.callback, Scopes: scopes}
}
