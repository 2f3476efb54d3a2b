package main

import (
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/controlplane"
	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/routes"
)

func edgeCommand() *cobra.Command {
	defaults := settings{Listen: "127.0.0.1:8000", Prefix: routes.DefaultPrefix, BaseURL: "/", StoppedStatus: http.StatusFailedDependency,
		ActivityInterval: time.Minute, LogLevel: "info"}
	return command(&cobra.Command{
		Use:   "edge",
		Short: "Run the front door alone against an etcd",
		Long: `Run the front door that "edgehub up" has built in as a process of its own: the same code as the Traefik
plugin, compiled. It reads routes, keys and revocations from etcd and finds the hubs there.`,
		Example: "  edgehub edge --etcd http://127.0.0.1:2379 --listen 0.0.0.0:8000",
	}, defaults, []string{"etcd", "prefix", "listen", "public-url", "base-url", "user-domain", "api-hosts", "query-tokens", "stopped-status",
		"activity-interval", "access-log", "status-path", "status-token-file"}, func(cmd *cobra.Command, s settings) error {
		log, err := s.logger(cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		// The plugin itself never refuses to start: it would answer every request with 503.
		if err := controlplane.CheckEtcd(s.Etcd); err != nil {
			return err
		}
		if err := controlplane.CheckPublicURL(s.PublicURL); err != nil {
			return err
		}
		if err := s.normaliseBase(); err != nil {
			return err
		}
		if err := controlplane.CheckUserDomain(s.PublicURL, s.UserDomain); err != nil {
			return err
		}
		if err := front.CheckAPIHosts(s.PublicURL, s.APIHosts); err != nil {
			return err
		}
		if err := front.CheckStoppedStatus(s.StoppedStatus); err != nil {
			return err
		}
		if err := s.checkActivityInterval(); err != nil {
			return err
		}
		cfg := s.frontConfig(s.Etcd)
		if err := front.Check(cfg); err != nil {
			return err
		}
		around, done, err := s.accessLog(cmd.ErrOrStderr(), log)
		if err != nil {
			return err
		}
		defer done()
		l, err := listen(s.Listen)
		if err != nil {
			return err
		}
		log.Info("front door is open", "listen", l.Addr().String())
		return front.Embedded(cmd.Context(), l, cfg, log, around...)
	})
}
