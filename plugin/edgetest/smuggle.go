package edgetest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// wireServer is a user server on a bare socket. It answers one request on each connection and keeps every byte that came.
type wireServer struct {
	url string

	mu    sync.Mutex
	conns []*conversation
}

// conversation is what arrived over one connection.
type conversation struct {
	bytes  bytes.Buffer
	target string // of the request in it
}

func newWireServer(t testing.TB) *wireServer {
	s := &wireServer{}
	s.url = listen(t, s.talk)
	return s
}

// listen serves connections on a port of its own. None is left when the test ends.
func listen(t testing.TB, serve func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wg := sync.WaitGroup{}
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				serve(conn)
			})
		}
	})
	return "http://" + l.Addr().String()
}

func (s *wireServer) talk(conn net.Conn) {
	c := &conversation{}
	r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(conn, &c.bytes)))
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
		c.target = r.RequestURI
	}
	if err == nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
}

// framed are requests whose end can be seen in two places. Behind one of them is "smuggled", a request without a credential.
var framed = []string{
	"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n", "Transfer-Encoding: chunked, identity\r\nContent-Length: 0\r\n\r\n",
	"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
	"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n", "Transfer-Encoding: \"chunked\"\r\nContent-Length: 0\r\n\r\n",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", "Transfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
	"X: x\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", "X: x\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
	"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0, 0\r\n\r\n", "Content-Length: +0\r\n\r\n",
	"Content-Length: -1\r\n\r\n", "Content-Length: 0x0\r\n\r\n", "Content-Length: 0 5\r\n\r\n", "Content-Length:\r\n\r\n", "Content-Length: 00\r\n\r\n",
	"Content-Length : 0\r\n\r\n", "Content_Length: 50\r\n\r\n", "Content-Length: 99999999999999999999\r\n\r\n", "\tContent-Length: 50\r\n\r\n",
	"X: a\r\n Content-Length: 50\r\n\r\n", "X: a\n\n", "X: a\r\n\n", "X: a\n\r\n", "X: \x00\r\n\r\n", "X\x00: a\r\n\r\n", ": a\r\n\r\n", "X a\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0;ext=\"\r\n\r\n\"\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nA0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1\nA\n0\n\n",
	"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nA\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\nAuthorization: token x\r\n\r\n",
	"Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\n\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0;" + strings.Repeat("a", 9000) + "\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
	"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", "Expect: x\r\nContent-Length: 0\r\n\r\n",
	"Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 50\r\n\r\n",
	// A server that refuses to upgrade: what follows is a request like any other (T44).
	"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + browserKey + "\r\nOrigin: http://hub.test\r\n\r\n",
	"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello", "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
	"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
}

// requestLine finds what any server takes for the beginning of a request.
var requestLine = regexp.MustCompile(`(?m)^[A-Za-z]+ \S+ HTTP/1\.[01]\r?$`)

// smuggling sends requests of which two readers could see two numbers (T42 to T44). Whatever the front makes of one, the server
// sees it once, in one form, or not at all, and never what stands behind it.
func smuggling(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	server := newWireServer(t)
	w.PutRoute(Route("alice", server.url))
	w.Start(make)
	token := w.TokenOf("alice")
	sent := map[string]string{} // by target
	wg := sync.WaitGroup{}
	for _, method := range []string{"POST", "GET"} {
		for i, rest := range framed {
			target := fmt.Sprintf("/user/alice/%s-%d", method, i)
			sent[target] = rest
			wg.Go(func() {
				w.exchange(method+" "+target+" HTTP/1.1\r\nHost: hub.test\r\nAuthorization: token "+token+"\r\n"+rest+
					"GET /user/alice/smuggled HTTP/1.1\r\nHost: hub.test\r\nConnection: close\r\n\r\n", 3*time.Second)
			})
		}
	}
	wg.Wait()
	server.mu.Lock()
	defer server.mu.Unlock()
	seen := map[string]int{}
	for _, c := range server.conns {
		text := c.bytes.String()
		if text == "" {
			continue // a connection in reserve
		}
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		lower := strings.ToLower(head)
		seen[c.target]++
		if seen[c.target] > 1 || len(requestLine.FindAllString(head, -1)) != 1 || strings.Contains(text, "smuggled") || strings.Contains(lower, "\nupgrade: h2c") ||
			strings.Count(lower, "\ncontent-length:")+strings.Count(lower, "\ntransfer-encoding:") > 1 || strings.Count(head, "\n") != strings.Count(head, "\r\n") {
			t.Errorf("%q arrives as\n%q", sent[c.target], text)
		}
	}
	if len(seen) < 20 {
		t.Errorf("only %d requests arrived: this proves nothing", len(seen))
	}
}

// exchange sends text over one connection and returns all that comes back before the front hangs up or the time is over, since
// it may wait for more.
func (w *World) exchange(text string, limit time.Duration) string {
	conn, err := net.Dial("tcp", w.Addr)
	if err != nil {
		w.T.Error(err)
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit))
	_, _ = io.WriteString(conn, text) // a front that hangs up has decided
	all, _ := io.ReadAll(conn)
	return string(all)
}
