package local

import (
	"net"
	"testing"
	"time"
)

func TestPortsAreGivenOnce(t *testing.T) {
	t.Parallel()
	var p ports
	seen := map[int]bool{}
	for range 500 {
		port, err := p.pick()
		if err != nil || seen[port] {
			t.Fatalf("port %d, %v, given before: %v", port, err, seen[port])
		}
		seen[port] = true
	}
	if p.take(40000, time.Now().Add(2*portMemory)); len(p.given) != 1 {
		t.Errorf("%d ports are remembered for ever", len(p.given))
	}
}

// TestPortsAreNotTheKernels shows that no connection and no listener for any port gets what was given away.
func TestPortsAreNotTheKernels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		low, high int
		outside   bool
	}{
		{32768, 60999, true}, {1024, 60999, true}, {11000, 65535, true}, {1024, 5000, true}, {49152, 65535, true},
		{1024, 65535, false}, {10500, 65400, false},
	} {
		seen := map[int]bool{}
		for range 20000 {
			port := randomPort(c.low, c.high)
			if port < firstPort || port > lastPort || c.outside && c.low <= port && port <= c.high {
				t.Fatalf("port %d with a kernel that gives %d to %d", port, c.low, c.high)
			}
			seen[port] = true
		}
		if len(seen) < 500 {
			t.Errorf("only %d ports with a kernel that gives %d to %d", len(seen), c.low, c.high)
		}
	}
	var p ports
	port, err := p.pick()
	if low, high := kernelPorts(); err != nil || low <= port && port <= high {
		t.Errorf("picked %d, %v; the kernel gives %d to %d", port, err, low, high)
	}
}

func TestTakenPortsAreNotFree(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		l, err := net.Listen("tcp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		if port := l.Addr().(*net.TCPAddr).Port; freePort(port) {
			t.Errorf("port %d, on which somebody listens at %q, counts as free", port, host)
		}
		l.Close()
	}
}
