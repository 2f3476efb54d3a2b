package e2e

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

var update = flag.Bool("update", false, "write the answers of TestPaths to testdata")

// targets are the request targets of reliability.md, part 0.2, and threats T1 to T16: every way we know to name one server
// and mean another. A line of its own is "METHOD TARGET VERSION" where it is not a GET with HTTP/1.1.
var targets = []string{
	// What is meant to work.
	"/user/alice/", "/user/bob/", "/user/al/", "/user/alice/a/b?c=d", "/user/alice", "/user/bob?x=/user/alice/",
	// Dot segments: T1, T2, T3.
	"/user/alice/../bob/", "/user/bob/../alice/", "/user/alice/%2e%2e/bob/", "/user/alice/.%2e/bob/", "/user/alice/%2E./bob/",
	"/user/alice/./x", "/user/alice/..", "/user/alice/../../hub/admin", "/user/alice/../../hub/api/users", "/user/%2e%2e/hub/api", "/user/../hub/api/users",
	"/user/alice/..%2fbob/", "/user/bob/..%2falice/", "/user/alice/%2e%2e%2fbob", "/user/alice/x/..%2f..%2fbob/x", "/user/alice/a%2f..%2f..%2fbob/",
	"/user/..%2fuser/alice/", "/hub/..%2fuser/alice/", "/hub/../user/alice/", "/user/alice/..%2f..%2fhub%2fapi%2fusers", "/../user/alice/", "/./user/alice/",
	// Encoded separators: T4.
	"/user%2falice/", "/user%2Falice/x", "/user/alice%2fx", "/%2fuser/alice/", "/%2Fuser%2Falice%2F", "/user/alice%2f..%2fbob/", "/hub%2fapi/users",
	// Encoded twice and three times: T5.
	"/user/alice/%252e%252e/bob/", "/user/alice/..%252fbob/", "/user%252falice/", "/user/%2561lice/", "/user/alice/%25252e%25252e/bob/", "/user/bob%25/",
	// Empty segments: T6.
	"//user/alice/", "/user//alice/", "/user/alice//x", "///user///alice///", "//bob/user/alice/", "/user/bob//user/alice/", "//evil.test/user/alice/", "/user/", "/user", "/",
	// Backslashes: T7.
	`/user/alice/..\bob/`, `/user/bob/..\alice/`, "/user/alice/..%5cbob/", `/user\alice/`, "/user%5calice/", `\user\alice\`, "/user/alice%5c..%5cbob/",
	// Semicolons: T9.
	"/user/alice/;/../../bob/", "/user/bob/;/../../alice/", "/user/alice/..;/bob/", "/user/alice;x=1/", "/user/alice;/x", "/user;x/alice/", "/user/;alice/", "/user/alice/;/x",
	// NUL, control characters, delimiters, broken encodings: T8.
	"/user/alice%00/", "/user/alice%3f/", "/user/alice%23/", "/user/bob%3f/../alice/", "/user/alice%0d%0aX-Injected:%20yes/", "/user/alice%7f/", "/user/alice%09/", "/user/alice%20/",
	"/user/alice#/bob", "/user/alice/%zz", "/user/alice/%", "/user/%zz/", "/user/al\tice/", "user/alice/",
	// Invalid and unusual Unicode: T12.
	"/user/alice/..%c0%afbob/", "/user/%c0%afalice/", "/user/alice%c0%80/", "/user/%ff/", "/user/%ed%a0%80/", "/user/%ef%bd%81lice/", "/user/al%c4%b1ce/",
	"/user/%e2%84%aaalice/", "/user/alice%e2%80%8f/", "/user/a%cc%80lice/",
	// Other spellings and whole segments: T10, T11.
	"/user/%61lice/", "/%75ser/alice/", "/user/%62ob/x", "/user/ALICE/", "/USER/alice/", "/User/Alice/", "/user/alic/", "/user/alicea/", "/user/al%2fice/", "/users/alice/",
	"/user/alice.", "/user/alice./", "/user/alice%2e/", "/hubx/user/alice/", "/hub/user/alice/", "/user/alice/bob/", "/user/alice/user/bob/", "/user/bob/user/alice/",
	// Other forms of a request: T15, T16.
	"GET http://evil.test/user/alice/ HTTP/1.1", "GET http://evil.test/user/bob/ HTTP/1.1", "GET http:///user/alice/ HTTP/1.1", "GET http://user/alice/ HTTP/1.1",
	"GET /user/alice/ HTTP/1.0", "CONNECT 127.0.0.1:22 HTTP/1.1", "CONNECT /user/alice/ HTTP/1.1", "TRACE /user/alice/ HTTP/1.1", "OPTIONS * HTTP/1.1",
	"OPTIONS /user/alice/ HTTP/1.1", "BREW /user/alice/ HTTP/1.1", "get /user/alice/ HTTP/1.1",
}

// ambiguous are targets that the hub itself must not try to understand, if somebody gets past the front door.
var ambiguous = regexp.MustCompile(`(?i)%2f|%5c|%00|%25|%zz|\\|\t|/\.\./|^/user//|^//`)

// upgrade are the headers of a WebSocket handshake, without the Origin.
const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"

// TestPaths sends every target as alice and as bob over raw sockets, as a request and as a WebSocket handshake. None may reach
// a server that is not the sender's: the servers themselves say what reached them. Who answered what is in testdata, so that
// a change is seen.
func TestPaths(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice", "bob", "al")
		visitors := map[string]*env.Client{"alice": w.Login(t, "alice"), "bob": w.Login(t, "bob")}
		sent := map[string]attempt{} // by probe
		send := func(visitor, addr, target, header string) string {
			probe := fmt.Sprint("probe-", len(sent))
			sent[probe] = attempt{visitor, target}
			return raw(t, addr, lineOf(target), "Cookie: "+visitors[visitor].CookieHeader()+"\r\nX-Probe: "+probe+"\r\n"+header)
		}
		var table strings.Builder
		for _, target := range targets {
			for _, visitor := range []string{"alice", "bob"} {
				fmt.Fprintf(&table, "%-50q %-6s %s\n", target, visitor, send(visitor, w.Addr(), target, ""))
				send(visitor, w.Addr(), target, upgrade+"Origin: "+strings.TrimSuffix(w.URL("/"), "/")+"\r\n")
				if got := send(visitor, w.HubAddr(), target, ""); ambiguous.MatchString(target) && !strings.HasPrefix(got, "40") {
					t.Errorf("%s as %s straight to the hub: %s, want 400 or 404", target, visitor, got)
				}
			}
		}
		// What the servers saw counts, not what came back.
		reached := 0
		for _, owner := range []string{"alice", "bob", "al"} {
			for probe, seen := range seenBy(t, w, owner) {
				reached++
				if a := sent[probe]; a.visitor != owner {
					t.Errorf("%s as %s reached the server of %s as %s", a.target, a.visitor, owner, seen)
				}
			}
		}
		t.Logf("%d requests, %d of them reached a server", len(sent), reached)
		golden(t, "paths-"+string(e)+".txt", table.String())
	})
}

// attempt is one request of TestPaths.
type attempt struct{ visitor, target string }

func lineOf(target string) string {
	if strings.HasSuffix(target, " HTTP/1.1") || strings.HasSuffix(target, " HTTP/1.0") {
		return target
	}
	return "GET " + target + " HTTP/1.1"
}

// raw sends a request as it is and says in short who answered what.
func raw(t *testing.T, addr, line, header string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	host := "Host: " + addr + "\r\n"
	if strings.HasSuffix(line, "HTTP/1.0") {
		host = ""
	}
	if !strings.Contains(header, "Connection:") {
		header += "Connection: close\r\n"
	}
	if _, err := io.WriteString(conn, line+"\r\n"+host+"Accept: */*\r\n"+header+"\r\n"); err != nil {
		t.Fatalf("%s: %s", line, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %s", line, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return "101"
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %s", line, err)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, answeredBy(resp, body)))
}

// answeredBy is the user whose server answered, with the target that it saw; "hub"; "edge"; or nothing for Traefik or Go.
func answeredBy(resp *http.Response, body []byte) string {
	var report env.Report
	if json.Unmarshal(body, &report) == nil && report.User != "" {
		return report.User + " " + report.Target
	}
	who := ""
	switch {
	case resp.Header.Get("X-Request-Id") != "":
		who = "hub"
	case strings.Contains(string(body), `"kind":"`), resp.Header.Get("Referrer-Policy") != "", resp.Header.Get("Cache-Control") == "no-store":
		who = "edge"
	}
	return who + " " + resp.Header.Get("Location")
}

// seenBy are the marked requests that reached a user's server: probe → target.
func seenBy(t *testing.T, w *env.World, owner string) map[string]string {
	t.Helper()
	var list []struct{ ID, Target string }
	w.Bearer(w.AdminToken).Get(t, "/user/"+owner+"/seen").JSON(t, &list)
	seen := map[string]string{}
	for _, p := range list {
		seen[p.ID] = p.Target
	}
	return seen
}

// golden compares with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%s. Write it with -update", err)
	}
	wants, gots := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(wants), len(gots)) {
		var a, b string
		if i < len(wants) {
			a = wants[i]
		}
		if i < len(gots) {
			b = gots[i]
		}
		if a != b {
			t.Errorf("%s:%d: got\n  %s\nwant\n  %s", file, i+1, b, a)
		}
	}
}
