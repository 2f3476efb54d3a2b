package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// The window of JupyterHub's lists: how many items there are in a page.
const (
	pageDefault = 50
	pageMax     = 200
	pageType    = "application/jupyterhub-pagination+json"
)

// span is the part of a list that a request asks for.
type span struct {
	account.Window
	// paged says that the client accepts JupyterHub's envelope. Without it the answer is the bare list.
	paged bool
}

// readSpan reads JupyterHub's offset and limit, and our cursor.
func readSpan(r *http.Request) (span, error) {
	offset, limit, paged, err := window(r)
	return span{account.Window{Offset: offset, Limit: limit, Cursor: r.URL.Query().Get("cursor")}, paged}, err
}

// window reads offset and limit. paged says that the client accepts JupyterHub's envelope.
func window(r *http.Request) (offset, limit int, paged bool, err error) {
	for _, accept := range strings.Split(r.Header.Get("Accept"), ",") {
		paged = paged || strings.EqualFold(strings.TrimSpace(accept), pageType)
	}
	limit = pageMax
	if paged {
		limit = pageDefault
	}
	q := r.URL.Query()
	for name, value := range map[string]*int{"offset": &offset, "limit": &limit} {
		if !q.Has(name) {
			continue
		}
		n, err := strconv.Atoi(q.Get(name))
		if err != nil {
			return 0, 0, false, hub.Errorf(hub.Invalid, "Invalid argument type, offset and limit must be integers")
		}
		*value = min(max(n, -n, 0), math.MaxInt32) // no more users than that, and no overflow
	}
	return offset, min(max(limit, 1), pageMax), paged, nil
}

// writePage answers with one page of a list: bare, or in JupyterHub's envelope. Both name the next page in the header Link.
// The address of the next page has a cursor: whoever follows it visits everything once, also while others delete, and no page
// costs more than the first.
func writePage[T any](w http.ResponseWriter, r *http.Request, sp span, items []T, total int, cursor string) error {
	info := map[string]any{"offset": sp.Offset, "limit": sp.Limit, "total": total, "next": nil}
	if cursor != "" {
		next := nextPage(r, sp.Offset+sp.Limit, sp.Limit, cursor)
		info["next"] = next
		w.Header().Set("Link", fmt.Sprintf("<%s>; rel=\"next\"", next["url"]))
	}
	if !sp.paged {
		return web.JSON(w, http.StatusOK, items)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"items": items, "_pagination": info})
}

// pageInfo is the envelope's _pagination of a list without cursors.
func pageInfo(r *http.Request, offset, limit, total int) map[string]any {
	info := map[string]any{"offset": offset, "limit": limit, "total": total, "next": nil}
	if offset+limit < total {
		info["next"] = nextPage(r, offset+limit, limit, "")
	}
	return info
}

// nextPage is the envelope's next, whose url clients follow as it is.
func nextPage(r *http.Request, offset, limit int, cursor string) map[string]any {
	q := r.URL.Query()
	q.Set("offset", strconv.Itoa(offset))
	q.Set("limit", strconv.Itoa(limit))
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	scheme := "http"
	if web.Secure(r) {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s%s?%s", scheme, r.Host, web.Base(r).Path(r.URL.Path), q.Encode())
	return map[string]any{"offset": offset, "limit": limit, "url": url}
}
