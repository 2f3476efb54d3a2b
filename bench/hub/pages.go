package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// pageType makes answers pages.
const pageType = "application/jupyterhub-pagination+json"

// pageUsers is how many users a page has.
const pageUsers = 100

func paged(r request) request {
	r.header = http.Header{"Accept": {pageType}}
	return r
}

func isPage(body []byte) bool { return bytes.Contains(body, []byte(`"_pagination"`)) }

// pages are the addresses of the first and the last full page of 100 users. Where the next page has a cursor, one has to walk to
// the last; else its offset is known.
func pages(ctx context.Context, s *side, users int) (first, last string, err error) {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	first = fmt.Sprintf("/hub/api/users?limit=%d", pageUsers)
	last = first
	for full := first; ; {
		body, err := s.ask(ctx, client, http.MethodGet, last, "", http.StatusOK)
		if err != nil {
			return "", "", err
		}
		var page struct {
			Items      []json.RawMessage `json:"items"`
			Pagination struct {
				Next *struct {
					URL string `json:"url"`
				} `json:"next"`
			} `json:"_pagination"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return "", "", err
		}
		if len(page.Items) == pageUsers {
			full = last
		}
		if page.Pagination.Next == nil {
			return first, full, nil
		}
		next, err := url.Parse(page.Pagination.Next.URL)
		if err != nil {
			return "", "", err
		}
		if !next.Query().Has("cursor") {
			return first, fmt.Sprintf("%s&offset=%d", first, users-pageUsers), nil
		}
		last = next.RequestURI()
	}
}
