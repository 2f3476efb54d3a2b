package api

import (
	"bytes"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// readFields is readKnown for bodies whose text is stored: it must be UTF-8, which Go's decoder would silently repair.
func readFields(w http.ResponseWriter, r *http.Request, v any, keys ...string) error {
	if err := mustBeText(w, r); err != nil {
		return err
	}
	return readKnown(w, r, v, keys...)
}

// mustBeText refuses a body that is not UTF-8, and leaves it to be read.
func mustBeText(w http.ResponseWriter, r *http.Request) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, web.MaxBody))
	if err != nil {
		return err
	}
	if !utf8.Valid(data) {
		return hub.Errorf(hub.Invalid, "The body is not UTF-8.")
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}
