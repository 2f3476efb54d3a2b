package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"text/template"
	"time"
)

// Limits of the connections to users' servers. There is no limit on the time until a server answers, nor on a whole
// request: kernels run long calls, and event streams and WebSockets last for days. A visitor who leaves ends the request,
// and so does a revocation.
const (
	dialTimeout       = 3 * time.Second
	idleTimeout       = 30 * time.Second // an idle connection is closed then: its other end may be gone without a word
	maxResponseHeader = 64 << 10
	bufferSize        = 32 << 10
)

// errStatus says that a server's last word had a status below 200: a switch of the protocol that nobody asked for, or garbage
// like "HTTP/1.1 099", which net/http passes on and then panics about.
var errStatus = errors.New("the server answered with a status that is no answer")

// newCarrier is the transport to users' servers: HTTP/1.1 only, no proxy from the environment. It is used without
// net/http/httputil.ReverseProxy: that would send "103 Early Hints" on past every filter, and under Yaegi each of its
// callbacks costs more than all that it does.
func newCarrier(s *shared) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return s.reach.dial(ctx, addr)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConns:           2000,
		MaxIdleConnsPerHost:    100,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true,
	}
}

// newBuffers is the pool of the buffers through which bodies are copied.
func newBuffers() *sync.Pool {
	return &sync.Pool{New: func() any { return make([]byte, bufferSize) }}
}

// carryToServer sends a request to a user's server and its answer back, as v says. ctx ends it.
func carryToServer(ctx context.Context, s *shared, w http.ResponseWriter, r *http.Request, v *visit) {
	out := r.WithContext(ctx)
	forward(out, v.pass.target, v.query, v.pass.told)
	resp, err := s.carrier.RoundTrip(out)
	if err != nil {
		s.serverFailed(w, r, v, err)
		return
	}
	defer resp.Body.Close()
	sendAnswer(s, w, r, v, resp)
}

// sendAnswer gives the visitor what a server has answered.
func sendAnswer(s *shared, w http.ResponseWriter, r *http.Request, v *visit, resp *http.Response) {
	if resp.StatusCode < http.StatusOK {
		s.serverFailed(w, r, v, errStatus)
		return
	}
	if s.noting {
		noteSent(r, resp.StatusCode)
	}
	copyHeader(w.Header(), resp.Header)
	filterAnswer(w.Header(), v)
	w.WriteHeader(resp.StatusCode)
	copyBody(s, w, resp, r.Method)
}

// connectionOnly are the response headers that concern one connection only, or announce trailers, which the edge drops.
var connectionOnly = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Proxy-Authenticate": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true,
}

// copyHeader gives the visitor the header of an answer, without what concerns one connection only.
func copyHeader(to, from http.Header) {
	if named := from["Connection"]; len(named) > 0 {
		dropNamed(from, named)
	}
	for name, lines := range from {
		if !connectionOnly[name] {
			to[name] = lines
		}
	}
}

// copyBody sends the body of an answer on. If the rest of it does not come, the visitor's connection ends without the rest,
// too.
func copyBody(s *shared, w http.ResponseWriter, resp *http.Response, method string) {
	if resp.ContentLength == 0 || method == http.MethodHead {
		return
	}
	buf, _ := s.buffers.Get().([]byte)
	var err error
	if resp.ContentLength > 0 && resp.ContentLength <= bufferSize {
		_, err = io.ReadFull(resp.Body, buf[:resp.ContentLength])
		if err == nil {
			_, err = w.Write(buf[:resp.ContentLength])
		}
	} else {
		err = copyLong(w, resp, buf)
	}
	s.buffers.Put(buf) //nolint:staticcheck // a pointer would cost Yaegi more than the allocation
	if err != nil {
		abort(resp)
	}
}

// abort ends the visitor's connection, because the rest of an answer does not come. A panic with http.ErrAbortHandler is
// net/http's way, which it and Traefik compare by value. That of an interpreted panic is a reflect.Value, so a function of the
// standard library panics for us.
func abort(resp *http.Response) {
	resp.Body.Close()
	template.Must(nil, http.ErrAbortHandler)
}

// copyLong sends a long body on. One of unknown length may be a stream of events, so each piece of it is sent at once.
func copyLong(w http.ResponseWriter, resp *http.Response, buf []byte) error {
	if resp.ContentLength < 0 {
		return copyPieces(w, resp.Body, buf)
	}
	// MultiWriter hides the writer's own ReadFrom, which takes a new buffer of 32 KB each time.
	_, err := io.CopyBuffer(io.MultiWriter(w), resp.Body, buf)
	return err
}

// copyPieces sends each piece at once, and first of all the header: a stream of events is open before anything happens.
func copyPieces(w http.ResponseWriter, body io.Reader, buf []byte) error {
	rc := http.NewResponseController(w)
	if err := rc.Flush(); err != nil {
		return err
	}
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := rc.Flush(); err != nil {
				return err
			}
		}
		if err != nil && err != io.EOF {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// serverFailed answers for a server that does not.
func (s *shared) serverFailed(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	switch {
	case s.live.wasCut(v):
		noted(r, decidedRefuse, "permission_ended")
		answer(s, w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
	case r.Context().Err() != nil: // the visitor has left
		noted(r, decidedError, "visitor_left")
		noteSent(r, http.StatusBadGateway)
		w.WriteHeader(http.StatusBadGateway)
	case os.IsTimeout(err):
		noted(r, decidedError, "server_timeout")
		s.log.printf("server", "%s: the server at %s does not answer in time", clip(v.route.Prefix), clip(v.route.Target))
		answer(s, w, r, http.StatusGatewayTimeout, "unavailable", "The server does not answer in time.")
	default:
		noted(r, decidedError, "server_away")
		s.log.printf("server", "%s: %s", clip(v.route.Prefix), clip(err.Error()))
		answer(s, w, r, http.StatusBadGateway, "unavailable", "The server does not answer.")
	}
}

// serveHub passes a request to the control plane, cookies and credentials included, and its answer back.
func (s *shared) serveHub(w http.ResponseWriter, r *http.Request) {
	out := r.WithContext(r.Context())
	scheme, host := originOf(s.set, r)
	forward(out, hubAddress, r.URL.RawQuery, forwardedHeader(scheme, host))
	resp, err := s.control.transport.RoundTrip(out)
	if err != nil {
		s.hubFailed(w, r, err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode < http.StatusOK {
		s.hubFailed(w, r, errStatus)
		return
	}
	noted(r, decidedHub, "")
	noteSent(r, resp.StatusCode)
	copyHeader(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	copyBody(s, w, resp, r.Method)
}

// hubAddress stands for the control plane; which replica it is, control.dial decides.
var hubAddress = &address{scheme: "http", host: "hub", name: "hub"}

func (s *shared) hubFailed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && !errors.Is(err, errNoHub) {
		noted(r, decidedError, "visitor_left")
		noteSent(r, http.StatusBadGateway)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	noted(r, decidedError, "hub_away")
	s.log.printf("control", "the control plane does not answer: %s", clip(err.Error()))
	w.Header().Set("Retry-After", "5")
	answer(s, w, r, http.StatusServiceUnavailable, "unavailable", "The hub is not available at the moment. Running servers go on working.")
}
