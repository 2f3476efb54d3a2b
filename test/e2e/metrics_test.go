package e2e

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// TestMetricsOfTwoReplicas scrapes both: they agree about the hub, and each tells what it has done itself. Here
// everybody may read them, JupyterHub's authenticate_prometheus: false; other tests have the scope.
func TestMetricsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	w := env.New(t, env.Options{Config: "authenticate_prometheus: false"})
	for _, name := range []string{"canary-a", "canary-b", "canary-c"} {
		w.AddUser(t, name)
	}
	w.StartServer(t, "canary-a")
	w.StartServer(t, "canary-b")
	w.StopServer(t, "canary-b")
	w.Login(t, "canary-a")
	if resp := w.Anonymous().Submit(t, "/hub/login", "/hub/login", url.Values{"username": {"canary-a"}, "password": {"wrong"}}); resp.Status != http.StatusForbidden {
		t.Fatal(resp)
	}
	_, other := w.AddHub(t)
	first := "http://" + w.HubAddr()
	for _, replica := range []string{first, other} {
		awaitMetrics(t, replica, "jupyterhub_total_users 3", "jupyterhub_running_servers 1", "edgehub_replicas 2",
			`jupyterhub_active_users{period="24h"} 1`, `jupyterhub_active_users{period="30d"} 1`,
			"edgehub_pending_servers 0", "edgehub_etcd_watch_lag_seconds 0", "jupyterhub_hub_startup_duration_seconds_count 1")
	}
	awaitMetrics(t, first, `jupyterhub_server_spawn_duration_seconds_count{reason="",status="success"} 2`,
		`jupyterhub_server_stop_seconds_count{status="success"} 1`, `jupyterhub_login_duration_seconds_count{status="success"} 1`,
		`jupyterhub_login_duration_seconds_count{status="failure"} 1`,
		`jupyterhub_request_duration_seconds_count{code="201",handler="/hub/api/users/{user}",method="POST"} 3`)
	awaitMetrics(t, other, `jupyterhub_server_spawn_duration_seconds_count{reason="",status="success"} 0`)
}

// awaitMetrics scrapes a replica until it has these lines: gauges may be some seconds old.
func awaitMetrics(t *testing.T, replica string, lines ...string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	env.Eventually(t, "the metrics of "+replica, 90*time.Second, func() error {
		text, err := textOf(client.Get(replica + "/hub/metrics"))
		if err != nil {
			return err
		}
		if strings.Contains(text, "canary") {
			t.Fatal("a name is in the metrics")
		}
		for _, line := range append(lines, "go_goroutines", "process_resident_memory_bytes", `edgehub_etcd_request_duration_seconds_count{code="OK",method="Txn"}`) {
			if !strings.Contains(text, "\n"+line) {
				return errors.New("no " + line)
			}
		}
		return nil
	})
}

func textOf(resp *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	return "\n" + string(text), err
}
