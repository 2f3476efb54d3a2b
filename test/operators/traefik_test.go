package operators

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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
