package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/services"
)

// exampleOf is the first YAML block below a heading of the manual.
func exampleOf(t *testing.T, heading string) string {
	t.Helper()
	manual, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## "+heading+"\n")
	_, block, _ := strings.Cut(section, "```yaml\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatalf("no example below %s", heading)
	}
	return block
}

func loadServices(t *testing.T, text string) ([]services.Spec, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hub.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settings{}
	if err := s.load(file); err != nil {
		return nil, err
	}
	var specs []services.Spec
	for i := range s.Services {
		spec, err := s.Services[i].spec()
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	return specs, services.CheckSpecs(specs)
}

func TestTheManualsServices(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	specs, err := loadServices(t, strings.Replace(exampleOf(t, "Services"), "grading-token", token, 1))
	if err != nil || len(specs) != 4 {
		t.Fatalf("%d services, %v", len(specs), err)
	}
	culler, dashboard, whoami, grading := specs[0], specs[1], specs[2], specs[3]
	if !culler.Managed() || len(culler.Scopes) != 4 || !culler.Display || culler.Timeout != serviceTimeout {
		t.Errorf("culler: %+v", culler)
	}
	if !dashboard.Protect || dashboard.Managed() || len(dashboard.Users) != 2 || dashboard.Groups[0] != "staff" {
		t.Errorf("dashboard: %+v", dashboard)
	}
	if whoami.Dir != "/srv/whoami" || whoami.Environment["COLOUR"] != "blue" || !whoami.NoConfirm || len(whoami.AllowedScopes) != 1 {
		t.Errorf("whoami: %+v", whoami)
	}
	if grading.Token != "0123456789abcdef" {
		t.Errorf("grading: %+v", grading)
	}
}

func TestBadServicesOfTheFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: a\n    comand: [x]":                             "field comand not found",
		"name: a\n    api_token: secret":                       "api_token_file",
		"name: a\n    oauth_roles: [x]":                        "oauth_client_allowed_scopes",
		"name: a\n    prefix: /x/":                             "always /services/NAME/",
		"name: a\n    managed: true":                           "the hub runs a service that has a command",
		"name: a\n    api_token_file: nowhere":                 "cannot read the token of service a",
		"name: A":                                              "Invalid service name",
		"url: http://h:1":                                      "Invalid service name",
		"name: bootstrap":                                      "Choose another name",
		"name: a\n    cwd: /x":                                 "has no command",
		"name: a\n    command: [x]\n    cwd: x":                "absolute path",
		"name: a\n    command: ['']":                           "empty word",
		"name: a\n    users: [alice]":                          "protect: true",
		"name: a\n    protect: true":                           "needs a url",
		"name: a\n    url: http://h:1/x":                       "without a path",
		"name: a\n    oauth_client_id: x":                      "service-",
		"name: a\n  - name: a":                                 "Two services",
		"name: a\n    oauth_client_id: service-b\n  - name: b": "same oauth_client_id",
	} {
		if _, err := loadServices(t, "services:\n  - "+text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
