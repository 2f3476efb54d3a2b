package api

import (
	"fmt"
	"testing"
)

func TestShutdown(t *testing.T) {
	t.Parallel()
	for _, s := range []struct {
		ownDoor bool
		body    string
		status  int
		servers string // what the process is told of servers
	}{
		{false, ``, 202, "as configured"},
		{false, `{}`, 202, "as configured"},
		{false, `{"proxy":null,"servers":null}`, 202, "as configured"},
		{false, `{"servers":true}`, 202, "true"},
		{false, `{"servers":false,"proxy":false}`, 202, "false"},
		{false, `{"proxy":true,"servers":true}`, 400, ""},
		{true, `{"proxy":true,"servers":true}`, 202, "true"},
		{true, `{"proxy":false}`, 400, ""},
		{true, `{"proxy":"x"}`, 400, ""},
		{true, `{"servers":1}`, 400, ""},
		{true, `[]`, 400, ""},
		{true, `{`, 400, ""},
	} {
		var told string
		h := newHub(t, func(o *Options) {
			o.OwnDoor = s.ownDoor
			o.Shutdown = func(servers *bool) {
				if told = "as configured"; servers != nil {
					told = fmt.Sprint(*servers)
				}
			}
		})
		a := h.do("POST", "/hub/api/shutdown", s.body, as(h.token(h.user("root", true))))
		a.what += fmt.Sprintf(" with %s, own door %t", s.body, s.ownDoor)
		a.want(s.status)
		if s.status == 202 {
			a.wantJSON(202, `{"message":"Shutting down Hub"}`)
		}
		if told != s.servers {
			t.Errorf("%s: the process was told %q of servers, want %q", a.what, told, s.servers)
		}
	}
}
