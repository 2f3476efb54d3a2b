//go:build gc
// +build gc

// The second build line is for Yaegi 0.16.1: it reads only that form, knows no tag "gc", and so leaves this file out.

package routes

import (
	"embed"
	"strings"
)

//go:embed *.go
var source embed.FS

// Files returns the source files of this package by name, without tests, for writing a plugin folder of Traefik.
func Files() (map[string][]byte, error) {
	entries, err := source.ReadDir(".")
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, len(entries))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := source.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		files[e.Name()] = text
	}
	return files, nil
}
