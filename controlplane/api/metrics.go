package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
)

// MetricsPage is the route of the metrics outside the API, where JupyterHub has them too.
const MetricsPage = "GET /hub/metrics"

// metricsScopes are what opens the metrics.
func (a *API) metricsScopes() []string {
	if a.OpenMetrics {
		return []string{public}
	}
	return []string{"read:metrics"}
}

func (a *API) metrics(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	a.Metrics.ServeHTTP(w, r)
	return nil
}
