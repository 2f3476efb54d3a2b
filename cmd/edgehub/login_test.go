package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane"
	"github.com/edgehub/edgehub/controlplane/login"
)

// TestTheManualsLoginProvidersAreGood loads the example of docs/configuration.md.
func TestTheManualsLoginProvidersAreGood(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Signing in\n")
	_, section, _ = strings.Cut(section, "```yaml\n")
	example, _, ok := strings.Cut(section, "```")
	if !ok {
		t.Fatal("the section has no example")
	}
	dir := t.TempDir()
	for _, name := range []string{"school", "guests"} {
		if err := os.WriteFile(filepath.Join(dir, name+".secret"), []byte("the secret of "+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var s settings
	if err := s.load(configFile(t, strings.ReplaceAll(example, "/etc/edgehub/", dir+"/"))); err != nil {
		t.Fatal(err)
	}
	var opts controlplane.Options
	if err := s.logins(&opts); err != nil {
		t.Fatal(err)
	}
	if err := login.Check(opts.Logins, s.PublicURL); err != nil {
		t.Fatal(err)
	}
	if len(opts.Logins) != 2 || !opts.NoPasswords || opts.Logins[1].ClientSecret != "the secret of guests" {
		t.Errorf("the example says %+v", opts)
	}
}

func TestMistakesInLoginProviders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, want string }{
		{"password_login: false", "Without passwords and without login providers nobody can sign in"},
		{"login: [{name: x, isuer: y}]", "field isuer not found"},
		{"login: [{name: x, issuer: https://op.test, client_id: c}]", "nobody may sign in with it; set allowed_users"},
		{"login: [{name: x, issuer: https://op.test, client_id: c, client_secret: s}]", "field client_secret not found"},
		{"login: [{name: x, issuer: https://op.test, client_id: c, allow_all: true, client_secret_file: /no/such}]", "cannot read the client secret of login provider x"},
	} {
		var out, errs bytes.Buffer
		args := []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--public-url", "http://hub.test", "--config", configFile(t, c.config)}
		code := run(t.Context(), args, &out, &errs)
		if code != 1 || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s: exit code %d, %q, want one line with %q", c.config, code, errs.String(), c.want)
		}
	}
}
