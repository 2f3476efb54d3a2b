package edgetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Link is a TCP proxy on the way to a program. It can cut, freeze and delay what passes, and counts it.
type Link struct {
	Addr string

	target   string
	listener net.Listener

	mu       sync.Mutex
	healed   *sync.Cond // of mu: something has become better
	cut      bool
	frozen   bool
	deaf     bool            // frozen in the direction of the program only
	blocked  map[string]bool // members that are frozen, by the id that etcd's peers send along
	delay    time.Duration   // of what comes back
	requests int
	opened   int
	conns    map[*linked]bool
	wg       sync.WaitGroup
}

// linked is one connection through a link.
type linked struct {
	near, far net.Conn
	from      string // the member that opened it, once it has said so
	closed    bool
}

// LinkTo starts a link to an etcd, and returns what edges reach it by.
func LinkTo(t testing.TB, e *Etcd) (link *Link, endpoint string) {
	t.Helper()
	scheme, addr, _ := strings.Cut(e.Endpoint, "://")
	link = NewLink(t, addr)
	return link, scheme + "://" + link.Addr
}

// NewLink starts a proxy to target, host:port.
func NewLink(t testing.TB, target string) *Link {
	t.Helper()
	listener := Listen(t)
	l := &Link{Addr: listener.Addr().String(), target: target, listener: listener, blocked: map[string]bool{}, conns: map[*linked]bool{}}
	l.healed = sync.NewCond(&l.mu)
	l.wg.Go(l.accept)
	t.Cleanup(func() {
		l.listener.Close()
		l.Cut()
		l.wg.Wait()
	})
	return l
}

// Listen listens with plain TCP, without the multipath TCP of Go's choice, to which no socket filter can be attached.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	config := &net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// change makes one change of what passes.
func (l *Link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.healed.Broadcast()
}

// Freeze accepts connections and passes nothing, in both directions.
func (l *Link) Freeze() { l.change(func() { l.frozen = true }) }

// Deafen passes nothing to the program; what it says still comes back.
func (l *Link) Deafen() { l.change(func() { l.deaf = true }) }

// Block freezes the connections of one member of the cluster.
func (l *Link) Block(member string) { l.change(func() { l.blocked[member] = true }) }

// Delay holds back everything that comes back.
func (l *Link) Delay(d time.Duration) { l.change(func() { l.delay = d }) }

// Cut ends all connections, and new ones at once.
func (l *Link) Cut() {
	l.change(func() {
		l.cut = true
		for c := range l.conns {
			c.close()
		}
	})
}

// Heal ends all faults. What was frozen back passes.
func (l *Link) Heal() {
	l.change(func() { l.cut, l.frozen, l.deaf, l.delay, l.blocked = false, false, false, 0, map[string]bool{} })
}

// Opened is how many connections have come.
func (l *Link) Opened() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.opened
}

// Requests is how many requests to etcd's gateway have passed.
func (l *Link) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

func (c *linked) close() {
	c.closed = true
	c.near.Close()
	c.far.Close()
}

func (l *Link) accept() {
	for {
		near, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			l.wg.Go(func() { l.serve(near) })
		}
	}
}

func (l *Link) serve(near net.Conn) {
	l.change(func() { l.opened++ })
	far, err := net.Dial("tcp", l.target)
	if err != nil {
		near.Close()
		return
	}
	c := &linked{near: near, far: far}
	l.change(func() {
		l.conns[c] = true
		if l.cut {
			c.close()
		}
	})
	l.wg.Go(func() { l.pump(c, near, far, true) })
	l.pump(c, far, near, false)
}

// pump passes one direction on until the connection ends.
func (l *Link) pump(c *linked, from, to net.Conn, up bool) {
	defer l.change(func() { c.close(); delete(l.conns, c) })
	queue := make(chan frozen, 64)
	l.wg.Go(func() {
		defer close(queue)
		for {
			buf := make([]byte, 16<<10)
			n, err := from.Read(buf)
			queue <- frozen{buf[:n], l.due(c, buf[:n], up)}
			if err != nil {
				return
			}
		}
	})
	broken := false
	for h := range queue {
		if broken {
			continue
		}
		time.Sleep(time.Until(h.due))
		if !l.mayPass(c, up) {
			broken = true
			continue
		}
		if _, err := io.Copy(to, bytes.NewReader(h.text)); err != nil {
			broken = true
			from.Close()
		}
	}
}

// frozen is what waits for its moment.
type frozen struct {
	text []byte
	due  time.Time
}

// due notes what text says, and returns when it may go on.
func (l *Link) due(c *linked, text []byte, up bool) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !up {
		return time.Now().Add(l.delay)
	}
	l.requests += bytes.Count(text, []byte("POST /v3/"))
	if _, after, ok := bytes.Cut(text, []byte("\r\nX-Server-From: ")); ok && c.from == "" {
		from, _, _ := bytes.Cut(after, []byte("\r\n"))
		c.from = string(from)
	}
	return time.Time{}
}

// mayPass waits while the direction is frozen. It is false when the connection has ended.
func (l *Link) mayPass(c *linked, up bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !c.closed && (l.frozen || up && l.deaf || l.blocked[c.from]) {
		l.healed.Wait()
	}
	return !c.closed
}
