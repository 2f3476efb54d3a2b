package edge

import (
	"fmt"
	"sync"
	"time"
)

// answerTime is how long the client waits for one answer.
const answerTime = 30 * time.Second

// job is one turn of the client: as many requests as Connections take in Seconds. Requests are remembered from job to job.
type job struct {
	Addr        string
	Seconds     float64
	Connections int
	Requests    []string `json:",omitempty"`
	// Sockets makes the connections WebSockets, each over one of Requests, and sends messages instead of requests.
	Sockets bool
}

// outcome is what the client has seen: how long each request took, in microseconds, in no order.
type outcome struct {
	Elapsed   float64 // seconds
	Latencies []int
	Failed    int    // connections that were given up at a wrong answer
	Error     string // one of those answers
}

// loader is the client. It keeps its connections while jobs are for the same address.
type loader struct {
	addr     string
	sockets  bool
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
		return &outcome{Error: err.Error(), Failed: 1}
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
			o.Failed++
		}
	}
	if o.Error != "" {
		l.hangUp()
	}
	return o
}

// connect opens the connections of a job, unless they are open.
func (l *loader) connect(j *job) error {
	if l.addr == j.Addr && l.sockets == j.Sockets && len(l.conns) == j.Connections {
		return nil
	}
	l.hangUp()
	l.addr, l.sockets = j.Addr, j.Sockets
	for i := range j.Connections {
		c, err := dial(j.Addr)
		if err != nil {
			return err
		}
		l.conns = append(l.conns, c)
		if j.Sockets {
			if err := c.upgrade(l.requests[i%len(l.requests)]); err != nil {
				return fmt.Errorf("socket %d: %w", i+1, err)
			}
		}
	}
	return nil
}

func (l *loader) hangUp() {
	for _, c := range l.conns {
		_ = c.conn.Close()
	}
	l.conns = nil
}
