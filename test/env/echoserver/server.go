package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// server answers requests.
type server struct {
	user, prefix, instance string
	mux                    *http.ServeMux

	mu       sync.Mutex
	seen     []probe
	received map[string]int64         // upload id → bytes so far
	signals  map[string]chan struct{} // stream id → one signal for each step that the client allows
	streams  int                      // event streams that are open
}

// probe is a request that a test marked, to find out where it went.
type probe struct {
	ID     string `json:"id"`
	Target string `json:"target"`
}

func newServer(user, prefix string) *server {
	s := &server{user: user, prefix: prefix, instance: newID(), mux: http.NewServeMux(), received: map[string]int64{}, signals: map[string]chan struct{}{}}
	for path, h := range map[string]http.HandlerFunc{
		"": s.report, "ws": s.echo, "events": s.events, "go": s.step, "upload": s.upload, "upload-status": s.uploadStatus,
		"download": s.download, "hostile": s.hostile, "hostile-ws": s.hostileWS, "seen": s.listSeen, "open": s.open,
	} {
		s.mux.HandleFunc(prefix+path, h)
	}
	return s
}

// ServeHTTP lets in who has the token.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Probe"); id != "" { // also those that are refused
		s.mu.Lock()
		s.seen = append(s.seen, probe{id, r.RequestURI})
		s.mu.Unlock()
	}
	if !admitted(r) {
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	}
	if r.URL.Path != s.prefix && !strings.HasPrefix(r.URL.Path, s.prefix) || strings.Contains(r.RequestURI, "%") || strings.Contains(r.URL.Path, "//") {
		s.report(w, r) // ServeMux would clean the path and redirect
		return
	}
	s.mux.ServeHTTP(w, r)
}

// admitted reports whether the request has the server's secret, as Jupyter Server checks it. A server without a secret asks
// the hub, as jupyterhub-singleuser does.
func admitted(r *http.Request) bool {
	given := r.Header.Get("Authorization")
	if secret := os.Getenv("JUPYTER_TOKEN"); secret != "" {
		return subtle.ConstantTimeCompare([]byte(given), []byte("token "+secret)) == 1
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, os.Getenv("JUPYTERHUB_API_URL")+"/user", nil)
	if err != nil || given == "" {
		return false
	}
	req.Header.Set("Authorization", given)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client has left, then
}

// report says what reached the server.
func (s *server) report(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, map[string]any{"user": s.user, "instance": s.instance, "pid": os.Getpid(), "method": r.Method, "target": r.RequestURI,
		"proto": r.Proto, "host": r.Host, "header": r.Header, "remote": r.RemoteAddr})
}

// listSeen lists the marked requests so far.
func (s *server) listSeen(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeJSON(w, s.seen)
}

// echo sends every message back. The first message it sends says which instance it is, if ?hello is given.
func (s *server) echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // origins are the edge's business
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(64 << 20)
	if r.URL.Query().Has("hello") {
		header, err := json.Marshal(map[string]any{"user": s.user, "instance": s.instance, "header": r.Header, "target": r.RequestURI})
		if err != nil || conn.Write(r.Context(), websocket.MessageText, header) != nil {
			return
		}
	}
	for {
		kind, data, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, data) != nil {
			return
		}
	}
}

// signal is where the client of a stream says that it may go on.
func (s *server) signal(id string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signals[id] == nil {
		s.signals[id] = make(chan struct{}, 1000)
	}
	return s.signals[id]
}

// step lets the stream ?id go on by one.
func (s *server) step(_ http.ResponseWriter, r *http.Request) {
	s.signal(r.URL.Query().Get("id")) <- struct{}{}
}

// events sends ?n server-sent events, each one after a step.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n")) // 0 then
	steps := s.signal(r.URL.Query().Get("id"))
	s.count(1)
	defer s.count(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i := range n {
		select {
		case <-steps:
		case <-r.Context().Done():
			return
		}
		if _, err := fmt.Fprintf(w, "data: %d\n\n", i); err != nil || flush.Flush() != nil {
			return
		}
	}
}

func (s *server) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams += n
}

// open is how many event streams are open.
func (s *server) open(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeJSON(w, s.streams)
}

// upload answers with size and hash of what it got; uploadStatus says meanwhile how much that is.
func (s *server) upload(w http.ResponseWriter, r *http.Request) {
	id, hash := r.URL.Query().Get("id"), sha256.New()
	size, err := io.Copy(io.MultiWriter(hash, counter{s, id}), r.Body)
	if err != nil {
		return
	}
	writeJSON(w, map[string]any{"size": size, "sha256": hex.EncodeToString(hash.Sum(nil))})
}

type counter struct {
	*server
	id string
}

func (c counter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[c.id] += int64(len(b))
	return len(b), nil
}

func (s *server) uploadStatus(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	writeJSON(w, map[string]int64{"received": s.received[r.URL.Query().Get("id")]})
}

// download sends ?size bytes that ?seed decides, with their hash in front as a header. It waits for a step after the first
// ?first bytes.
func (s *server) download(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	size, _ := strconv.ParseInt(q.Get("size"), 10, 64)
	first, _ := strconv.ParseInt(q.Get("first"), 10, 64)
	seed, _ := strconv.ParseUint(q.Get("seed"), 10, 8)
	hash := sha256.New()
	_, _ = io.CopyN(hash, random(byte(seed)), size) // neither fails
	w.Header().Set("X-Sha256", hex.EncodeToString(hash.Sum(nil)))
	w.Header().Set("Content-Type", "application/octet-stream")
	body := random(byte(seed))
	if first > 0 {
		if _, err := io.CopyN(w, body, first); err != nil || http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-s.signal(q.Get("id")):
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.CopyN(w, body, size-first) // the client has left, then
}

func random(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

// plant adds everything to an answer with which a server could reach beyond its own prefix, and two cookies that it may set.
func (s *server) plant(h http.Header) {
	for _, line := range []string{
		"edgehub=evil; Path=/", "edgehub-session=evil; Path=/", "__Host-edgehub=evil; Path=/; Secure", "__Host-edgehub-session=evil; Path=/; Secure",
		"__Secure-edgehub=evil; Secure", "EDGEHUB=evil", " edgehub =evil", "_xsrf=evil; Path=/hub/",
		"wide=evil; Path=/", "domain=evil; Domain=example.org; Path=" + s.prefix, "neighbour=evil; Path=/user/",
		"good=yes; Path=" + s.prefix, "plain=yes",
	} {
		h.Add("Set-Cookie", line)
	}
	h.Set("Service-Worker-Allowed", "/")
	h.Set("Clear-Site-Data", `"*"`)
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Own", "kept")
}

// hostile answers with ?code, early hints before, trailers after, and all of plant.
func (s *server) hostile(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Set-Cookie", "edgehub=early; Path=/")
	h.Add("Set-Cookie", "__Host-edgehub=early; Path=/; Secure")
	h.Add("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	h.Del("Link")
	h.Del("Set-Cookie")
	s.plant(h)
	h.Set("Trailer", "Set-Cookie, X-Trailer")
	if code, _ := strconv.Atoi(r.URL.Query().Get("code")); code != 0 {
		w.WriteHeader(code)
	}
	_, _ = io.WriteString(w, "hostile ") // 204 and 304 have no body
	_ = http.NewResponseController(w).Flush()
	h["Set-Cookie"] = []string{"edgehub=trailer; Path=/"}
	h.Set("X-Trailer", "evil")
}

// hostileWS does the same in the handshake of a WebSocket, and leaves.
func (s *server) hostileWS(w http.ResponseWriter, r *http.Request) {
	s.plant(w.Header())
	if conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}); err == nil {
		_ = conn.CloseNow()
	}
}
