package api

import (
	"encoding/json"
	"net/http"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/web"
)

// maxOptions is how large user_options may be, in bytes. They are part of the server's record.
const maxOptions = 64 << 10

// object is a body, or a part of one, of which each key is read by itself.
type object map[string]json.RawMessage

// readSettings reads the body of a start or of a new server: display_name and user_options. The whole body is the options if it has
// none of these keys of JupyterHub 6 (its older and still most used form).
func readSettings(w http.ResponseWriter, r *http.Request) (spawn.Settings, error) {
	body, err := readObject(w, r)
	if err != nil || len(body) == 0 {
		return spawn.Settings{}, err
	}
	var settings spawn.Settings
	raw, named := body["display_name"]
	if named {
		if settings.DisplayName, err = displayName(raw); err != nil {
			return settings, err
		}
	}
	options, given := body["user_options"]
	if !given && !named {
		options, err = json.Marshal(body)
	}
	if err == nil {
		settings.Options, err = userOptions(options)
	}
	return settings, err
}

func readObject(w http.ResponseWriter, r *http.Request) (object, error) {
	var body object
	err := web.ReadJSON(w, r, &body)
	return body, err
}

// displayName reads a display name. An empty one counts as none.
func displayName(raw json.RawMessage) (string, error) {
	var name *string
	if json.Unmarshal(raw, &name) != nil || name == nil {
		return "", hub.Errorf(hub.Invalid, "display_name must be a string")
	}
	if *name == "" {
		return "", nil
	}
	return hub.ParseDisplayName(*name)
}

// userOptions reads user_options, nil for null or nothing.
func userOptions(raw json.RawMessage) (map[string]any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var options map[string]any
	if json.Unmarshal(raw, &options) != nil {
		return nil, hub.Errorf(hub.Invalid, "user_options must be an object")
	}
	if data, err := json.Marshal(options); err != nil || len(data) > maxOptions {
		return nil, hub.Errorf(hub.Invalid, "user_options are too large: at most %d KiB", maxOptions>>10)
	}
	return options, nil
}

// readRemove reads the body of a stop: whether the server shall be removed, too.
func readRemove(w http.ResponseWriter, r *http.Request) (bool, error) {
	var body struct {
		Remove json.RawMessage `json:"remove"`
	}
	if err := web.ReadJSON(w, r, &body); err != nil || len(body.Remove) == 0 {
		return false, err
	}
	var remove bool
	if json.Unmarshal(body.Remove, &remove) != nil {
		return false, hub.Errorf(hub.Invalid, "remove must be true or false")
	}
	return remove, nil
}
