package plugin

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/routes"
)

// TestAddressesThatNoRouteLeadsTo goes through the spellings of addresses that a route must not make the edge dial (T84).
func TestAddressesThatNoRouteLeadsTo(t *testing.T) {
	own, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, ownPort, _ := net.SplitHostPort(own.Addr().String())
	_, port, _ := net.SplitHostPort(other.Addr().String())
	set, err := (&Config{Etcd: []string{"http://" + own.Addr().String()}, Hub: []string{"http://127.0.0.1:" + ownPort}}).check()
	if err != nil {
		t.Fatal(err)
	}
	r := newReach(set)
	for _, to := range []string{
		// The cloud's metadata service and other link-local addresses, in every form that a resolver may read.
		"169.254.169.254:80", "[::ffff:169.254.169.254]:80", "[::ffff:a9fe:a9fe]:80", "[fe80::1]:80", "[fe80::1%lo]:80",
		"2852039166:80", "0xa9fea9fe:80", "0251.0376.0251.0376:80", "169.254.43518:80",
		// Nobody's and everybody's.
		"0.0.0.0:" + port, "[::]:" + port, "[::ffff:0.0.0.0]:" + port, "0:" + port, "224.0.0.1:80", "[ff02::1]:80",
		// etcd and the control plane.
		"127.0.0.1:" + ownPort, "[::ffff:127.0.0.1]:" + ownPort, "[::ffff:7f00:1]:" + ownPort, "localhost:" + ownPort,
	} {
		conn, err := r.dial(context.Background(), to)
		if err == nil {
			conn.Close()
			t.Errorf("%s was dialled", to)
			continue
		}
		// A form of a number may also just not resolve.
		if dns := (*net.DNSError)(nil); !errors.Is(err, errReach) && !errors.As(err, &dns) && !strings.Contains(to, "localhost") {
			t.Errorf("%s: %v", to, err)
		}
	}
	for _, to := range []string{"127.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port} {
		conn, err := r.dial(context.Background(), to)
		if err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		conn.Close()
	}
	r.targets = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, to := range []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, "192.168.1.1:80"} {
		if _, err := r.dial(context.Background(), to); !errors.Is(err, errReach) {
			t.Errorf("%s outside the networks: %v", to, err)
		}
	}
}

// TestTargetsThatNoRecordMayName refuses targets in which two readers could see two hosts.
func TestTargetsThatNoRecordMayName(t *testing.T) {
	for _, target := range []string{
		"http://a@169.254.169.254", "http://169.254.169.254\\@a", "http://a#@b", "http://a?@b", "http://a/b", "http:///a", "//a", "a:80",
		"file:///etc/passwd", "gopher://a", "unix:///run/x", "http://a b", "http://[::1", "http://a:b", "http://\x00a",
	} {
		if routes.CheckTarget(target) == nil {
			if a, err := parseAddress(target); err == nil {
				t.Errorf("%q is an address: %v", target, a)
			}
		}
	}
}
