package spawntest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const (
	envName = "SPAWNTEST_NAME"
	envDir  = "SPAWNTEST_DIR"
	// lifetime ends Programs that a killed test left behind.
	lifetime = 3 * time.Minute
)

// ProgramWanted reports whether this process was started as an instance by the suite: a TestMain then calls Program.
func ProgramWanted() bool { return os.Getenv(envName) != "" }

// ProgramEnv makes a process a Program. All that have the same dir and name watch out for each other.
func ProgramEnv(name, dir string) map[string]string {
	return map[string]string{envName: name, envDir: dir}
}

// Overlaps tells which Programs of dir met another one with their name. It is empty if none did.
func Overlaps(dir string) string {
	seen, err := os.ReadFile(overlapFile(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(seen)
}

// Program is a server for tests. It listens where JUPYTERHUB_SERVICE_URL says, answers GET .../api with its process id
// and the time of its start, ends with code 3 at POST .../fail, and with 0 at SIGTERM. If another instance with its name
// is alive, it notes that for the suite. It returns the exit code.
func Program() int {
	release, err := claim(os.Getenv(envDir), os.Getenv(envName))
	if err != nil {
		fmt.Fprintln(os.Stderr, "spawntest:", err)
		return 2
	}
	defer release()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, os.Getenv("JUPYTERHUB_SERVICE_URL")); err != nil {
		fmt.Fprintln(os.Stderr, "spawntest:", err)
		return 2
	}
	return 0
}

// claim takes a lock that the kernel frees with the process: what finds it taken overlaps with a live one.
func claim(dir, name string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, name+".alive"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(note(dir, name), err)
	}
	return func() { f.Close() }, nil
}

func overlapFile(dir string) string { return filepath.Join(dir, "overlaps") }

func note(dir, name string) error {
	f, err := os.OpenFile(overlapFile(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s: process %d found another one\n", name, os.Getpid())
	return errors.Join(err, f.Close())
}

func serve(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	born := time.Now().UnixNano()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+u.Path+"api", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "%d@%d", os.Getpid(), born)
	})
	mux.HandleFunc("POST "+u.Path+"fail", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(os.Stderr, "spawntest: failing as asked")
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush()
		time.AfterFunc(10*time.Millisecond, func() { os.Exit(3) }) // the answer goes first
	})
	server := &http.Server{Addr: u.Host, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func call(ctx context.Context, method, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", err
	}
	req.Close = true // idle connections are goroutines that outlive the test
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return "", errors.New(resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
