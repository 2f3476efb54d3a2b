package main

import (
	"os"
	"strings"
	"testing"
)

// TestTheManualsRolesAreGood loads the example of docs/configuration.md.
func TestTheManualsRolesAreGood(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## Roles\n")
	_, section, _ = strings.Cut(section, "```yaml\n")
	example, _, ok := strings.Cut(section, "```")
	if !ok {
		t.Fatal("the section has no example")
	}
	var s settings
	if err := s.load(configFile(t, example)); err != nil {
		t.Fatal(err)
	}
	c := s.rights()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if len(c.Roles) != 1 || len(c.CustomScopes) != 2 || s.maxTokenLife() == 0 {
		t.Errorf("the example says %+v", c)
	}
}
