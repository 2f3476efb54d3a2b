package main

import (
	"bufio"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// oneOrMore wants arguments; what names them, in the plural.
func oneOrMore(what string) cobra.PositionalArgs { return atLeast(1, what) }

func atLeast(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < n {
			return misused("name %s. Run '%s --help' for an example", what, cmd.CommandPath())
		}
		return nil
	}
}

// exactly wants n arguments; what names them.
func exactly(n int, what string) cobra.PositionalArgs { return between(n, n, what) }

func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return misused("name %s. Run '%s --help' for an example", what, cmd.CommandPath())
		}
		return nil
	}
}

// namesOf are a command's arguments; in place of "-" those in its input, one a line.
func namesOf(cmd *cobra.Command, args []string) ([]string, error) {
	var names []string
	for _, arg := range args {
		if arg != "-" {
			names = append(names, arg)
			continue
		}
		read, err := readLines(cmd.InOrStdin())
		if err != nil {
			return nil, err
		}
		names = append(names, read...)
	}
	if len(names) == 0 {
		return nil, misused("there are no names in the input")
	}
	return names, nil
}

func readLines(r io.Reader) ([]string, error) {
	var lines []string
	s := bufio.NewScanner(r)
	for s.Scan() {
		if line := strings.TrimSpace(s.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, s.Err()
}

// confirmed wants --yes for what cannot be undone; consequence is a sentence about it.
func confirmed(yes bool, consequence string) error {
	if !yes {
		return misused("%s. If you mean it, add --yes", consequence)
	}
	return nil
}

func yesFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("yes", false, "you mean it")
}

// when is a time of the API for people, in their own zone.
func when(s string) string {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return orDash(s)
	}
	return moment(&t)
}

// yesNo is a truth in a table.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}
