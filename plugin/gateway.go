package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	checkTimeout = 3 * time.Second // a member that is cut off from the quorum answers a linearizable read after 7 s
	listTimeout  = 8 * time.Second // one page
	pageSize     = 2000
	maxMessage   = 64 << 20 // one page or watch message; deleting 100,000 keys at once made one of 8.4 MB
)

// errCredentials says that etcd did not accept our token: sign in again.
var errCredentials = errors.New("etcd does not accept our credentials")

// gateway speaks to etcd through its JSON gateway, with one endpoint at a time.
type gateway struct {
	set *settings

	mu      sync.Mutex
	clients []*http.Client // by endpoint; nil until its first use
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

// keyValue and what follows are the gateway's JSON: keys and values in base64, 64-bit numbers as strings.
type keyValue struct {
	Key         []byte `json:"key"`
	Value       []byte `json:"value"`
	ModRevision int64  `json:"mod_revision,string"`
}

type responseHeader struct {
	Cluster  string `json:"cluster_id"`
	Revision int64  `json:"revision,string"`
}

type rangeRequest struct {
	Key       []byte `json:"key"`
	RangeEnd  []byte `json:"range_end"`
	Limit     int64  `json:"limit,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	KeysOnly  bool   `json:"keys_only,omitempty"`
	CountOnly bool   `json:"count_only,omitempty"`
}

type rangeResponse struct {
	Header responseHeader `json:"header"`
	Kvs    []*keyValue    `json:"kvs"`
	More   bool           `json:"more"`
	Count  int64          `json:"count,string"`
}

type watchCreate struct {
	Key            []byte `json:"key"`
	RangeEnd       []byte `json:"range_end"`
	StartRevision  int64  `json:"start_revision"`
	ProgressNotify bool   `json:"progress_notify"`
}

type watchRequest struct {
	Create watchCreate `json:"create_request"`
}

type watchEvent struct {
	Type string   `json:"type"`
	Kv   keyValue `json:"kv"`
}

type watchResult struct {
	Header          responseHeader `json:"header"`
	Created         bool           `json:"created"`
	Canceled        bool           `json:"canceled"`
	CompactRevision int64          `json:"compact_revision,string"`
	CancelReason    string         `json:"cancel_reason"`
	Events          []*watchEvent  `json:"events"`
}

type gatewayError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// watchMessage is one element of a watch's stream.
type watchMessage struct {
	Result watchResult  `json:"result"`
	Error  gatewayError `json:"error"`
}

// rotate makes the next endpoint the one in use.
func (g *gateway) rotate() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = (g.next + 1) % len(g.clients)
}

// member returns the endpoint in use. It fails if the CA file cannot be read.
func (g *gateway) member() (*member, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.set.etcd[g.next]
	if g.clients[g.next] == nil {
		c, err := newEtcdClient(a, g.set.caFile)
		if err != nil {
			return nil, err
		}
		g.clients[g.next] = c
	}
	m := &member{gateway: g, name: a.String(), base: a.String(), client: g.clients[g.next]}
	if a.scheme == "unix" {
		m.base = "http://etcd"
	}
	return m, nil
}

func newEtcdClient(a *address, caFile string) (*http.Client, error) {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialPlain(ctx, a, checkTimeout)
		},
		TLSHandshakeTimeout: checkTimeout,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("etcdCAFile: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcdCAFile: no certificate in %s", caFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t}, nil
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
	return fmt.Errorf("etcd: %s %s", status, clip(e.Message))
}

// call is a request with one answer.
func (m *member) call(ctx context.Context, path, token string, request, answer any) error {
	resp, err := m.post(ctx, path, token, request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, maxMessage))
	if err := dec.Decode(answer); err != nil {
		return fmt.Errorf("answer of etcd: %w", err)
	}
	return nil
}

// read is a linearizable range. It signs in again once if the token has died.
func (m *member) read(ctx context.Context, request *rangeRequest, timeout time.Duration) (*rangeResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := m.readOnce(ctx, request)
	if err != nil && errors.Is(err, errCredentials) {
		return m.readOnce(ctx, request)
	}
	return answer, err
}

func (m *member) readOnce(ctx context.Context, request *rangeRequest) (*rangeResponse, error) {
	token, err := m.authorize(ctx)
	if err != nil {
		return nil, err
	}
	answer := &rangeResponse{}
	if err := m.call(ctx, "/v3/kv/range", token, request, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// pages reads the whole tree below prefix page by page, all at the revision of the first page, which is linearizable.
func (m *member) pages(ctx context.Context, prefix string, keysOnly bool, each func(page *rangeResponse)) error {
	request := &rangeRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), Limit: pageSize, KeysOnly: keysOnly}
	for {
		page, err := m.read(ctx, request, listTimeout)
		if err != nil {
			return err
		}
		if request.Revision == 0 {
			request.Revision = page.Header.Revision
		}
		page.Header.Revision = request.Revision // a later page's header names the newest revision, not the one read at
		each(page)
		if !page.More || len(page.Kvs) == 0 {
			return nil
		}
		request.Key = append([]byte(page.Kvs[len(page.Kvs)-1].Key), 0)
	}
}

// watch opens the stream of changes below prefix from revision start on.
func (m *member) watch(ctx context.Context, prefix string, start int64) (*watchStream, error) {
	token, err := m.authorize(ctx)
	if err != nil {
		return nil, err
	}
	request := &watchRequest{Create: watchCreate{
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: start, ProgressNotify: true,
	}}
	resp, err := m.post(ctx, "/v3/watch", token, request)
	if err != nil {
		return nil, err
	}
	in := &boundedReader{from: resp.Body}
	return &watchStream{gateway: m.gateway, body: resp.Body, in: in, dec: json.NewDecoder(in)}, nil
}

// watchStream is an open watch.
type watchStream struct {
	gateway *gateway
	body    io.ReadCloser
	in      *boundedReader
	dec     *json.Decoder
}

// next waits for the next message. Everything after which the stream is worth nothing is an error: a stream that ends,
// an error object, and "canceled", after which etcd leaves the stream open and silent.
func (s *watchStream) next() (*watchResult, error) {
	s.in.left = maxMessage
	m := &watchMessage{}
	if err := s.dec.Decode(m); err != nil {
		return nil, fmt.Errorf("watch ended: %w", err)
	}
	if m.Error.Code != 0 || m.Error.Message != "" {
		return nil, s.gateway.refusal(m.Error, "watch ended")
	}
	if m.Result.Canceled {
		return nil, fmt.Errorf("watch canceled by etcd (compacted at %d): %s", m.Result.CompactRevision, clip(m.Result.CancelReason))
	}
	return &m.Result, nil
}

// boundedReader refuses to read more than left bytes; left is set anew for each message.
type boundedReader struct {
	from io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("message too long")
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.from.Read(p)
	b.left -= n
	return n, err
}

// prefixEnd is the first key behind all keys that start with prefix. Prefixes end with a slash here, so the last byte
// can always be raised.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}
