package env

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Variables that name the real peers; test/setup/env.sh sets them.
const (
	Etcd           = "EDGEHUB_TEST_ETCD"
	OlderEtcd      = "EDGEHUB_TEST_ETCD36" // of the release before
	DexProgram     = "EDGEHUB_TEST_DEX"
	TraefikProgram = "EDGEHUB_TEST_TRAEFIK"
	Chromium       = "EDGEHUB_TEST_CHROMIUM"
	Jupyter        = "EDGEHUB_TEST_JUPYTER_BIN"   // a folder
	JupyterOlder   = "EDGEHUB_TEST_JUPYTER_OLDER" // folders, separated by colons; may be empty
)

// Peer is where a real peer is. Without it the test is skipped, and fails in CI.
func Peer(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		const help = "%s is not set: run tests with test/setup/env.sh, after make setup"
		if os.Getenv("CI") == "true" {
			t.Fatalf(help, variable)
		}
		t.Skipf(help, variable)
	}
	return path
}

// ArtifactDir is a folder for what a test leaves to people: logs and screenshots.
func ArtifactDir(t testing.TB) string {
	t.Helper()
	root := os.Getenv("EDGEHUB_TEST_ARTIFACTS")
	if root == "" {
		return t.TempDir()
	}
	dir := filepath.Join(root, filepath.FromSlash(t.Name()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Programs are built once per test process, into programDir.
var (
	programDir   = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "edgehub-e2e-bin") })
	buildEdgehub = sync.OnceValues(func() (string, error) { return build("cmd/edgehub", "-race") })
	buildEcho    = sync.OnceValues(func() (string, error) { return build("test/env/echoserver") })
)

// Binary is edgehub, built with the race detector.
func Binary(t testing.TB) string { t.Helper(); return must(t, buildEdgehub) }

// Echo is the program of package echoserver.
func Echo(t testing.TB) string { t.Helper(); return must(t, buildEcho) }

func must(t testing.TB, get func() (string, error)) string {
	t.Helper()
	path, err := get()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root is the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

func build(pkg string, flags ...string) (string, error) {
	dir, err := programDir()
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, filepath.Base(pkg))
	args := append([]string{"build", "-buildvcs=false", "-o", out}, flags...)
	cmd := exec.Command("go", append(args, "./"+pkg)...)
	cmd.Dir = Root()
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return out, nil
}

// Main runs the tests of a package and removes what was built for them. TestMain calls it.
func Main(m *testing.M) int {
	defer func() {
		if dir, err := programDir(); err == nil {
			_ = os.RemoveAll(dir)
		}
	}()
	return m.Run()
}

// pathWith is PATH with dir in front.
func pathWith(dir string) string {
	return strings.TrimPrefix(dir+string(os.PathListSeparator)+os.Getenv("PATH"), string(os.PathListSeparator))
}
