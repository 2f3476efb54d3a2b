package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// signIn is what `edgehub login` keeps of one hub, in a file of its own that only its owner can read.
type signIn struct {
	URL   string `json:"url"`
	User  string `json:"user"`
	Token string `json:"token"`
	// TokenID is set if the token was made for this login, and ends with it.
	TokenID string `json:"token_id,omitempty"`
}

// defaultURL is where `edgehub up` listens.
const defaultURL = "http://127.0.0.1:8000"

// loginDir is the folder of all logins: edgehub/logins in $XDG_CONFIG_HOME, or what the system has in its place.
func loginDir() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for a login: %w. Give a token with --token-file FILE", err)
	}
	return filepath.Join(dir, "edgehub", "logins"), nil
}

// loginFile is the file of a hub.
func loginFile(hubURL string) (string, error) {
	dir, err := loginDir()
	return filepath.Join(dir, url.QueryEscape(hubURL)+".json"), err
}

// findLogin reads the login at a hub. There may be none: its Token is empty then.
func findLogin(hubURL string) (signIn, error) {
	var l signIn
	file, err := loginFile(hubURL)
	if err != nil {
		return l, nil //nolint:nilerr // without such a place nobody has a login
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err != nil {
		return l, fmt.Errorf("cannot read the login: %w. Sign in again with 'edgehub login --url %s'", err, hubURL)
	}
	if l.URL != hubURL {
		return signIn{}, nil
	}
	return l, nil
}

// save keeps l, and makes its hub the one that commands talk to unless they are told another.
func (l signIn) save() error {
	file, err := loginFile(l.URL)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(l, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = writeSecret(file, append(data, '\n'))
	}
	if err == nil {
		err = writeSecret(currentFile(filepath.Dir(file)), []byte(l.URL+"\n"))
	}
	if err != nil {
		return fmt.Errorf("cannot keep the login: %w", err)
	}
	return nil
}

// forget removes l from this machine.
func (l signIn) forget() error {
	file, err := loginFile(l.URL)
	if err == nil {
		err = os.Remove(file)
	}
	if err == nil && currentHub() == l.URL {
		err = os.Remove(currentFile(filepath.Dir(file)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// currentFile names the hub of the last login.
func currentFile(dir string) string { return filepath.Join(filepath.Dir(dir), "current-hub") }

func currentHub() string {
	if dir, err := loginDir(); err == nil {
		if data, err := os.ReadFile(currentFile(dir)); err == nil {
			return strings.TrimSpace(string(data))
		}
	}
	return defaultURL
}

// writeSecret replaces a file as a whole, so that whoever reads it never sees half of it. Its mode is 0600 from the start.
func writeSecret(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}

// authenticate finds the token for c: that of a file, or else that of the login at its hub, which nobody else gets.
func (c *client) authenticate(file string) error {
	var err error
	if file != "" {
		c.token, err = secretFile(file, "API token")
		return err
	}
	l, err := findLogin(c.base)
	if err == nil && l.Token == "" {
		err = fmt.Errorf("no API token given. Name a file with one: --token-file FILE, or sign in with 'edgehub login --url %s'", c.base)
	}
	c.token, c.signedIn = l.Token, true
	return err
}
