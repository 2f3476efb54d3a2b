package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// openapiYAML describes what the routes take and give. What follows from the list of routes (path parameters, scopes, the
// error answer) is added by document, so that it cannot be wrong.
//
//go:embed openapi.yaml
var openapiYAML []byte

//go:embed openapi.html
var openapiHTML string

// The parts of an OpenAPI 3.0 document that this file looks into.
type (
	openapiDoc struct {
		OpenAPI    string                           `yaml:"openapi" json:"openapi"`
		Info       map[string]any                   `yaml:"info" json:"info"`
		Servers    []map[string]string              `yaml:"-" json:"servers"`
		Tags       []map[string]string              `yaml:"tags" json:"tags"`
		Paths      map[string]map[string]*operation `yaml:"paths" json:"paths"`
		Components map[string]map[string]any        `yaml:"components" json:"components"`
	}
	operation struct {
		ID          string                `yaml:"-" json:"operationId"`
		Tags        []string              `yaml:"tags" json:"tags"`
		Summary     string                `yaml:"summary" json:"summary"`
		Description string                `yaml:"description,omitempty" json:"description,omitempty"`
		Parameters  []map[string]any      `yaml:"parameters,omitempty" json:"parameters,omitempty"`
		RequestBody map[string]any        `yaml:"requestBody,omitempty" json:"requestBody,omitempty"`
		Responses   map[string]any        `yaml:"responses" json:"responses"`
		Security    []map[string][]string `yaml:"-" json:"security"`
		Scopes      []string              `yaml:"-" json:"x-scopes,omitempty"`
	}
)

const apiPrefix = "/hub/api"

// document is the API's OpenAPI document, made of the description and the routes. Each has to have the other.
func document(table []route, server string) (*openapiDoc, error) {
	doc := &openapiDoc{}
	if err := yaml.Unmarshal(openapiYAML, doc); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	doc.Info["version"] = hub.Version
	doc.Servers = []map[string]string{{"url": server}}
	known := map[*operation]bool{}
	for _, rt := range table {
		method, path, _ := strings.Cut(rt.pattern, " ")
		path = documentPath(path)
		op := doc.Paths[path][strings.ToLower(method)]
		if op == nil {
			return nil, fmt.Errorf("openapi.yaml does not describe %s %s", method, path)
		}
		if !known[op] { // the version has two routes
			op.complete(method, path, rt.scopes)
		}
		known[op] = true
	}
	for path, ops := range doc.Paths {
		for method, op := range ops {
			if !known[op] {
				return nil, fmt.Errorf("openapi.yaml describes %s %s, which is no route", strings.ToUpper(method), path)
			}
		}
	}
	return doc, nil
}

// documentPath is a route's path in the document: below the server's URL, and in OpenAPI's spelling.
func documentPath(pattern string) string {
	path := strings.TrimPrefix(strings.NewReplacer("...}", "}", "{$}", "").Replace(pattern), apiPrefix)
	if path == "" {
		return "/"
	}
	return path
}

var pathParameter = regexp.MustCompile(`\{(\w+)\}`)

// complete adds what follows from the route.
func (op *operation) complete(method, path string, scopes []string) {
	op.ID = strings.Trim(regexp.MustCompile(`\W+`).ReplaceAllString(strings.ToLower(method)+path, "_"), "_")
	if strings.HasSuffix(path, "/") && path != "/" {
		op.ID += "_default" // of the default server, whose name is empty
	}
	for _, name := range pathParameter.FindAllStringSubmatch(path, -1) {
		op.Parameters = append(op.Parameters, map[string]any{"$ref": "#/components/parameters/" + name[1]})
	}
	if op.Responses["default"] == nil {
		op.Responses["default"] = map[string]any{"$ref": "#/components/responses/Error"}
	}
	op.Security = []map[string][]string{}
	if scopes[0] != public {
		op.Scopes = scopes
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
}

// described are all routes below /hub/api: those of this package, and those of package oauth, which checks credentials itself.
func (a *API) described() []route {
	oauth := []string{"GET " + apiPrefix + "/oauth2/authorize", "POST " + apiPrefix + "/oauth2/authorize", "POST " + apiPrefix + "/oauth2/token"}
	all := a.table()
	for _, pattern := range oauth {
		all = append(all, route{pattern: pattern, scopes: []string{public}})
	}
	return all
}

// openapi answers with the document.
func (a *API) openapi(w http.ResponseWriter, _ *http.Request, _ *account.Caller) error {
	doc, err := document(a.described(), a.Base.Path(apiPrefix))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(doc)
}

// listed is one operation on the page.
type listed struct {
	Method, Path string
	*operation
}

// section is a tag with its operations, in the order of the routes.
type section struct {
	Name, Description string
	Operations        []listed
}

var docsPage = template.Must(template.New("openapi").Funcs(template.FuncMap{"indent": indented}).Parse(openapiHTML))

// docs answers with the document as a page for people. It has no script.
func (a *API) docs(w http.ResponseWriter, _ *http.Request, _ *account.Caller) error {
	table := a.described()
	doc, err := document(table, a.Base.Path(apiPrefix))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'")
	return docsPage.Execute(w, map[string]any{"Info": doc.Info, "Server": a.Base.Path(apiPrefix), "Sections": sections(doc, table), "Schemas": doc.Components["schemas"]})
}

func sections(doc *openapiDoc, table []route) []section {
	list := make([]section, len(doc.Tags))
	for i, tag := range doc.Tags {
		list[i] = section{Name: tag["name"], Description: tag["description"]}
	}
	shown := map[*operation]bool{}
	for _, rt := range table {
		method, path, _ := strings.Cut(rt.pattern, " ")
		op := doc.Paths[documentPath(path)][strings.ToLower(method)]
		if shown[op] { // the version has two routes
			continue
		}
		shown[op] = true
		i := slices.IndexFunc(list, func(s section) bool { return s.Name == op.Tags[0] })
		list[i].Operations = append(list[i].Operations, listed{Method: method, Path: documentPath(path), operation: op})
	}
	return list
}

// indented is JSON for people.
func indented(v any) (string, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return string(text), err
}
