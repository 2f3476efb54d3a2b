package local

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	// Below firstPort are the services that people install, some of which may just be restarting.
	firstPort, lastPort = 10000, 65535
	// enoughPorts must lie outside the kernel's range, or they are taken from everywhere.
	enoughPorts = 1000
)

// ports gives away ports that are free and stay so until the server listens, seconds later. They are not those that the kernel
// itself gives to connections and to listeners that ask for any port. It has only about 7,000 for such listeners (the odd ones of
// one half of its range), so that a port of ours, closed after the look at it, was soon another one's.
type ports struct {
	mu    sync.Mutex
	given map[int]time.Time // in the last portMemory
}

const portMemory = 2 * time.Minute

func (p *ports) pick() (int, error) {
	low, high := kernelPorts()
	for range 1000 {
		if port := randomPort(low, high); freePort(port) && p.take(port, time.Now()) {
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

func (p *ports) take(port int, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given == nil {
		p.given = make(map[int]time.Time)
	}
	for port, at := range p.given {
		if now.Sub(at) > portMemory {
			delete(p.given, port)
		}
	}
	if _, taken := p.given[port]; taken {
		return false
	}
	p.given[port] = now
	return true
}

// kernelPorts is the range that the kernel gives ports from, Linux's own default if it does not say.
func kernelPorts() (low, high int) {
	data, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if n, _ := fmt.Sscan(string(data), &low, &high); n != 2 {
		return 32768, 60999
	}
	return low, high
}

// randomPort is a port outside of low to high, or any if there is no room. It is random because hubs do not know of each other.
func randomPort(low, high int) int {
	high = max(high, firstPort-1)
	below, above := max(0, low-firstPort), max(0, lastPort-high)
	if below+above < enoughPorts {
		return firstPort + rand.N(lastPort-firstPort+1)
	}
	n := rand.N(below + above)
	if n < below {
		return firstPort + n
	}
	return high + 1 + n - below
}

func freePort(port int) bool {
	l, err := net.Listen("tcp4", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
