package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/cli.md")

const (
	manualFile = "../../docs/cli.md"
	// manualMark is where the part of the manual begins that is made of the commands.
	manualMark = "<!-- `make generate` writes everything below. -->\n"
)

// TestManual keeps the verbs in docs/cli.md as they are. `make generate` runs it with -update.
func TestManual(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	head, old, found := strings.Cut(string(text), manualMark)
	if !found {
		t.Fatalf("%s has no line %q", manualFile, manualMark)
	}
	made := manual()
	if *update {
		if err := os.WriteFile(manualFile, []byte(head+manualMark+made), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if old != made {
		t.Errorf("%s is not what the commands say: run make generate", manualFile)
	}
}

// manual describes the commands that talk to a running hub.
func manual() string {
	var b bytes.Buffer
	for _, c := range verbs() {
		root := &cobra.Command{Use: "edgehub"}
		root.AddCommand(c)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", c.Name(), c.Long)
		if !c.HasSubCommands() {
			describe(&b, c)
		}
		for _, below := range c.Commands() {
			fmt.Fprintf(&b, "\n### %s %s\n\n%s\n", c.Name(), below.Name(), below.Long)
			describe(&b, below)
		}
	}
	return b.String()
}

func describe(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n    %s\n\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also `%s`.\n\n", strings.Join(c.Aliases, "`, `"))
	}
	flags := 0
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if common(f.Name) {
			return
		}
		if flags++; flags == 1 {
			b.WriteString("| Flag | Meaning |\n|---|---|\n")
		}
		value, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + value)
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(usage, "|", "\\|"))
	})
	if flags > 0 {
		b.WriteString("\n")
	}
	b.WriteString("```sh\n")
	for _, line := range strings.Split(c.Example, "\n") {
		b.WriteString(strings.TrimPrefix(line, "  ") + "\n")
	}
	b.WriteString("```\n")
}

// common are the flags that all verbs have. The manual describes them once.
func common(flag string) bool {
	return flag == "url" || flag == "token-file" || flag == "config" || flag == "json" || flag == "help"
}
