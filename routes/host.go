package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// ErrHost says that a public URL and a user domain cannot be those of a hub with a host for each user.
var ErrHost = errors.New("not a domain for users' hosts")

// Hosts are the origins of a hub whose users have a host each: the hub's own, and one below Domain for every user. Hosts of
// requests are compared in the form of NormalHost.
type Hosts struct {
	// Scheme and Hub are the hub's own origin: https and hub.example.org.
	Scheme string
	Hub    string
	// Base is what the paths of the hub are below, on all of its hosts.
	Base Base
	// suffix is what follows the label of a user: the domain, and the port if it is not the scheme's own.
	suffix string
}

// NewHosts returns the hosts of the hub at publicURL whose users are below domain. domain may be the hub's own host: then no
// user's host is the hub's, since it has a label more.
func NewHosts(publicURL, domain string) (*Hosts, error) {
	u, err := url.Parse(publicURL)
	if err != nil || CheckTarget(publicURL) != nil || !validDomain(domain) {
		return nil, ErrHost
	}
	h := &Hosts{Scheme: u.Scheme, Hub: NormalHost(u.Scheme, u.Host), suffix: "." + domain}
	if i := strings.LastIndexByte(h.Hub, ':'); i >= 0 && !strings.HasSuffix(h.Hub, "]") {
		h.suffix += h.Hub[i:]
	}
	// A user of the right name would have the hub's host.
	if strings.HasSuffix(h.Hub, h.suffix) {
		return nil, ErrHost
	}
	return h, nil
}

// validDomain reports a host name in lower case, without a port, that leaves room for a label.
func validDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	// An address is not a domain, and the last label of no domain is a number.
	return len(domain) <= 253-maxLabel-1 && strings.Trim(labels[len(labels)-1], digits) != ""
}

// Origin is the hub's own origin.
func (h *Hosts) Origin() string { return h.Scheme + "://" + h.Hub }

// Of is the host of a user: alice.hub.example.org.
func (h *Hosts) Of(user string) string { return UserLabel(user) + h.suffix }

// OriginOf is the origin of a user's host.
func (h *Hosts) OriginOf(user string) string { return h.Scheme + "://" + h.Of(user) }

// UsersPattern is every user's origin as a Content-Security-Policy writes it: https://*.hub.example.org.
func (h *Hosts) UsersPattern() string { return h.Scheme + "://*" + h.suffix }

// IsUsers reports whether a normal host is one that a user may have.
func (h *Hosts) IsUsers(host string) bool {
	return strings.HasSuffix(host, h.suffix) && validLabel(host[:len(host)-len(h.suffix)])
}

// Address is the whole address of a path of the hub: on a user's host if the path is below
// /user/NAME/, else on the hub's.
func (h *Hosts) Address(path string) string {
	if user := UserOf(path); user != "" {
		return h.OriginOf(user) + h.Base.Path(path)
	}
	return h.Origin() + h.Base.Path(path)
}

// UserOf is the user whose servers are at an escaped path: alice for /user/alice/lab. It is empty for any other path, and
// for one that Split refuses.
func UserOf(path string) string {
	if !strings.HasPrefix(path, "/user/") {
		return ""
	}
	path, _, _ = strings.Cut(path, "?")
	path, _, _ = strings.Cut(path, "#")
	segments, _, err := Split(path)
	if err != nil || len(segments) < 2 {
		return ""
	}
	return segments[1]
}

// NormalHost is host as browsers write it in an origin: lower case, without the scheme's own port.
func NormalHost(scheme, host string) string {
	host = strings.ToLower(host)
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

const (
	maxLabel   = 63
	digits     = "0123456789"
	labelChars = "abcdefghijklmnopqrstuvwxyz" + digits
)

// validLabel reports a label of a host name in lower case.
func validLabel(label string) bool {
	return label != "" && len(label) <= maxLabel && strings.Trim(label, labelChars+"-") == "" &&
		label[0] != '-' && label[len(label)-1] != '-'
}

// UserLabel is the label of a user's host, for which JupyterHub's rule is the model: the name itself if it is a label in
// lower case without two hyphens in a row, else "u-", up to eight characters of the name that people may recognise, "--" and a
// hash. No two users have the same: only hashed labels have two hyphens in a row (which also keeps off "xn--"), and nobody finds
// a name for a hash of 128 bits.
func UserLabel(name string) string {
	if validLabel(name) && !strings.Contains(name, "--") {
		return name
	}
	stub := ""
	for i := 0; i < len(name) && len(stub) < 8; i++ {
		if strings.IndexByte(labelChars, name[i]) >= 0 {
			stub += name[i : i+1]
		}
	}
	sum := sha256.Sum256([]byte(name))
	hash := hex.EncodeToString(sum[:16])
	if stub == "" {
		return "u--" + hash
	}
	return "u-" + stub + "--" + hash
}
