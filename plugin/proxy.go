package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"sync"
	"time"
)

// Limits of the connections to users' servers. There is no limit on the time until a server answers, nor on a whole
// request: kernels run long calls, and event streams and WebSockets last for days. A visitor who leaves ends the request,
// and so does a revocation.
const (
	dialTimeout       = 3 * time.Second
	maxResponseHeader = 64 << 10
	bufferSize        = 32 << 10
)

// contextKey keeps our value in a request's context apart from others'.
type contextKey string

const visitKey contextKey = "github.com/edgehub/edgehub/plugin visit"

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey).(*visit)
	return v
}

// newCarrier is the transport to users' servers: HTTP/1.1 only, no proxy from the environment.
func newCarrier() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			d := &net.Dialer{Timeout: dialTimeout}
			return d.DialContext(ctx, network, addr)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           2000,
		MaxIdleConnsPerHost:    100,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
	}
}

// quietTrip sends a request and filters the answer. It sends without the tracing that ReverseProxy adds to its context, through which it would pass on
// "103 Early Hints" and other 1xx answers unfiltered. It also hands out a copy of the answer, because the transport
// writes a server's trailers into the original one, which is then not the one that ReverseProxy copies from.
type quietTrip struct {
	transport *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (q *quietTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	v := visitOf(r.Context())
	resp, err := q.transport.RoundTrip(r.WithContext(v.base))
	if err != nil {
		return nil, err
	}
	quiet := new(http.Response)
	*quiet = *resp
	quiet.Trailer = nil
	if v.route != nil {
		filterAnswer(quiet.Header, v)
	}
	return quiet, nil
}

// buffers are shared by all copies of bodies; without them the 32 KB of each request cost most of its time.
type buffers struct {
	pool *sync.Pool
}

func newBuffers() *buffers {
	return &buffers{pool: &sync.Pool{New: func() any { return make([]byte, bufferSize) }}}
}

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.pool.Get().([]byte) }

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) { b.pool.Put(buf) } //nolint:staticcheck // a pointer would cost Yaegi more than the allocation

// newServerProxy is the proxy to users' servers.
func newServerProxy(s *shared) *httputil.ReverseProxy {
	// ReverseProxy's own lines are dropped: a body cut short is everyday life, and the rest goes to ErrorHandler. The
	// logger is made by slog because Yaegi's log.New returns a type of its own that no field of net/http takes.
	silent := slog.NewTextHandler(io.Discard, nil)                //nolint:sloglint // Yaegi does not know slog.DiscardHandler
	var trip http.RoundTripper = &quietTrip{transport: s.carrier} // Yaegi wraps for an interface only in an assignment
	var pool httputil.BufferPool = newBuffers()
	return &httputil.ReverseProxy{
		Transport:    trip,
		BufferPool:   pool,
		ErrorLog:     slog.NewLogLogger(silent, slog.LevelError),
		Rewrite:      func(pr *httputil.ProxyRequest) { rewriteForServer(pr, visitOf(pr.In.Context())) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { s.serverFailed(w, r, err) },
	}
}

// serverFailed answers for a server that does not.
func (s *shared) serverFailed(w http.ResponseWriter, r *http.Request, err error) {
	v := visitOf(r.Context())
	switch {
	case v == nil:
		answer(w, r, http.StatusBadGateway, "unavailable", "The server does not answer.")
	case s.live.wasCut(v):
		answer(w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
	case r.Context().Err() != nil: // the visitor has left
		w.WriteHeader(http.StatusBadGateway)
	case os.IsTimeout(err):
		s.log.printf("server", "%s: the server at %s does not answer in time", clip(v.route.Prefix), clip(v.route.Target))
		answer(w, r, http.StatusGatewayTimeout, "unavailable", "The server does not answer in time.")
	default:
		s.log.printf("server", "%s: %s", clip(v.route.Prefix), clip(err.Error()))
		answer(w, r, http.StatusBadGateway, "unavailable", "The server does not answer.")
	}
}

// newHubProxy is the proxy to the control plane. It decides nothing and takes nothing away.
func newHubProxy(s *shared) *httputil.ReverseProxy {
	silent := slog.NewTextHandler(io.Discard, nil) //nolint:sloglint // Yaegi does not know slog.DiscardHandler
	var trip http.RoundTripper = &quietTrip{transport: s.control.transport}
	var pool httputil.BufferPool = newBuffers()
	return &httputil.ReverseProxy{
		Transport:    trip,
		BufferPool:   pool,
		ErrorLog:     slog.NewLogLogger(silent, slog.LevelError),
		Rewrite:      func(pr *httputil.ProxyRequest) { rewriteForHub(pr, visitOf(pr.In.Context())) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) { s.hubFailed(w, r, err) },
	}
}

// serveHub passes a request to the control plane.
func (s *shared) serveHub(w http.ResponseWriter, r *http.Request) {
	v := &visit{base: r.Context(), query: r.URL.RawQuery, headers: forwardedHeaders(originOf(s.set, r))}
	s.hub.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey, v)))
}

func (s *shared) hubFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && !errors.Is(err, errNoHub) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	s.log.printf("control", "the control plane does not answer: %s", clip(err.Error()))
	w.Header().Set("Retry-After", "5")
	answer(w, r, http.StatusServiceUnavailable, "unavailable", "The hub is not available at the moment. Running servers go on working.")
}
