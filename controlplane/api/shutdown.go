package api

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// shutdown ends the replica that answers, in the orderly way of SIGTERM: requests at the same time, this one too, get their
// answers, and other replicas go on. What it cannot do it refuses before anything happens.
func (a *API) shutdown(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	var body struct {
		Proxy   *bool `json:"proxy"`
		Servers *bool `json:"servers"`
	}
	if err := readKnown(w, r, &body, "proxy", "servers"); err != nil {
		return err
	}
	switch {
	case body.Proxy == nil || *body.Proxy == a.OwnDoor:
	case a.OwnDoor:
		return hub.Errorf(hub.Invalid, "proxy: the front door is a part of this process and ends with it. Leave proxy out, or make it true.")
	default:
		return hub.Errorf(hub.Invalid, "proxy: front doors are processes of their own, which the hub cannot end. Leave proxy out, or make it false.")
	}
	if err := web.JSON(w, http.StatusAccepted, map[string]string{"message": "Shutting down Hub"}); err != nil {
		return err
	}
	a.Shutdown(body.Servers)
	return nil
}
