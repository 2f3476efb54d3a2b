package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/edgehub/edgehub/controlplane/login"
)

// settle runs one command line and returns the settings that it would run with.
func settle(t *testing.T, defaults settings, args ...string) (settings, error) {
	t.Helper()
	var got settings
	c := command(&cobra.Command{Use: "x", SilenceErrors: true, SilenceUsage: true}, defaults,
		[]string{"listen", "data", "etcd", "cleanup-servers"},
		func(_ *cobra.Command, s settings) error { got = s; return nil })
	c.SetArgs(args)
	return got, c.Execute()
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "edgehub.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	defaults := settings{Listen: "default", Data: "default", LogLevel: "warn", CleanupServers: true, Etcd: []string{"default"}}
	file := configFile(t, "listen: file\ndata: file\nlog_level: error\netcd: [http://file:1, http://file:2]\n")
	t.Setenv("EDGEHUB_DATA", "environment")
	t.Setenv("EDGEHUB_LISTEN", "environment")
	t.Setenv("EDGEHUB_CLEANUP_SERVERS", "false")
	got, err := settle(t, defaults, "--config", file, "--listen", "flag")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"listen: flag", got.Listen, "flag"},
		{"data: environment", got.Data, "environment"},
		{"log level: file", got.LogLevel, "error"},
		{"etcd: file", strings.Join(got.Etcd, ","), "http://file:1,http://file:2"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if got.CleanupServers {
		t.Error("EDGEHUB_CLEANUP_SERVERS=false was ignored")
	}
	if defaults.Etcd[0] != "default" {
		t.Error("the defaults were changed")
	}
}

func TestAListFlagReplacesTheDefault(t *testing.T) {
	t.Parallel()
	got, err := settle(t, settings{Etcd: []string{"default"}, LogLevel: "info"}, "--etcd", "http://a:1, http://b:2,")
	if want := []string{"http://a:1", "http://b:2"}; err != nil || !reflect.DeepEqual(got.Etcd, want) {
		t.Fatalf("got %q, %v, want %q", got.Etcd, err, want)
	}
}

func TestACorruptFileIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "listen: a\nlissten: b\n", "line 2: field lissten not found"},
		{"unknown key of the spawner", "spawner:\n  commando: [x]\n", "line 2: field commando not found"},
		{"wrong type", "listen: a\ncleanup_servers: perhaps\n", "line 2"},
		{"no YAML", "listen: [a\n", "line 1"},
		{"a duration without a unit", "spawner:\n  start_timeout: soon\n", "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := settle(t, settings{}, "--config", configFile(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "main.") {
				t.Errorf("names a Go type: %q", err)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func TestAnEmptyFileIsFine(t *testing.T) {
	t.Parallel()
	if _, err := settle(t, settings{}, "--config", configFile(t, "# nothing yet\n")); err != nil {
		t.Fatal(err)
	}
}

// TestEverySettingIsDocumented keeps docs/configuration.md complete.
func TestEverySettingIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range allCommands(rootCommand()) {
		if c.Hidden {
			continue
		}
		bench := strings.HasPrefix(c.CommandPath(), "edgehub bench") // its flags are in docs/performance.md
		verb := c.Flags().Lookup("json") != nil && !bench            // its flags are in docs/cli.md, which is made of them
		if c.Short == "" || c.Long == "" && !bench || c.Example == "" && !bench {
			t.Errorf("%s has no help or no example", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("flag --%s of %s has no help", f.Name, c.Name())
			}
			if f.Name != "help" && !bench && !verb && !bytes.Contains(text, []byte("`--"+f.Name+"`")) {
				t.Errorf("docs/configuration.md does not name flag --%s", f.Name)
			}
		})
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[settings](), reflect.TypeFor[spawnerSettings](), reflect.TypeFor[serviceSettings](), reflect.TypeFor[roleSettings](), reflect.TypeFor[login.Provider]()} {
		for _, f := range reflect.VisibleFields(typ) {
			key := f.Tag.Get("yaml")
			if key != "" && key != "-" && key != ",inline" && key != "spawner" && !bytes.Contains(text, []byte("`"+key+"`")) && !regexp.MustCompile(`(?m)^[ -]*`+key+":").Match(text) {
				t.Errorf("docs/configuration.md does not name key %s", key)
			}
		}
	}
}

// allCommands are those below c, at any depth.
func allCommands(c *cobra.Command) []*cobra.Command {
	all := c.Commands()
	for _, below := range c.Commands() {
		all = append(all, allCommands(below)...)
	}
	return all
}

func TestMistakesGetOneLineThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	tokenFile := configFile(t, "0123456789abcdef")
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{exitUsage, []string{"up", "--lissten", "x"}, "edgehub up --help"},
		{exitUsage, []string{"upp"}, "edgehub --help"},
		{exitUsage, []string{"up", "now"}, "edgehub up --help"},
		{exitFailed, []string{"hub"}, "--etcd http://HOST:2379"},
		{exitFailed, []string{"edge"}, "--etcd http://HOST:2379"},
		{exitFailed, []string{"edge", "--etcd", "http://127.0.0.1:1", "--stopped-status", "500"}, "Use 424, or 503"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--stopped-status", "404"}, "Use 424, or 503"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--hold-start", "6m"}, "5m0s at most"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--hold-start", "1500ms"}, "whole seconds"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--user-domain", "hub.example.org"}, "Set --public-url"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--public-url", "https://hub.example.org", "--user-domain", "example.org"}, "the hub's own host is not below"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--api-hosts", "10.0.0.7"}, "Set --public-url too"},
		{exitFailed, []string{"edge", "--etcd", "http://127.0.0.1:1", "--public-url", "https://hub.example.org", "--user-domain", "hub.example.org:443"}, "without a port"},
		{exitFailed, []string{"edge", "--etcd", "http://127.0.0.1:1", "--public-url", "https://hub.example.org", "--api-hosts", "http://10.0.0.7"}, "Write HOST or HOST:PORT"},
		{exitFailed, []string{"up", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--config", configFile(t, "service_check_interval: 10ms\n")}, "for example 60s"},
		{exitFailed, []string{"up", "--activity-interval", "1ms"}, "--activity-interval 60s"},
		{exitFailed, []string{"edge", "--etcd", "http://127.0.0.1:1", "--activity-interval", "-1s"}, "--activity-interval 60s"},
		{exitFailed, []string{"up", "--log-level", "loud"}, "debug, info, warn or error"},
		{exitFailed, []string{"up", "--config", "/no/such/file"}, "cannot read the configuration"},
		{exitUsage, []string{"key", "rotat"}, "edgehub key --help"},
		{exitFailed, []string{"key", "list"}, "--token-file FILE"},
		{exitFailed, []string{"key", "list", "--token-file", "/no/such/file"}, "cannot read the API token"},
		{exitUsage, []string{"route", "get"}, "name one prefix, such as /dashboard/"},
		{exitFailed, []string{"route", "list", "--url", "hub.example.org"}, "Write --url https://HOST"},
		{exitFailed, []string{"route", "list", "--url", "http://127.0.0.1:1", "--token-file", tokenFile}, "cannot reach the hub at http://127.0.0.1:1: connect: connection refused. Start it"},
		{exitUsage, []string{"key", "rotate", "--emergency", "--token-file", tokenFile}, "add --yes"},
		{exitUsage, []string{"user", "list", "--limit", "-1", "--token-file", tokenFile}, "or 0 for all"},
		{exitUsage, []string{"user", "get", "a", "b"}, "name one user"},
		{exitUsage, []string{"user", "create"}, "name the users to create"},
		{exitUsage, []string{"user", "create", "a", "b", "--password-file", tokenFile, "--token-file", tokenFile}, "one new user"},
		{exitUsage, []string{"user", "set", "alice", "--token-file", tokenFile}, "say what to change"},
		{exitUsage, []string{"user", "set", "alice", "--admin", "--no-admin", "--token-file", tokenFile}, "not both"},
		{exitUsage, []string{"user", "delete", "alice", "--token-file", tokenFile}, "add --yes"},
		{exitFailed, []string{"user", "set", "alice", "--password-file", "/no/such/file", "--token-file", tokenFile}, "cannot read the password"},
		{exitUsage, []string{"token", "create", "--expires-in", "soon"}, "such as 12h or 30d"},
		{exitUsage, []string{"token", "create", "--expires-in", "-3d"}, "such as 12h or 30d"},
		{exitUsage, []string{"server", "start", "alice", "--option", "x", "--token-file", tokenFile}, "is not KEY=VALUE"},
		{exitFailed, []string{"server", "start", "alice", "--options-file", tokenFile, "--token-file", tokenFile}, "not a JSON object"},
		{exitUsage, []string{"server", "stop"}, "name the servers to stop"},
		{exitUsage, []string{"group", "add", "staff"}, "name a group and users"},
		{exitUsage, []string{"group", "set", "staff", "--token-file", tokenFile}, "say what to change"},
		{exitUsage, []string{"role", "set", "tutor", "--token-file", tokenFile}, "say what to change"},
		{exitUsage, []string{"role", "add", "tutor", "--token-file", tokenFile}, "say whom"},
		{exitUsage, []string{"session", "end", "--token-file", tokenFile}, "or give --all"},
		{exitFailed, []string{"logout", "--url", "http://127.0.0.1:1"}, "you are not signed in"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), c.args, &out, &errs)
		if code != c.code || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), c.want) {
			t.Errorf("edgehub %q: exit code %d, stderr %q, want %d and one line with %q", c.args, code, errs.String(), c.code, c.want)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{"up ", "hub ", "edge ", "route ", "key ", "Examples:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not show %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "spawn-exec") {
		t.Error("--help shows the shim, which is not for people")
	}
}

func TestSecretFileTakesTheFirstLine(t *testing.T) {
	t.Parallel()
	if got, err := secretFile(configFile(t, "0123456789abcdef\n"), "token"); err != nil || got != "0123456789abcdef" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := secretFile(configFile(t, "short\n"), "token"); err == nil {
		t.Error("a token of five characters was accepted")
	}
}
