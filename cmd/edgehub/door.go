package main

import (
	"io"
	"log/slog"
	"net/http"
	"path/filepath"

	"github.com/edgehub/edgehub/controlplane/front"
)

// frontConfig is the configuration of the front door.
func (s *settings) frontConfig(etcd []string) *front.Config {
	return &front.Config{Etcd: etcd, Prefix: s.Prefix, PublicURL: s.PublicURL, BaseURL: s.BaseURL, StoppedStatus: s.StoppedStatus,
		UserDomain: s.UserDomain, APIHosts: s.APIHosts, QueryTokens: s.QueryTokens,
		ActivityInterval: s.ActivityInterval.String(),
		LogFields:        s.AccessLog != "", StatusPath: s.StatusPath, StatusTokenFile: s.StatusTokenFile}
}

// accessLog opens the embedded front door's access log, if it is to have one. The function closes it.
func (s *settings) accessLog(stderr io.Writer, log *slog.Logger) ([]func(http.Handler) http.Handler, func(), error) {
	if s.AccessLog == "" {
		return nil, func() {}, nil
	}
	out, err := front.OpenAccessLog(s.AccessLog, stderr)
	if err != nil {
		return nil, nil, err
	}
	return []func(http.Handler) http.Handler{front.AccessLog(out, log)}, func() { _ = out.Close() }, nil
}

// absolute makes the front door's files independent of the working directory.
func (s *settings) absolute() error {
	for _, file := range []*string{&s.AccessLog, &s.StatusTokenFile} {
		if *file == "" || *file == "-" {
			continue
		}
		path, err := filepath.Abs(*file)
		if err != nil {
			return err
		}
		*file = path
	}
	return nil
}
