package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// readKnown is web.ReadJSON for bodies in which a misspelt key must not pass for a missing one.
func readKnown(w http.ResponseWriter, r *http.Request, v any, keys ...string) error {
	var data json.RawMessage
	if err := web.ReadJSON(w, r, &data); err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := web.DecodeJSON(data, &body); err != nil {
		return err
	}
	for key := range body {
		if !slices.Contains(keys, key) {
			return hub.Errorf(hub.Invalid, "Unknown key '%s': known are [%s].", hub.Clip(key), strings.Join(keys, ", "))
		}
	}
	return web.DecodeJSON(data, v)
}
