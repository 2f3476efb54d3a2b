package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// errReach says that a route leads to where no user's server can be.
var errReach = errors.New("the route leads to an address that the edge does not dial")

// reach dials users' servers, and nothing else: the address of a server comes from a record, and whoever can influence it
// must not make the edge ask the cloud's metadata service, etcd or the control plane in its name. The address is checked
// when the connection is opened, after its name has been resolved, so that there is no second answer of a name server.
type reach struct {
	targets []netip.Prefix  // what may be dialled; empty: whatever is not forbidden
	own     map[string]bool // host:port of etcd and of the control plane, as configured
}

func newReach(set *settings) *reach {
	r := &reach{targets: set.targets, own: make(map[string]bool)}
	for _, list := range [][]*address{set.etcd, set.hub} {
		for _, a := range list {
			r.own[a.host] = true
		}
	}
	return r
}

// dial opens a connection to host:port.
func (r *reach) dial(ctx context.Context, hostPort string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	if r.own[hostPort] {
		return nil, errReach
	}
	ips, err := lookupIPs(ctx, host)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: dialTimeout}
	err = fmt.Errorf("%s has no address", clip(host))
	for _, ip := range ips {
		ip = ip.Unmap() // "::ffff:127.0.0.1" is 127.0.0.1, also when it is compared with our own
		to := net.JoinHostPort(ip.String(), port)
		if r.own[to] || !r.allows(ip) {
			err = errReach
			continue
		}
		conn, dialErr := d.DialContext(ctx, "tcp", to)
		if dialErr == nil {
			return conn, nil
		}
		err = dialErr
	}
	return nil, err
}

// lookupIPs returns the addresses of host, which may be one itself.
func lookupIPs(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// allows decides by an address in its plain form, without IPv4 in IPv6.
func (r *reach) allows(ip netip.Addr) bool {
	if ip.IsUnspecified() || ip.IsMulticast() || ip.IsLinkLocalUnicast() || ip.Zone() != "" {
		return false
	}
	for _, p := range r.targets {
		if p.Contains(ip) {
			return true
		}
	}
	return len(r.targets) == 0
}
