package main

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// auditRecord is what tables show of a record of the audit log as the API has it.
type auditRecord struct {
	Time    string `json:"time"`
	Actor   string `json:"actor"`
	Kind    string `json:"kind"`
	Action  string `json:"action"`
	Path    string `json:"path"`
	Status  int    `json:"status"`
	Address string `json:"address"`
}

// who is who did it.
func (r auditRecord) who() string {
	if r.Kind == "service" {
		return "service " + r.Actor
	}
	return orDash(r.Actor)
}

// what is what they did: the method of a call with its path, or "sign in".
func (r auditRecord) what() string {
	method, _, call := strings.Cut(r.Action, " /")
	if !call {
		return r.Action
	}
	return method + " " + r.Path
}

var auditColumns = []column[auditRecord]{
	{"TIME", func(r auditRecord) string { return when(r.Time) }},
	{"WHO", auditRecord.who},
	{"STATUS", func(r auditRecord) string { return strconv.Itoa(r.Status) }},
	{"FROM", func(r auditRecord) string { return orDash(r.Address) }},
	{"WHAT", auditRecord.what},
}

// maxAuditPage is how many records a page of the log has at most, usualAudit how many are shown unless one asks for more.
const (
	maxAuditPage = 1000
	usualAudit   = 100
)

func auditCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "audit", Short: "Show who did what",
		Long: `Show the audit log, the newest first: who changed what by the API, and who signed in and out, for the last 30 days. What was
refused is only in the hub's own log file (--audit-log). It takes an administrator's token.`,
		Example: "  edgehub audit\n  edgehub audit --limit 0 --json | jq -r '.[] | select(.actor == \"alice\")'",
	}
	limit := c.Flags().Int("limit", usualAudit, "at most `N` records; 0 for all")
	before := c.Flags().String("before", "", "only what is older than the record of this `ID`, as --json shows it")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		if *limit < 0 {
			return misused("--limit is the number of records to show at most, or 0 for all")
		}
		return printList(out, api.auditLog(cmd.Context(), *before, *limit), auditColumns...)
	})
}

// auditLog visits the pages of the log, limit records of it, or all if limit is 0.
func (c *client) auditLog(ctx context.Context, before string, limit int) iter.Seq2[[]json.RawMessage, error] {
	return func(yield func([]json.RawMessage, error) bool) {
		for left := limit; ; {
			size := maxAuditPage
			if limit > 0 {
				size = min(left, maxAuditPage)
			}
			var p struct {
				Items []json.RawMessage `json:"items"`
				Next  string            `json:"next"`
			}
			query := url.Values{"limit": {strconv.Itoa(size)}}
			if before != "" {
				query.Set("before", before)
			}
			if err := c.call(ctx, http.MethodGet, "/audit?"+query.Encode(), nil, &p); err != nil {
				yield(nil, err)
				return
			}
			left -= len(p.Items)
			if !yield(p.Items, nil) || p.Next == "" || p.Next == before || limit > 0 && left <= 0 {
				return
			}
			before = p.Next
		}
	}
}
