package pages

import (
	"encoding/json"
	"net/http"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// maxReport is the largest report of a browser that is read, in bytes.
const maxReport = 16 << 10

// cspReport takes what browsers report about content that a page's policy refused; single-user servers name this address in
// theirs. Reports of people who are not signed in are refused. It needs no XSRF token, which browsers do not send with reports:
// all that a report does is one line in the log.
func (p *Pages) cspReport(w http.ResponseWriter, r *http.Request) error {
	c, err := p.caller(r)
	if err != nil {
		return err
	}
	if c == nil {
		return hub.Errorf(hub.Forbidden, "Sign in first.")
	}
	var body struct {
		Report struct {
			Document  string `json:"document-uri"`
			Directive string `json:"violated-directive"`
			Blocked   string `json:"blocked-uri"`
		} `json:"csp-report"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReport)).Decode(&body); err != nil {
		return hub.WithCause(hub.Errorf(hub.Invalid, "Invalid JSON in body of request"), err)
	}
	p.Metrics.Reported()
	p.Log.Info("a page's policy refused content", "user", c.User.Name, "page", hub.Clip(body.Report.Document),
		"directive", hub.Clip(body.Report.Directive), "content", hub.Clip(body.Report.Blocked), "request_id", web.RequestID(r))
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	return nil
}
