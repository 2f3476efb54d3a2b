package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// readKnown is web.ReadJSON for bodies in which a misspelt key must not pass for a missing one. These are our own calls; in
// JupyterHub's, clients send keys that we do not know.
func readKnown(w http.ResponseWriter, r *http.Request, v any, keys ...string) error {
	var body map[string]json.RawMessage
	if err := web.ReadJSON(w, r, &body); err != nil {
		return err
	}
	for key := range body {
		if !slices.Contains(keys, key) {
			return hub.Errorf(hub.Invalid, "Unknown key '%s': known are [%s].", hub.Clip(key), strings.Join(keys, ", "))
		}
	}
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return web.ReadJSON(w, r, v)
}
