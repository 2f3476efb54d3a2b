package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// MaxBody is the largest request body that a handler reads, in bytes.
const MaxBody = 1 << 20

// ReadJSON decodes the request body into v. An empty body leaves v alone. Anything but one JSON value in UTF-8 is an Invalid
// error.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		return unread(err)
	}
	return DecodeJSON(data, v)
}

// unread is the error of a body that could not be read: it is too large, or does not come as it was announced.
func unread(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return hub.WithCause(hub.Errorf(hub.Invalid, "The body cannot be read."), err)
}

// DecodeJSON is ReadJSON for a body that has been read.
func DecodeJSON(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if !utf8.Valid(data) { // what is no UTF-8 would be repaired in silence, and two names become one
		return hub.Errorf(hub.Invalid, "Invalid JSON in body of request: it is not UTF-8")
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		field := wrongType.Field
		if field == "" {
			field = "The body"
		}
		return hub.Errorf(hub.Invalid, "%s has the wrong type: got a JSON %s.", field, hub.Clip(wrongType.Value))
	}
	return hub.Errorf(hub.Invalid, "Invalid JSON in body of request")
}
