package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/bench/proc"
)

// TestMain makes this test program the parts of its own measurements.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" && os.Args[2] == "part" {
		if err := Part(context.Background(), os.Args[3:], os.Stdin, os.Stdout); err != nil && !errors.Is(err, io.EOF) {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// small are options for a measurement that only shows that it works.
func small(t *testing.T, out io.Writer) Options {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Routes: 60, Users: 20, Seconds: 0.5, Connections: 2, Count: 3, Rate: 20, JSON: true, inside: true, temp: t.TempDir(),
		Program: program, Out: out, Progress: io.Discard}
}

// nothingLeft fails the test if a measurement has left files behind.
func nothingLeft(t *testing.T, o Options) {
	t.Helper()
	left, err := os.ReadDir(o.temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestCompareGivesOneObjectForEachSide(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	o := small(t, &out)
	o.Sides, o.Profile = []string{Direct, Embedded}, t.TempDir()
	o.profileTime = time.Second
	if err := Compare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&out)
	for _, side := range o.Sides {
		r := Result{}
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Side != side || r.Routes != o.Routes || r.RequestsPerSecond <= 0 || r.P50 <= 0 || r.P99 < r.P50 {
			t.Errorf("%+v", r)
		}
		if proxy := side != Direct; (r.CPU > 0) != proxy || (r.RSS > 0) != proxy {
			t.Errorf("processor time and memory of the proxy: %+v", r)
		}
	}
	if info, err := os.Stat(o.Profile + "/embedded.cpu.pprof"); err != nil || info.Size() == 0 {
		t.Errorf("no profile: %v", err)
	}
	nothingLeft(t, o)
}

func TestTheOtherMeasurementsOfTheCompiledEdge(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(context.Context, Options) error{
		"websocket": WebSocket, "routes": Changes, "revoke": Revoke,
		"start": func(ctx context.Context, o Options) error { return Start(ctx, o, []int{40}) },
		"scale": func(ctx context.Context, o Options) error { return Scale(ctx, o, []int{20, 40}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			o := small(t, &out)
			o.Sides = []string{Embedded}
			if err := run(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			line := map[string]any{}
			if err := json.NewDecoder(&out).Decode(&line); err != nil || line["side"] != Embedded {
				t.Errorf("%v %v", line, err)
			}
			nothingLeft(t, o)
		})
	}
}

func TestAnInterruptedRunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	o := small(t, io.Discard)
	o.Sides, o.Seconds = []string{Direct}, 1000
	ctx, cancel := context.WithCancel(t.Context())
	// The first round has begun when this line is printed.
	o.Progress = writerFunc(func(p []byte) (int, error) {
		if strings.HasPrefix(string(p), "round 1") {
			cancel()
		}
		return len(p), nil
	})
	if err := Compare(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, o)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestOptionsAreCheckedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"--routes 10":        func(o *Options) { o.Routes = 10 },
		"--seconds":          func(o *Options) { o.Seconds = 0 },
		"--connections":      func(o *Options) { o.Connections = 0 },
		`no side "nginx"`:    func(o *Options) { o.Sides = []string{"nginx"} },
		`no side "chp" here`: func(o *Options) { o.Sides = []string{CHP} },
	} {
		o := small(t, io.Discard)
		change(&o)
		if err := Revoke(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestAMissingTraefikSaysWhereItWasLookedFor(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv("EDGEHUB_CACHE", "/no/such/cache")
	_, err := findTraefik("")
	for _, want := range []string{"/no/such/cache/traefik/bin", "--traefik FILE"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, c := range []struct {
		of   []int
		p    int
		want float64
	}{{hundred, 50, 50}, {hundred, 99, 99}, {hundred[:10], 99, 10}, {hundred[:1], 50, 1}, {nil, 50, 0}} {
		if got := percentile(c.of, c.p); got != c.want {
			t.Errorf("p%d of %d values: %v, want %v", c.p, len(c.of), got, c.want)
		}
	}
}

// TestProcessorTimeIsTheKernels compares with what the system call says before and after.
func TestProcessorTimeIsTheKernels(t *testing.T) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for used() < 50*time.Millisecond { // so that a wrong field of /proc shows
		_ = percentile([]int{1}, 1)
	}
	before := used()
	got, err := proc.CPUTime(os.Getpid())
	// Both user and system time are rounded down to a tick.
	if after := used(); err != nil || got < before-2*proc.Tick || got > after+2*proc.Tick {
		t.Errorf("got %s, %v, want between %s and %s", got, err, before, after)
	}
	if memory, err := proc.RSS(os.Getpid()); err != nil || memory < 1<<20 {
		t.Errorf("memory %d %v", memory, err)
	}
	if _, err := proc.CPUTime(1 << 30); err == nil {
		t.Error("a process that does not exist has processor time")
	}
}

func TestTheClientReadsEveryFraming(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunks":
			for range 2 {
				_, _ = io.WriteString(w, strings.Repeat("x", bodySize/2))
				w.(http.Flusher).Flush()
			}
		case "/wrong":
			http.Error(w, "wrong", http.StatusTeapot)
		default:
			backend("test").ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	c, err := dial(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.conn.Close() })
	get := func(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") }
	for _, path := range []string{"/", "/chunks", "/"} {
		if err := c.exchange(get(path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := c.exchange(get("/wrong")); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("a wrong answer: %v", err)
	}
	if err := errors.Join(c.upgrade(get("/socket")), c.echo(), c.echo()); err != nil {
		t.Error(err)
	}
}
