package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// unchanged sets the ETag of what a GET is answered with, as JupyterHub does, and reports whether the client has just that.
func (w *statusWriter) unchanged(data []byte) bool {
	if w.request == nil || w.request.Method != http.MethodGet && w.request.Method != http.MethodHead {
		return false
	}
	sum := sha256.Sum256(data)
	tag := `"` + hex.EncodeToString(sum[:20]) + `"`
	w.Header().Set("ETag", tag)
	return matches(w.request.Header.Get("If-None-Match"), tag)
}

// matches reports whether an If-None-Match header names the tag.
func matches(header, tag string) bool {
	if header == "" {
		return false
	}
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" {
			return true
		}
	}
	return false
}
