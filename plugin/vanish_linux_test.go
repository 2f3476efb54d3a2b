package plugin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// descriptors are the TCP sockets of this process at a local or a remote address.
func descriptors(t *testing.T, address func(fd int) (unix.Sockaddr, error), want string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	list := []int{}
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		if a, err := address(fd); err == nil && addressText(a) == want {
			list = append(list, fd)
		}
	}
	return list
}

func addressText(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return fmt.Sprintf("%s:%d", net.IP(a.Addr[:]), a.Port)
	case *unix.SockaddrInet6:
		return fmt.Sprintf("%s:%d", net.IP(a.Addr[:]), a.Port)
	}
	return ""
}

// vanish takes everything that listens or is connected at an address of its own off the network, as a power cut does: its
// kernel hears nothing any more, so it acknowledges nothing, and answers neither probes nor new connections.
func vanish(t *testing.T, local string) {
	t.Helper()
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	for _, fd := range descriptors(t, unix.Getsockname, local) {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0) // the dead ask for nobody
		if err == nil {
			err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// hasten makes keep-alive take three seconds instead of two and a half minutes, where it is set.
func hasten(t *testing.T, peer string) {
	t.Helper()
	all := descriptors(t, unix.Getpeername, peer)
	if len(all) == 0 {
		t.Fatalf("no connection to %s", peer)
	}
	for _, fd := range all {
		on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		idle, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
		every, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL)
		count, _ := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT)
		if err != nil || on != 1 || idle+every*count > 150 {
			t.Errorf("connection to %s: keep-alive %d after %d s, then %d times %d s, %v; want the end within 150 s", peer, on, idle, count, every, err)
		}
		for option, value := range map[int]int{unix.TCP_KEEPIDLE: 1, unix.TCP_KEEPINTVL: 1, unix.TCP_KEEPCNT: 2} {
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, value); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ends are the two ends of a WebSocket, or of a request that waits for its answer.
type ends struct {
	visitor, server net.Conn
	answer          *bufio.Reader // of the visitor
	listener        net.Listener  // of the server
}

// openThrough opens a WebSocket, or sends a request, through the edge to a server of its own.
func openThrough(t *testing.T, w *edgetest.World, user, headers string) *ends {
	t.Helper()
	listener := edgetest.Listen(t)
	w.PutRoute(edgetest.Route(user, "http://"+listener.Addr().String()))
	w.Eventually("the route is there", func() bool { return w.Get("", "/user/"+user+"/x").Status == http.StatusForbidden })
	e := &ends{listener: listener}
	var err error
	if e.visitor, err = net.Dial("tcp", w.Addr); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(e.visitor, "GET /user/%s/x HTTP/1.1\r\nHost: h\r\nUser-Agent: a\r\nAuthorization: token %s\r\n%s\r\n", user, w.TokenOf(user), headers)
	if e.server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.visitor.Close(); e.server.Close() })
	if _, err := http.ReadRequest(bufio.NewReader(e.server)); err != nil {
		t.Fatal(err)
	}
	e.answer = bufio.NewReader(e.visitor)
	return e
}

// reply sends the beginning of the server's answer, and reads its head as the visitor does.
func (e *ends) reply(t *testing.T, head string) {
	t.Helper()
	if _, err := io.WriteString(e.server, "HTTP/1.1 "+head); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(e.answer, nil); err != nil {
		t.Fatal(err)
	}
}

const (
	upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	switched       = "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	eventStream    = "200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
)

// TestC24PeersVanish has visitors and servers vanish without a word, and wants everything back that the edge held for them:
// sockets, requests and goroutines.
func TestC24PeersVanish(t *testing.T) {
	notShort(t)
	w, s := startWorld(t, edgetest.SharedEtcd(t), edgetest.SharedEtcd(t).Endpoint)
	s.stalled = time.Second // nobody has opened a WebSocket yet
	before := runtime.NumGoroutine()
	pour := func(to net.Conn) { go func() { _, _ = io.Copy(to, zeros{}) }() }
	waiting := []*ends{}
	for i, c := range []struct {
		headers, reply  string
		visitorVanishes bool
		pours           bool // the other end sends without end
	}{
		{upgradeHeaders, switched, true, false},
		{upgradeHeaders, switched, false, false},
		{upgradeHeaders, switched, true, true},
		{upgradeHeaders, switched, false, true},
		{"", eventStream, true, false},
		{"", eventStream, false, false},
		{"", "", true, false},
		{"", "", false, false},
	} {
		e := openThrough(t, w, fmt.Sprintf("user%d", i), c.headers)
		if c.reply != "" {
			e.reply(t, c.reply)
		}
		gone, other := e.visitor, e.server
		if !c.visitorVanishes {
			gone, other = other, gone
		}
		vanish(t, gone.LocalAddr().String())
		if c.pours {
			pour(other)
		} else {
			hasten(t, gone.LocalAddr().String())
		}
		waiting = append(waiting, e)
	}
	last := waiting[len(waiting)-1]
	if resp, err := http.ReadResponse(last.answer, nil); err != nil || resp.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("a visitor who waits for a server that vanishes gets %v %v, want 504", resp, err)
	}
	if n := s.live.count(); n > len(waiting) {
		t.Errorf("%d requests under way, of %d", n, len(waiting))
	}
	eventually(t, "no request is under way, no WebSocket is open", func() bool {
		return s.live.count() == 0 && atomic.LoadInt64(&s.counts.sockets) == 0
	})
	for _, e := range waiting {
		eventually(t, "the edge's socket to the visitor is closed, unless the visitor lives and may ask again", func() bool {
			return len(descriptors(t, unix.Getpeername, e.visitor.LocalAddr().String())) == 0 || e == last
		})
		eventually(t, "the edge's socket to the server is closed", func() bool {
			return len(descriptors(t, unix.Getpeername, e.listener.Addr().String())) == 0
		})
		e.visitor.Close()
		e.server.Close()
	}
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// TestC24NobodyListensAnyMore asks for a server whose machine has vanished.
func TestC24NobodyListensAnyMore(t *testing.T) {
	notShort(t)
	t.Parallel()
	w, _ := startWorld(t, edgetest.SharedEtcd(t), edgetest.SharedEtcd(t).Endpoint)
	listener := edgetest.Listen(t)
	w.PutRoute(edgetest.Route("bob", "http://"+listener.Addr().String()))
	eventually(t, "bob is there", func() bool { return w.Get("", "/user/bob/x").Status == http.StatusForbidden })
	vanish(t, listener.Addr().String())
	if a := w.Get("bob", "/user/bob/y"); a.Status != http.StatusGatewayTimeout {
		t.Errorf("%d %s, want 504", a.Status, a.Body)
	}
}

// TestC24EtcdVanishes takes the member away that the edge reads from. The kernel of the edge would wait for a quarter of an hour.
func TestC24EtcdVanishes(t *testing.T) {
	notShort(t)
	t.Parallel()
	etcd := edgetest.SharedEtcd(t)
	link, endpoint := edgetest.LinkTo(t, etcd)
	w, s := startWorld(t, etcd, endpoint, etcd.Endpoint)
	eventually(t, "the edge is connected", func() bool { return len(descriptors(t, unix.Getpeername, link.Addr)) > 0 && s.state.current() != nil })
	vanish(t, link.Addr)
	putUser(w, "bob")
	within(t, 2*15*time.Second, "the change arrives from another member", func() bool { return s.has("bob") })
	sameAsEtcd(t, s, etcd.Client)
	within(t, 2*time.Minute, "the sockets are closed", func() bool { return len(descriptors(t, unix.Getpeername, link.Addr)) == 0 })
}
