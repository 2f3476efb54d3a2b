package operators

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// listensOnlyOn fails the test if Traefik has other open ports than these addresses.
func (tr *traefik) listensOnlyOn(t *testing.T, addrs ...string) {
	t.Helper()
	want := map[string]bool{}
	for _, a := range addrs {
		_, port, err := net.SplitHostPort(a)
		if err != nil {
			t.Fatal(err)
		}
		want[port] = true
	}
	for _, port := range openPorts(t, tr.pid) {
		if !want[port] {
			t.Errorf("Traefik listens on port %s, which no entry point of the example opens", port)
		}
		delete(want, port)
	}
	for port := range want {
		t.Errorf("Traefik does not listen on port %s", port)
	}
}

// openPorts are the TCP ports that a process listens on.
func openPorts(t *testing.T, pid int) []string {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, fd := range fds {
		link, _ := os.Readlink(filepath.Join(proc, "fd", fd.Name())) // closed meanwhile
		own[link] = true
	}
	var ports []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(text, []byte("\n"))[1:] {
			f := strings.Fields(string(line))
			const listening = "0A"
			if len(f) > 9 && f[3] == listening && own["socket:["+f[9]+"]"] {
				ports = append(ports, portOf(t, f[1]))
			}
		}
	}
	return ports
}

// portOf reads the hexadecimal port behind the colon of an address in /proc/net/tcp.
func portOf(t *testing.T, address string) string {
	t.Helper()
	_, hex, _ := strings.Cut(address, ":")
	port, err := strconv.ParseUint(hex, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(port, 10)
}
