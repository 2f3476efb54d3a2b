package edge

import (
	"context"
	"fmt"
	"slices"
)

// findPrograms finds the programs of others. Only configurable-http-proxy may be missing, unless it was asked for.
func (o *Options) findPrograms(ctx context.Context) (err error) {
	if o.wants(Plain) || o.wants(ForwardAuth) || o.wants(Plugin) || slices.Contains(o.Sides, EtcdProvider) {
		if o.Traefik, err = findTraefik(o.Traefik); err != nil {
			return err
		}
	}
	if !o.wants(CHP) {
		return nil
	}
	o.chp, err = o.findCHP(ctx)
	if err == nil {
		return nil
	}
	if len(o.Sides) > 0 || ctx.Err() != nil {
		return fmt.Errorf("no configurable-http-proxy: %w. Leave chp out of --sides", err)
	}
	o.say("left out: chp (%s)", err)
	return nil
}
