package local

import (
	"errors"
	"net"
	"sync"
	"time"
)

// ports gives away free ports. The kernel picks one at random and forgets it when we close it, long before the server
// listens: of 100 concurrent starts, two would get the same one in a third of all cases.
type ports struct {
	mu    sync.Mutex
	given map[int]time.Time // in the last portMemory
}

const portMemory = 2 * time.Minute

func (p *ports) pick() (int, error) {
	for range 100 {
		port, err := freePort()
		if err != nil {
			return 0, err
		}
		if p.take(port, time.Now()) {
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

func freePort() (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
