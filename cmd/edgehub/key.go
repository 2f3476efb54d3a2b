package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// key is a signing key as the API shows it.
type key struct {
	ID    string     `json:"id"`
	State string     `json:"state"`
	From  *time.Time `json:"active_from"`
	Until *time.Time `json:"accepted_until"`
}

func keyCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "key",
		Short: "Show and replace the keys that sign edge tokens",
		Long: `Show and replace the keys with which a running hub signs edge tokens, by which front doors know visitors.
The hub replaces them by itself (--rotate-keys-every); these commands are for when you want it now.`,
		Example: "  edgehub key list --token-file token\n  edgehub key rotate --token-file token",
	}, keyListCommand(), keyRotateCommand())
}

func keyListCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use:   "list",
		Short: "List the signing keys",
		Long: `List the signing keys. One is active: it signs. A key that is next waits until every front door has it. A key that is
retiring signs nothing any more and is accepted until its last token has ended.`,
		Example: "  edgehub key list --url https://hub.example.org --token-file token",
	}, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		keys := []key{}
		if err := api.call(cmd.Context(), http.MethodGet, "/keys", nil, &keys); err != nil {
			return err
		}
		return out.value(keys, func() error { return out.keys(keys) })
	})
}

func (o output) keys(keys []key) error {
	rows := [][]string{}
	for _, k := range keys {
		rows = append(rows, []string{k.ID, k.State, moment(k.From), moment(k.Until)})
	}
	return o.table([]string{"KEY", "STATE", "SIGNS FROM", "ACCEPTED UNTIL"}, rows)
}

func keyRotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the signing key",
		Long: `Publish a new signing key. It comes into use ten minutes later, when every front door has it, and the old one is
accepted until its last token has ended: nobody notices.

With --emergency, for a key that may have leaked: all keys are withdrawn at once, everybody is signed out and everything
that is open is cut. Running servers go on, and API tokens stay good; delete those that may have leaked too.`,
		Example: "  edgehub key rotate --token-file token\n  edgehub key rotate --emergency --yes --token-file token",
	}
	emergency := c.Flags().Bool("emergency", false, "withdraw all keys at once: everybody is signed out")
	yes := c.Flags().Bool("yes", false, "you mean it; --emergency needs it")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		if *emergency && !*yes {
			return misused("this signs everybody out and cuts what they have open. If you mean it, add --yes")
		}
		keys, err := rotate(cmd.Context(), api, *emergency)
		if err != nil {
			return err
		}
		return out.value(keys, func() error { return out.rotated(keys, *emergency) })
	})
}

func rotate(ctx context.Context, api *client, emergency bool) ([]key, error) {
	keys := []key{}
	err := api.call(ctx, http.MethodPost, "/keys/rotate", map[string]bool{"emergency": emergency}, &keys)
	if err == nil && len(keys) == 0 {
		err = errors.New("the hub names no key. Look at its log")
	}
	return keys, err
}

func (o output) rotated(keys []key, emergency bool) error {
	newest := keys[len(keys)-1]
	if emergency {
		return o.say("All old keys are withdrawn. Everybody has to sign in again. The new key is %s.", newest.ID)
	}
	return o.say("Key %s is published. It signs from %s on; until then everything stays as it is.", newest.ID, moment(newest.From))
}
