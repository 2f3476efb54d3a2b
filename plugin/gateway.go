package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Limits of the conversation with etcd.
const (
	dialEtcdTimeout = 2 * time.Second
	checkTimeout    = 3 * time.Second // a member that is cut off from the quorum answers a linearizable read after 7 s
	listTimeout     = 8 * time.Second // one page
	pageSize        = 5000            // etcd counts all that follows for every page
	maxMessage      = 64 << 20        // one page or watch message; deleting 100,000 keys at once made one of 8.4 MB
)

// errTooLong says that an answer is longer than maxMessage.
var errTooLong = errors.New("answer is too long")

// errCredentials says that etcd did not accept our token: sign in again.
var errCredentials = errors.New("etcd does not accept our credentials")

// errSignIn says that etcd does not accept the user or the password.
var errSignIn = errors.New("etcd does not accept our user and password")

// refused reports an error that comes from our credentials.
func refused(err error) bool { return errors.Is(err, errCredentials) || errors.Is(err, errSignIn) }

// gateway speaks to etcd through its JSON gateway, with one endpoint at a time.
type gateway struct {
	set *settings

	mu      sync.Mutex
	clients []*http.Client // by endpoint; nil until its first use
	files   string         // what the TLS files said when the clients were made
	next    int
	token   string
}

func newGateway(set *settings) *gateway {
	return &gateway{set: set, clients: make([]*http.Client, len(set.etcd))}
}

// member is one etcd endpoint, ready for use.
type member struct {
	gateway *gateway
	name    string
	base    string
	client  *http.Client
}

// rotate makes the next endpoint the one in use.
func (g *gateway) rotate() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = (g.next + 1) % len(g.clients)
}

// member returns the endpoint in use. It reads the TLS files again, and fails if they are no good.
func (g *gateway) member() (*member, error) {
	files, err := readTLSFiles(g.set)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if files.text != g.files {
		g.closeIdle()
		g.clients = make([]*http.Client, len(g.set.etcd))
		g.files = files.text
	}
	a := g.set.etcd[g.next]
	if g.clients[g.next] == nil {
		g.clients[g.next] = newEtcdClient(a, files.config)
	}
	m := &member{gateway: g, name: a.String(), base: a.String(), client: g.clients[g.next]}
	if a.scheme == "unix" {
		m.base = "http://etcd"
	}
	return m, nil
}

func newEtcdClient(a *address, config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialPlain(ctx, a, dialEtcdTimeout)
		},
		TLSClientConfig:     config,
		TLSHandshakeTimeout: checkTimeout,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}}
}

// dialPlain opens a connection to a, without TLS.
func dialPlain(ctx context.Context, a *address, timeout time.Duration) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout}
	if a.scheme == "unix" {
		return d.DialContext(ctx, "unix", a.host)
	}
	return d.DialContext(ctx, "tcp", a.host)
}

// close drops the idle connections.
func (g *gateway) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closeIdle()
}

func (g *gateway) closeIdle() {
	for _, c := range g.clients {
		if c != nil {
			c.CloseIdleConnections()
		}
	}
}

// authorize returns the value of the Authorization header, signing in if need be, or "" without authentication.
func (m *member) authorize(ctx context.Context) (string, error) {
	g := m.gateway
	if g.set.username == "" {
		return "", nil
	}
	g.mu.Lock()
	token := g.token
	g.mu.Unlock()
	if token != "" {
		return token, nil
	}
	password, err := os.ReadFile(g.set.passwordFile)
	if err != nil {
		return "", fmt.Errorf("etcdPasswordFile: %w", err)
	}
	request := map[string]string{"name": g.set.username, "password": strings.TrimRight(string(password), "\r\n")}
	answer := struct {
		Token string `json:"token"`
	}{}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := m.call(ctx, "/v3/auth/authenticate", "", request, &answer); err != nil {
		return "", fmt.Errorf("sign in to etcd: %w", err)
	}
	g.mu.Lock()
	g.token = answer.Token
	g.mu.Unlock()
	return answer.Token, nil
}

func (g *gateway) forgetToken() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.token = ""
}

// post sends one request. A refused one comes back as an error.
func (m *member) post(ctx context.Context, path, token string, request any) (*http.Response, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	// Without this a member that is cut off from the quorum keeps a watch open, and its progress messages coming.
	req.Header.Set("Grpc-Metadata-hasleader", "true")
	// Not sent, but tells the transport that it may repeat the request if an idle connection turns out to be closed.
	req.Header["Idempotency-Key"] = []string{}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	refused := gatewayError{}
	_ = json.Unmarshal(text, &refused) // an answer that is no JSON is described by its status
	return nil, m.gateway.refusal(refused, resp.Status)
}

// refusal turns what etcd says into an error, and forgets a token that died (a member's restart, or its age).
func (g *gateway) refusal(e gatewayError, status string) error {
	if e.Code == 16 || strings.HasPrefix(status, "401") || strings.Contains(e.Message, "invalid auth token") {
		g.forgetToken()
		return fmt.Errorf("%w: %s %s", errCredentials, status, clip(e.Message))
	}
	if strings.Contains(e.Message, "authentication failed") {
		return fmt.Errorf("%w: %s %s", errSignIn, status, clip(e.Message))
	}
	return fmt.Errorf("etcd: %s %s", status, clip(e.Message))
}

// call is a request with one answer.
func (m *member) call(ctx context.Context, path, token string, request, answer any) error {
	resp, err := m.post(ctx, path, token, request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := &io.LimitedReader{R: resp.Body, N: maxMessage}
	err = json.NewDecoder(in).Decode(answer)
	if err != nil && in.N <= 0 {
		return errTooLong
	}
	if err != nil {
		return fmt.Errorf("answer of etcd: %w", err)
	}
	return nil
}
