package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/test/env"
)

const (
	mebibyte = 1 << 20
	large    = 64 * mebibyte
)

// TestStreaming shows that the front door passes on what it gets as it comes, in both directions, and keeps none of it.
func TestStreaming(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice")
		alice := w.Login(t, "alice")
		before := memory(t, w.Front.PID(), "VmRSS")
		forgetPeak(t, w.Front.PID())
		t.Run("upload", func(t *testing.T) { upload(t, alice) })
		t.Run("download", func(t *testing.T) { download(t, alice) })
		t.Run("events", func(t *testing.T) { events(t, alice) })
		t.Run("WebSocket", func(t *testing.T) { bigMessages(t, alice) })
		t.Run("visitor leaves", func(t *testing.T) { leave(t, alice) })
		grown := memory(t, w.Front.PID(), "VmHWM") - before
		t.Logf("the front door's memory grew by %d MiB", grown/mebibyte)
		if grown > large/2 {
			t.Errorf("the front door's memory grew by %d MiB: it keeps what it should pass on", grown/mebibyte)
		}
	})
}

// content is what is sent: random bytes, the same for the same seed.
func content(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func sum(t *testing.T, r io.Reader) string {
	t.Helper()
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// upload sends the rest only after the server has got the beginning. It does so with a known length and without.
func upload(t *testing.T, c *env.Client) {
	for _, chunked := range []bool{false, true} {
		id := fmt.Sprint("upload-chunked-", chunked)
		want := sum(t, io.LimitReader(content(1), large))
		out, in := io.Pipe()
		go func() {
			body := io.LimitReader(content(1), large)
			_, err := io.CopyN(in, body, mebibyte)
			if err == nil {
				err = arrived(c, id)
			}
			if err == nil {
				_, err = io.Copy(in, body)
			}
			_ = in.CloseWithError(err) // nil is the end
		}()
		req, err := c.Request(t.Context(), http.MethodPost, "/user/alice/upload?id="+id, nil, out)
		if err != nil {
			t.Fatal(err)
		}
		if req.ContentLength = large; chunked {
			req.ContentLength = -1
		}
		start := time.Now()
		resp, err := c.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Size   int64  `json:"size"`
			SHA256 string `json:"sha256"`
		}
		err = json.NewDecoder(resp.Body).Decode(&got)
		_ = resp.Body.Close()
		if err != nil || got.Size != large || got.SHA256 != want {
			t.Errorf("chunked %v: the server got %d bytes with hash %s (%v), want %d with %s", chunked, got.Size, got.SHA256, err, large, want)
		}
		t.Logf("chunked %v: %d MiB in %s", chunked, large/mebibyte, time.Since(start).Round(time.Millisecond))
	}
}

// arrived waits until the server has got something of an upload, of which the rest has not been sent.
func arrived(c *env.Client, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		resp, err := c.Try(ctx, http.MethodGet, "/user/alice/upload-status?id="+id, nil, nil)
		if err != nil {
			return fmt.Errorf("nothing arrives: %w", err)
		}
		var status struct {
			Received int64 `json:"received"`
		}
		if err := json.Unmarshal(resp.Body, &status); err != nil || status.Received > 0 {
			return err
		}
	}
}

// download gets the beginning before the server sends the rest.
func download(t *testing.T, c *env.Client) {
	req, err := c.Request(t.Context(), http.MethodGet, fmt.Sprintf("/user/alice/download?id=download&seed=2&size=%d&first=%d", large, mebibyte), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	hash := sha256.New()
	if _, err := io.CopyN(hash, resp.Body, mebibyte); err != nil {
		t.Fatalf("the beginning does not arrive while the rest is held back: %s", err)
	}
	step(t, c, "alice", "download")
	n, err := io.Copy(hash, resp.Body)
	if got, want := hex.EncodeToString(hash.Sum(nil)), resp.Header.Get("X-Sha256"); err != nil || n != large-mebibyte || got != want {
		t.Errorf("got %d bytes with hash %s (%v), want %d with %s", n+mebibyte, got, err, large, want)
	}
	t.Logf("%d MiB in %s", large/mebibyte, time.Since(start).Round(time.Millisecond))
}

// events asks for each event only after the one before has arrived.
func events(t *testing.T, c *env.Client) {
	const n = 20
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := c.Request(ctx, http.MethodGet, fmt.Sprintf("/user/alice/events?id=events&n=%d", n), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	step(t, c, "alice", "events") // there is no answer before the first event
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewReader(resp.Body)
	for i := range n {
		line, err := lines.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
			t.Fatalf("got %q and %v, want %q", line, err, want)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if i < n-1 {
			step(t, c, "alice", "events")
		}
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("after the last event: %q %v", rest, err)
	}
}

// bigMessages sends what a notebook with pictures does.
func bigMessages(t *testing.T, c *env.Client) {
	conn := c.WebSocket(t, "/user/alice/ws")
	want := make([]byte, 8*mebibyte)
	if _, err := io.ReadFull(content(3), want); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		sent := make(chan error, 1)
		go func() { sent <- conn.Write(ctx, websocket.MessageBinary, want) }()
		kind, got, err := conn.Read(ctx)
		if err := errors.Join(err, <-sent); err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, want) {
			t.Fatalf("got %s with %d bytes and %v, want the %d that were sent", kind, len(got), err, len(want))
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, "done"); err != nil {
		t.Errorf("close: %s", err)
	}
}

// leave shows that the server learns that a visitor has left: it counts the streams that are open.
func leave(t *testing.T, c *env.Client) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := c.Request(ctx, http.MethodGet, "/user/alice/events?id=left&n=1000", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	step(t, c, "alice", "left")
	resp, err := c.HTTP.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	open := func() string { return strings.TrimSpace(string(c.Get(t, "/user/alice/open").Body)) }
	if got := open(); got != "1" {
		t.Errorf("%s streams are open, want 1", got)
	}
	cancel()
	env.Eventually(t, "the server learns that the visitor has left", 5*time.Second, func() error {
		if got := open(); got != "0" {
			return fmt.Errorf("%s streams are open", got)
		}
		return nil
	})
}

// memory is a figure of what a process has in memory, in bytes: VmRSS is now, VmHWM the most since forgetPeak.
func memory(t *testing.T, pid int, figure string) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), figure+":")
	line, _, _ := strings.Cut(after, " kB\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Fatalf("%s of process %d: %s", figure, pid, err)
	}
	return kib << 10
}

func forgetPeak(t *testing.T, pid int) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}
