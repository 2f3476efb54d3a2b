package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
)

// described is the router of the document.
var described = sync.OnceValues(func() (routers.Router, error) {
	doc, err := document((&API{}).described(), apiPrefix)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	loaded, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, err
	}
	for _, kind := range []string{"text/html", "text/event-stream"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.RegisteredBodyDecoder("text/plain"))
	}
	return legacy.NewRouter(loaded) // validates the document, too
})

// wantDescribed checks an answer against the document. Every answer in the tests of this package goes through it.
func (h *testHub) wantDescribed(r *http.Request, status int, header http.Header, body string) {
	h.t.Helper()
	router, err := described()
	if err != nil {
		h.t.Fatal(err)
	}
	req := r.Clone(r.Context())
	req.URL.Scheme, req.URL.Host, req.URL.RawPath = "", "", ""
	route, params, err := router.FindRoute(req)
	if err != nil || status == http.StatusNotFound && body == "404 page not found\n" {
		return // not a route, or a path that does not reach the API
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 status, Header: header, Options: &openapi3filter.Options{},
	}
	if route.Operation.Responses.Status(status) == nil && status < 400 {
		h.t.Errorf("%s %s = %d, which the document does not have", r.Method, r.URL.Path, status)
	}
	in.SetBodyBytes([]byte(body))
	if err := openapi3filter.ValidateResponse(r.Context(), in); err != nil {
		h.t.Errorf("%s %s = %d %s\ndoes not fit the document: %v", r.Method, r.URL.Path, status, body, err)
	}
}

func TestDocumentIsServed(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.do("GET", "/hub/api/openapi.json", "").want(http.StatusOK)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if !bytes.Contains([]byte(a.body), []byte(`"x-scopes":["list:users"]`)) {
		t.Error("the document does not name scopes")
	}
}

func TestDocumentAsPage(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.do("GET", "/hub/api/docs", "").want(http.StatusOK)
	if !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || strings.Contains(a.body, "<script") {
		t.Errorf("the page is %s", a.header.Get("Content-Type"))
	}
	for _, rt := range (&API{}).described() {
		_, pattern, _ := strings.Cut(rt.pattern, " ")
		if !strings.Contains(a.body, "<code>"+documentPath(pattern)+"</code>") {
			t.Errorf("the page does not show %s", rt.pattern)
		}
	}
	if n := strings.Count(a.body, "<code>/</code>"); n != 1 {
		t.Errorf("the page shows GET / %d times", n)
	}
}

func TestDocumentMissesNothing(t *testing.T) {
	t.Parallel()
	table := (&API{}).described()
	if _, err := document(append(table, route{"GET /hub/api/undescribed", []string{public}, nil}), apiPrefix); err == nil {
		t.Error("a route without a description is not noticed")
	}
	if _, err := document(table[:len(table)-1], apiPrefix); err == nil {
		t.Error("a description without a route is not noticed")
	}
}
