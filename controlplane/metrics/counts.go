package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counts are the gauges of the whole hub. Each function reads etcd, at a cost that does not grow with the number of users
// more than counting keys does.
type Counts struct {
	Users    func(context.Context) (int, error)
	Active   func(ctx context.Context, since time.Time) (int, error)
	Running  func(context.Context) (int, error)
	Replicas func(context.Context) (int, error)
}

// How old the gauges of the whole hub may be. Times of activity are stored to five minutes.
const (
	countEvery  = 5 * time.Second
	activeEvery = time.Minute
	countTime   = 5 * time.Second
)

// periods are the values of the label period, as in JupyterHub.
var periods = [...]struct {
	name string
	long time.Duration
}{{"24h", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}, {"30d", 30 * 24 * time.Hour}}

// Count adds the gauges of the whole hub. While etcd is away they are missing.
func (m *Metrics) Count(c Counts) {
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	m.registry.MustRegister(
		&counted{every: countEvery, read: one(gauge("jupyterhub_total_users", "Users, in the whole hub."), c.Users)},
		&counted{every: countEvery, read: one(gauge("jupyterhub_running_servers", "Servers that run, in the whole hub."), c.Running)},
		&counted{every: countEvery, read: one(gauge("edgehub_replicas", "Replicas of the control plane that are alive."), c.Replicas)},
		&counted{every: activeEvery, read: active(gauge("jupyterhub_active_users", "Users who were active in the period, in the whole hub.", "period"), c.Active)},
	)
}

type reader func(context.Context) ([]prometheus.Metric, error)

func one(d *prometheus.Desc, count func(context.Context) (int, error)) reader {
	return func(ctx context.Context) ([]prometheus.Metric, error) {
		n, err := count(ctx)
		if err != nil {
			return nil, err
		}
		return []prometheus.Metric{prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n))}, nil
	}
}

func active(d *prometheus.Desc, count func(context.Context, time.Time) (int, error)) reader {
	return func(ctx context.Context) ([]prometheus.Metric, error) {
		var all []prometheus.Metric
		for _, p := range periods {
			n, err := count(ctx, time.Now().Add(-p.long))
			if err != nil {
				return nil, err
			}
			all = append(all, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), p.name))
		}
		return all, nil
	}
}

// counted keeps what was read for a while, also that it could not be, so that no number of scrapers is a load.
type counted struct {
	every time.Duration
	read  reader

	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric
}

// Describe says nothing: collectors that say nothing may have gaps.
func (c *counted) Describe(chan<- *prometheus.Desc) {}

// Collect gives the metrics, none while they cannot be read.
func (c *counted) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > c.every {
		ctx, cancel := context.WithTimeout(context.Background(), countTime)
		defer cancel()
		var err error
		c.last, err = c.read(ctx)
		if c.at = time.Now(); err != nil { // the errors of etcd are metrics of their own
			c.at = c.at.Add(countEvery - c.every)
		}
	}
	for _, metric := range c.last {
		to <- metric
	}
}
