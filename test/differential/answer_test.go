package differential

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// answer is what counts of an answer: "status", "location", "header NAME", "cookie NAME" and "body PATH" with their values.
type answer map[string]string

// ignored are headers that depend on the program and the connection, not on what was asked.
var ignored = map[string]bool{"Date": true, "Server": true, "Content-Length": true, "Connection": true, "Transfer-Encoding": true,
	"Set-Cookie": true, "Location": true}

// present are headers of which only the presence counts.
var present = map[string]bool{"Etag": true, "X-Request-Id": true, "Last-Modified": true, "Content-Security-Policy": true}

func newAnswer(resp *http.Response, body []byte) answer {
	a := answer{"status": fmt.Sprint(resp.StatusCode)}
	if to := resp.Header.Get("Location"); to != "" {
		a["location"] = plainURL(to)
	}
	for name, values := range resp.Header {
		switch {
		case ignored[name]:
		case present[name]:
			a["header "+name] = "yes"
		default:
			a["header "+name] = plainHeader(strings.Join(values, ", "))
		}
	}
	for _, c := range resp.Cookies() {
		a.cookie(c)
	}
	a.body(resp, body)
	return a
}

// cookie tells session cookies from XSRF tokens: names differ, because a session of edgehub is not JupyterHub's.
func (a answer) cookie(c *http.Cookie) {
	name := "session"
	if c.Name == "_xsrf" {
		name = "_xsrf"
	}
	if c.MaxAge < 0 || c.Value == "" {
		a["cookie "+name] = "deleted"
		return
	}
	a["cookie "+name] = "set"
}

func (a answer) body(resp *http.Response, body []byte) {
	contentType := resp.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(contentType, "text/event-stream"):
		a.events(string(body))
	case strings.HasPrefix(contentType, "text/html"):
		a["body"] = "html"
		if len(body) == 0 {
			a["body"] = "empty"
		}
		a.fields(body)
	case len(body) == 0:
		a["body"] = "empty"
	default:
		var v any
		if json.Unmarshal(body, &v) != nil {
			a["body"] = "text"
			return
		}
		if resp.StatusCode < 400 || !a.failure(v) {
			a.add("body ", v)
		}
	}
}

// texts are messages that programs look for. Of all others it is enough that there is one.
var texts = regexp.MustCompile(`is already running|is pending|already exist|No such user|No such group|No such service|` +
	`Invalid JSON in body of request|Missing or invalid credentials|Action is not authorized|No access to resources|` +
	`Must specify|Cannot delete|no longer running|Only admins|Unrecognized state|Invalid server_name|Invalid username`)

// failure reads the body of an error in JupyterHub's form: which fields it has, and of the message what programs look for.
func (a answer) failure(v any) bool {
	body, ok := v.(map[string]any)
	if message, has := body["message"]; !ok || !has {
		return false
	} else if text, ok := message.(string); !ok {
		a["message"] = "null"
	} else if a["message"] = texts.FindString(text); a["message"] == "" {
		a["message"] = "some text"
	}
	a["body"] = "error with " + strings.Join(slices.Sorted(maps.Keys(body)), " ")
	return true
}

var input = regexp.MustCompile(`<input[^>]*\sname="([^"]+)"`)

// fields are the names of a page's form fields.
func (a answer) fields(body []byte) {
	var names []string
	for _, m := range input.FindAllSubmatch(body, -1) {
		names = append(names, string(m[1]))
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 0 {
		a["fields"] = strings.Join(names, " ")
	}
}

// events are the first and the last event of a stream: how many there are between them is a matter of time.
func (a answer) events(stream string) {
	var all []any
	for line := range strings.Lines(stream) {
		var v any
		if data, ok := strings.CutPrefix(line, "data:"); ok && json.Unmarshal([]byte(data), &v) == nil {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		a["body"] = "no event"
		return
	}
	a.add("body first", all[0])
	a.add("body last", all[len(all)-1])
}

// add adds a JSON value and what it holds.
func (a answer) add(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			a[path] = "{}"
		}
		for key, below := range v {
			a.add(path+"."+plain(key), below)
		}
	case []any:
		if len(v) == 0 {
			a[path] = "[]"
		}
		if strings.HasSuffix(path, "scopes") || strings.HasSuffix(path, "roles") {
			a[path] = sorted(v)
			return
		}
		for i, below := range v {
			a.add(fmt.Sprintf("%s[%d]", path, i), below)
		}
	case string:
		a[path] = fmt.Sprintf("%q", plain(v))
	default:
		if a[path] = fmt.Sprint(v); strings.HasSuffix(path, ".state.pid") {
			a[path] = "PID"
		}
	}
}

// sorted is a list whose order means nothing.
func sorted(list []any) string {
	var all []string
	for _, v := range list {
		all = append(all, fmt.Sprint(v))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// varying are values that differ from run to run.
var varying = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`https?://127\.[0-9.]+:\d+`), "ORIGIN"},
	{regexp.MustCompile(`^/.*/python[0-9.]*$`), "PYTHON"},
	{regexp.MustCompile(`^3\.\d+\.\d+ .*`), "PYTHON_VERSION"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`\ba\d+\b`), "TOKEN_ID"},
	{regexp.MustCompile(`\bsc_\d+\b`), "CODE_ID"},
	{regexp.MustCompile(`[0-9A-Za-z_-]{43}`), "CODE"},
}

func plain(s string) string {
	for _, v := range varying {
		s = v.pattern.ReplaceAllString(s, v.text)
	}
	return s
}

func plainHeader(s string) string { return plain(strings.ToLower(s)) }

// plainURL is where a redirect leads, with the parameters in one order.
func plainURL(s string) string {
	u, err := url.Parse(plain(s))
	if err != nil {
		return plain(s)
	}
	u.RawQuery = u.Query().Encode()
	return strings.TrimPrefix(u.String(), "ORIGIN")
}
