package plugin

import (
	"encoding/json"
	"html"
	"net/http"
	"strconv"
)

// The edge's own answers. None of them repeats anything of the request.

// ownHeaders are on every answer that the edge itself gives.
func ownHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
}

// problem is the body of an error, in the form of the hub's own.
type problem struct {
	Status  int    `json:"status"`
	Message string `json:"message"`
	Kind    string `json:"kind"`
}

func problemBody(status int, kind, message string) problem {
	return problem{Status: status, Message: message, Kind: kind}
}

// answer gives an error as a page to people and as JSON to programs.
func answer(s *shared, w http.ResponseWriter, r *http.Request, status int, kind, message string) {
	noteOwn(r, status, kind)
	if !wantsHTML(r) {
		answerJSON(w, status, problemBody(status, kind, message))
		return
	}
	ownHeaders(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(page(hubHome(s), status, message))) // a visitor who has left needs no error
	}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	ownHeaders(w.Header())
	w.Header().Set("Content-Type", "application/json")
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"status":500}`)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// answerAmbiguous refuses a request of which nobody can tell who sent it.
func answerAmbiguous(s *shared, w http.ResponseWriter, r *http.Request) {
	answer(s, w, r, http.StatusBadRequest, "invalid", "The request carries more than one credential of the same kind. Deleting this site's cookies helps.")
}

// notReady answers while the edge cannot decide anything.
func notReady(s *shared, w http.ResponseWriter, r *http.Request, why string) {
	noted(r, decidedError, "not_ready")
	w.Header().Set("Retry-After", "1")
	answer(s, w, r, http.StatusServiceUnavailable, "unavailable", "edgehub edge is not ready: "+why)
}

// hubHome is where a page of the edge leads to. s is nil for an edge whose options are wrong.
func hubHome(s *shared) string {
	if s == nil {
		return "/hub/home"
	}
	return s.set.base.Path("/hub/home")
}

func page(home string, status int, message string) string {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>` + html.EscapeString(title) + `</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em;color:#222;background:#fff}
h1{font-size:1.3em}a{color:#0b57d0}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8ab4f8}}</style>
</head><body><main><h1>` + html.EscapeString(title) + `</h1>
<p>` + html.EscapeString(message) + `</p>
<p><a href="` + html.EscapeString(home) + `">Go to the hub</a></p></main></body></html>
`
}
