package edge

import (
	"fmt"
	"strings"
)

// host is what the client asks for. It is never looked up: the client dials each side's address.
const host = "hub.example.test"

// paths are what JupyterLab asks a user's server for again and again.
var paths = []string{
	"api/kernels?1764000000000", "api/contents/work/notebook.ipynb?content=0&1764000000000", "api/terminals",
	"lab/api/settings/@jupyterlab/apputils-extension:themes?1764000000000",
}

// browserHeaders are those that Chromium sends with a request of JupyterLab.
const browserHeaders = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept: */*\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cache-Control: no-store\r\n" +
	"Content-Type: application/json\r\n" +
	"Sec-Fetch-Dest: empty\r\n" +
	"Sec-Fetch-Mode: cors\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"X-XSRFToken: " + xsrf + "\r\n"

const xsrf = "2|3f1c9a7e|0d5e6b1f8a4c2d7e9b3f5a6c8d1e2f40|1764000000"

// request is a GET of a signed-in browser, as it goes over the wire.
func request(user, token, path string) string {
	prefix := "/user/" + user + "/"
	return fmt.Sprintf("GET %s%s HTTP/1.1\r\nHost: %s\r\nReferer: http://%s%slab/tree/work\r\n%sCookie: %s\r\n\r\n",
		prefix, path, host, host, prefix, browserHeaders, cookies(token))
}

// cookies are the edge token and two others: one that JupyterLab sets and one that some other page of the site has set.
func cookies(token string) string {
	return strings.Join([]string{"_xsrf=" + xsrf, "edgehub=" + token, "theme=dark"}, "; ")
}

// requests are those of all active users.
func (s *side) requests() ([]string, error) {
	all := make([]string, 0, s.w.opts.Users*len(paths))
	for _, path := range paths {
		for i := range s.w.opts.Users {
			user := s.user(i)
			token, err := s.w.token(user, "session-"+user)
			if err != nil {
				return nil, err
			}
			all = append(all, request(user, token, path))
		}
	}
	return all, nil
}
