package edge

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// conn is one connection of the client. It reads answers by hand, since the client shares the processors with the proxy.
type conn struct {
	conn      net.Conn
	in        *bufio.Reader
	socket    bool
	latencies []int
	err       error
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &conn{conn: c, in: bufio.NewReaderSize(c, 2048)}, nil
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
	if c.socket {
		return c.echo()
	}
	status, text, err := c.fetch(request)
	if err == nil && (status != http.StatusOK || len(text) != bodySize) {
		return fmt.Errorf("got status %d and %d bytes: %.200s", status, len(text), text)
	}
	return err
}

// fetch sends a request and reads its answer.
func (c *conn) fetch(request []byte) (status int, text []byte, err error) {
	_ = c.conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	status, length, err := c.head()
	if err != nil {
		return 0, nil, err
	}
	body := io.LimitReader(c.in, int64(length))
	if length < 0 {
		body = httputil.NewChunkedReader(c.in)
	}
	text, err = io.ReadAll(body)
	if err == nil && length < 0 {
		_, err = c.in.ReadSlice('\n')
	}
	return status, text, err
}

// head reads the status line and the headers. A length of -1 means chunks.
func (c *conn) head() (status, length int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &status); err != nil {
		return 0, 0, fmt.Errorf("no answer of HTTP: %.100q", line)
	}
	length = -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		if len(line) <= 2 {
			return status, length, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if len(name) == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, 0, err
			}
		}
	}
}
