package edgetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// firstProbe is when the kernel asks an idle peer for the first time at the latest, in hundredths of a second: it is 15 seconds with
// Go, and the three minutes of Traefik's own listeners.
const firstProbe = 180_00

// keepAlive opens a WebSocket and looks whether the kernel will ask for both of its ends: one that vanishes without a word holds
// the socket and its memory for ever otherwise.
func keepAlive(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	backend := Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(rw, r, nil)
		if err == nil {
			_, _, _ = c.Read(r.Context())
		}
	})
	w.PutRoute(Route("alice", backend.URL))
	w.Start(make)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	visitor := ""
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err == nil {
			visitor = c.LocalAddr().String()
		}
		return c, err
	}
	socket, _, err := websocket.Dial(ctx, "http://"+w.Addr+"/user/alice/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: dial}},
		HTTPHeader: http.Header{"Authorization": {"token " + w.TokenOf("alice")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	for who, peer := range map[string]string{"the visitor": visitor, "the server": backend.Listener.Addr().String()} {
		w.Eventually("keep-alive for "+who, func() bool { return keptAlive(t, peer) })
	}
}

// keptAlive reports whether there is a connection to peer, and all of them wait for the next keep-alive probe.
func keptAlive(t *testing.T, peer string) bool {
	t.Helper()
	_, port, _ := net.SplitHostPort(peer)
	number := 0
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(file)
		if err != nil && file == "/proc/net/tcp" {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			// Number, local and remote address, state, queues, and timer:hundredths of a second.
			f := strings.Fields(line)
			if len(f) < 6 || f[3] != "01" || !strings.HasSuffix(f[2], fmt.Sprintf(":%04X", number)) {
				continue
			}
			found++
			kind, left := 0, 0
			if _, err := fmt.Sscanf(f[5], "%x:%x", &kind, &left); err != nil || kind != 2 || left > firstProbe {
				return false
			}
		}
	}
	return found > 0
}
