package metrics

import (
	"context"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// EtcdCalls measures the calls of an etcd client. What it keeps open, watches and leases, is not among them.
func (m *Metrics) EtcdCalls(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	start := time.Now()
	err := call(ctx, method, req, reply, conn, opts...)
	m.etcd.WithLabelValues(path.Base(method), status.Code(err).String()).Observe(time.Since(start).Seconds())
	return err
}

// Store is what a store counts.
type Store interface {
	// Conflicts is how often a transaction was not made because somebody else was faster, or because there was already, or not,
	// what it was about.
	Conflicts() int64
	// WatchLag is for how long this replica has been behind etcd with what it keeps near, zero if it is not.
	WatchLag() time.Duration
}

// WatchStore adds the metrics of the replica's store.
func (m *Metrics) WatchStore(s Store) {
	m.registry.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "edgehub_etcd_conflicts_total",
			Help: "Transactions whose conditions did not hold. They are tried again, or the client is told."},
			func() float64 { return float64(s.Conflicts()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "edgehub_etcd_watch_lag_seconds",
			Help: "For how long this replica's watch has been behind. Until it is up to date all reads ask etcd."},
			func() float64 { return s.WatchLag().Seconds() }),
	)
}

// WatchWork adds the gauge of servers that this replica is starting or stopping.
func (m *Metrics) WatchWork(pending func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "edgehub_pending_servers",
		Help: "Servers that this replica is starting or stopping."}, func() float64 { return float64(pending()) }))
}
