package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"time"
)

// job is one turn of the client: as many requests as Connections take in Seconds. Requests are remembered from job to job.
type job struct {
	Addr        string
	Seconds     float64
	Connections int
	Requests    []string `json:",omitempty"`
}

// outcome is what the client has seen: how long each request took, in microseconds, in no order.
type outcome struct {
	Elapsed   float64 // seconds
	Latencies []int
	Error     string // the first wrong answer
}

// loader is the client. It keeps its connections while jobs are for the same address.
type loader struct {
	addr     string
	conns    []*conn
	requests [][]byte
}

// do runs one job.
func (l *loader) do(j *job) *outcome {
	if len(j.Requests) > 0 {
		l.requests = nil
		for _, r := range j.Requests {
			l.requests = append(l.requests, []byte(r))
		}
	}
	if err := l.connect(j); err != nil {
		l.hangUp()
		return &outcome{Error: err.Error()}
	}
	start := time.Now()
	end := start.Add(time.Duration(j.Seconds * float64(time.Second)))
	wg := sync.WaitGroup{}
	for i, c := range l.conns {
		wg.Go(func() { c.run(l.requests, i*len(l.requests)/len(l.conns), end) })
	}
	wg.Wait()
	o := &outcome{Elapsed: time.Since(start).Seconds()}
	for _, c := range l.conns {
		o.Latencies = append(o.Latencies, c.latencies...)
		if c.err != nil {
			o.Error = c.err.Error()
		}
	}
	if o.Error != "" {
		l.hangUp()
	}
	return o
}

// connect opens the connections of a job, unless they are open.
func (l *loader) connect(j *job) error {
	if l.addr == j.Addr && len(l.conns) == j.Connections {
		return nil
	}
	l.hangUp()
	l.addr = j.Addr
	for range j.Connections {
		c, err := net.Dial("tcp", j.Addr)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, &conn{conn: c, in: bufio.NewReader(c)})
	}
	return nil
}

func (l *loader) hangUp() {
	for _, c := range l.conns {
		_ = c.conn.Close()
	}
	l.conns = nil
}

// conn is one connection of the client. It reads answers by hand, since the client shares the processors with the proxy.
type conn struct {
	conn      net.Conn
	in        *bufio.Reader
	latencies []int
	err       error
}

// run sends one request after the other until end, or a wrong answer.
func (c *conn) run(requests [][]byte, next int, end time.Time) {
	c.latencies, c.err = c.latencies[:0], nil
	for before := time.Now(); before.Before(end); {
		r := requests[next%len(requests)]
		next++
		if c.err = c.exchange(r); c.err != nil {
			line, _, _ := strings.Cut(string(r), "\r\n")
			c.err = fmt.Errorf("%s: %w", line, c.err)
			return
		}
		now := time.Now()
		c.latencies = append(c.latencies, int(now.Sub(before).Microseconds()))
		before = now
	}
}

// exchange sends a request and reads its answer, which must be the user server's.
func (c *conn) exchange(request []byte) error {
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	status, length, err := c.head()
	if err != nil {
		return err
	}
	body := io.LimitReader(c.in, int64(length))
	if length < 0 {
		body = httputil.NewChunkedReader(c.in)
	}
	text, err := io.ReadAll(body)
	if err == nil && length < 0 {
		_, err = c.in.ReadSlice('\n')
	}
	if err != nil {
		return err
	}
	if !strings.HasPrefix(status, "HTTP/1.1 200 ") || len(text) != bodySize {
		return fmt.Errorf("got %q and %d bytes: %.200s", strings.TrimSpace(status), len(text), text)
	}
	return nil
}

// head reads the status line and the headers. A length of -1 means chunks.
func (c *conn) head() (status string, length int, err error) {
	if status, err = c.in.ReadString('\n'); err != nil {
		return "", 0, err
	}
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return "", 0, err
		}
		if len(line) <= 2 {
			return status, length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return "", 0, err
			}
		}
	}
}
