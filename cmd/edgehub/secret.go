package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// readPassword reads a password: from a file, or with "-" from the input.
func readPassword(cmd *cobra.Command, file, prompt string) (string, error) {
	if file == "-" {
		return ask(cmd, prompt)
	}
	return secretFile(file, "password")
}

// ask reads a secret from the terminal without showing it, or the first line of what is piped in.
func ask(cmd *cobra.Command, prompt string) (string, error) {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if line = strings.TrimSpace(line); line == "" {
			return "", errors.New("the input has no secret in its first line")
		}
		return line, nil
	}
	return askTerminal(cmd, int(f.Fd()), prompt)
}

// askTerminal gives the terminal its echo back, also when Ctrl-C ends the command.
func askTerminal(cmd *cobra.Command, fd int, prompt string) (string, error) {
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s: ", prompt)
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	typed := make(chan string, 1)
	failed := make(chan error, 1)
	go func() { // a read of a terminal cannot be cancelled: on Ctrl-C the process ends with it
		text, err := term.ReadPassword(fd)
		if err != nil {
			failed <- err
			return
		}
		typed <- string(text)
	}()
	defer func() { _, _ = fmt.Fprintln(cmd.ErrOrStderr()) }()
	select {
	case text := <-typed:
		if text == "" {
			return "", errors.New("nothing was typed")
		}
		return text, nil
	case err := <-failed:
		return "", err
	case <-cmd.Context().Done():
		_ = term.Restore(fd, before)
		return "", cmd.Context().Err()
	}
}
