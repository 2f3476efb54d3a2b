package operators

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/test/env"
)

const module = "github.com/edgehub/edgehub"

// place is what a Traefik of a test needs: a folder with the plugin in it and addresses for its entry points.
type place struct {
	dir       string
	web       string
	websecure string
	roots     *x509.CertPool // nil: any certificate will do
}

func newPlace(t *testing.T) *place {
	t.Helper()
	env.Peer(t, env.TraefikProgram)
	p := &place{dir: t.TempDir(), web: edgetest.FreeAddr(t), websecure: edgetest.FreeAddr(t)}
	src := filepath.Join(p.dir, "plugins-local", "src", filepath.FromSlash(module))
	if err := os.MkdirAll(filepath.Dir(src), 0o755); err != nil {
		t.Fatal(err)
	}
	// The whole repository, as Traefik unpacks it from the catalogue.
	if err := os.Symlink(env.Root(), src); err != nil {
		t.Fatal(err)
	}
	return p
}

// write writes a file below the folder and returns its path.
func (p *place) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// traefik is a running Traefik.
type traefik struct {
	*place
	pid  int
	out  string
	done chan int // gets the exit code
}

// start starts a Traefik with arguments and does not wait until it is ready.
func (p *place) start(t *testing.T, args ...string) *traefik {
	t.Helper()
	out, err := os.Create(filepath.Join(p.dir, "traefik.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(env.Peer(t, env.TraefikProgram), args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, []string{"HOME=" + p.dir}, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tr := &traefik{place: p, pid: cmd.Process.Pid, out: out.Name(), done: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // ProcessState says the same
		tr.done <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // ended already, then
		<-ended
		if t.Failed() {
			text := tr.log(t)
			t.Logf("end of Traefik's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	return tr
}

// wait returns the exit code when Traefik has ended by itself.
func (tr *traefik) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-tr.done:
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("Traefik goes on")
		return 0
	}
}

func (tr *traefik) log(t *testing.T) string {
	t.Helper()
	return read(t, tr.out)
}

// client talks to the TLS entry point, whatever the host in the address.
func (tr *traefik) client() *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: tr.roots, InsecureSkipVerify: tr.roots == nil},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, tr.websecure)
			},
		},
	}
}

// get is a GET of an https address with headers in pairs. Status 0 says that Traefik does not answer.
func (tr *traefik) get(t *testing.T, url string, headers ...string) *edgetest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = []string{headers[i+1]} // as it is written, underscores too
	}
	resp, err := tr.client().Do(r)
	if err != nil {
		return &edgetest.Answer{Body: err.Error()}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &edgetest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
}

// serves fails the test unless the hub of the world is served at host, and by the plugin.
func (tr *traefik) serves(t *testing.T, w *edgetest.World, host string) {
	t.Helper()
	site := "https://" + host
	auth := func(user string) string { return "token " + w.TokenOf(user) }
	last := &edgetest.Answer{}
	env.Eventually(t, host+" is served", 30*time.Second, func() error {
		last = tr.get(t, site+"/user/alice/api?x=1", "Authorization", auth("alice"))
		if seen := last.Seen(); last.Status != http.StatusOK || seen == nil || seen.Server != "alice" {
			return answerError{last}
		}
		return nil
	})
	if seen := last.Seen(); strings.Contains(seen.Header.Get("Authorization"), w.TokenOf("alice")) || seen.Target != "/user/alice/api?x=1" {
		t.Errorf("the server got %+v", seen)
	}
	for _, c := range []struct {
		what, path string
		headers    []string
		status     int
	}{
		{"another user", "/user/alice/api", []string{"Authorization", auth("bob")}, http.StatusForbidden},
		{"nobody", "/user/alice/api", nil, http.StatusForbidden},
	} {
		if a := tr.get(t, site+c.path, c.headers...); a.Status != c.status || a.Seen() != nil {
			t.Errorf("%s: %d %s, want %d", c.what, a.Status, a.Body, c.status)
		}
	}
	// Whatever Traefik itself might serve is the hub's here.
	for _, path := range []string{"/", "/hub/home", "/api/rawdata", "/dashboard/", "/metrics", "/ping", "/debug/pprof/"} {
		if seen := tr.get(t, site+path).Seen(); seen == nil || seen.Server != "hub" {
			t.Errorf("%s is not answered by the hub: %+v", path, seen)
		}
	}
	stranger := &traefik{place: &place{websecure: tr.websecure}} // there is no certificate for that host
	if a := stranger.get(t, "https://other.example.org/user/alice/api", "Authorization", auth("alice")); a.Status != http.StatusNotFound {
		t.Errorf("another host: %d %s, want 404", a.Status, a.Body)
	}
}

// answerError is an answer that is not the one that is waited for.
type answerError struct{ *edgetest.Answer }

func (e answerError) Error() string { return http.StatusText(e.Status) + ": " + e.Body }

// hardened fails the test unless the static configuration has the limits and the log that the manual promises.
func (tr *traefik) hardened(t *testing.T, host string) {
	t.Helper()
	site := "https://" + host
	if a := tr.get(t, site+"/hub/x", "X_Forwarded_User", "admin"); a.Status != http.StatusBadRequest {
		t.Errorf("a header with underscores: %d, want 400", a.Status)
	}
	if a := tr.get(t, site+"/hub/x", "X-Long", strings.Repeat("x", 80<<10)); a.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("80 KiB of headers: %d, want 431", a.Status)
	}
	const secret = "canary-in-the-address"
	tr.get(t, site+"/hub/logged?token="+secret, "Cookie", "session="+secret)
	env.Eventually(t, "the access log has the request", 20*time.Second, func() error {
		for _, line := range strings.Split(tr.log(t), "\n") {
			var entry struct{ RequestPath, RouterName string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.RequestPath == "/hub/logged" && entry.RouterName != "" {
				return nil
			}
		}
		return os.ErrNotExist
	})
	if strings.Contains(tr.log(t), secret) {
		t.Error("a query or a cookie is in the log")
	}
	resp, err := http.DefaultTransport.RoundTrip(request(t, "http://"+tr.web+"/hub/x", host))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Location"); resp.StatusCode/100 != 3 || !strings.HasPrefix(got, site) {
		t.Errorf("plain HTTP: %d %s, want a redirect to https", resp.StatusCode, got)
	}
}

// drains fails the test unless Traefik goes on accepting requests after SIGTERM, so that a load balancer can notice.
func (tr *traefik) drains(t *testing.T, w *edgetest.World, host string) {
	t.Helper()
	if err := syscall.Kill(tr.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	env.Eventually(t, "Traefik waits", 20*time.Second, func() error {
		if !strings.Contains(tr.log(t), "for incoming requests to cease") {
			return os.ErrNotExist
		}
		return nil
	})
	if a := tr.get(t, "https://"+host+"/user/alice/api", "Authorization", "token "+w.TokenOf("alice")); a.Status != http.StatusOK {
		t.Errorf("after SIGTERM: %d %s", a.Status, a.Body)
	}
}

func request(t *testing.T, url, host string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return r
}

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
