package pages

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// call does through the hub's API what a form asks for, in the visitor's name. So the checks, and the audit records, are the same
// for people and programs. body is sent as JSON, and the answer's goes into out unless that is nil. What the API refuses is an error
// with the API's status and message.
func (p *Pages) call(v visit, method, path string, body, out any) error {
	r, err := v.request(method, path, body)
	if err != nil {
		return err
	}
	a := &answer{header: http.Header{}}
	web.StrictPath(p.API).ServeHTTP(a, r)
	if a.status >= http.StatusMultipleChoices {
		var refusal struct{ Message string }
		_ = json.Unmarshal(a.body.Bytes(), &refusal) // without one the status says it
		return &web.StatusError{Code: a.status, Message: cmp.Or(refusal.Message, http.StatusText(a.status))}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body.Bytes(), out); err != nil {
		return fmt.Errorf("read the API's answer to %s %s: %w", method, hub.Clip(path), err)
	}
	return nil
}

// request is a call of the API as a script of the visitor's page would send it.
func (v visit) request(method, path string, body any) (*http.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(v.r.Context(), method, path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	r.Host, r.RemoteAddr, r.TLS = v.r.Host, v.r.RemoteAddr, v.r.TLS
	for _, name := range []string{"Cookie", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "X-Xsrftoken", "X-Csrftoken"} {
		if values := v.r.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	if token := v.r.FormValue("_xsrf"); token != "" {
		r.Header.Set("X-Xsrftoken", token)
	}
	r.Header.Set("Accept", "application/jupyterhub-pagination+json")
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is the answer's.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader keeps the first status.
func (a *answer) WriteHeader(status int) { a.status = cmp.Or(a.status, status) }

// Write keeps the body.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// self is the caller for a question of access.
func self(c *account.Caller) access.Resource {
	return access.Resource{User: string(c.User.Name), UserGroups: c.User.Groups}
}
