package oauth

import (
	"context"
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// request is an authorization request whose client and redirect URI are good: its other errors may be told to the client.
type request struct {
	client    *client
	redirect  string // as the request has it, may be empty
	state     string
	challenge string
	scopes    []string
	asked     bool // whether the request names scopes
}

// maxQuery bounds an authorization request, so that it can go through the sign-in page.
const maxQuery = 1800

// read takes the query of an authorization request apart. An error of this step is for the person in front of the browser:
// who the client is, is not certain.
func (p *provider) read(ctx context.Context, raw string) (*request, url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil || len(raw) > maxQuery {
		return nil, nil, hub.Errorf(hub.Invalid, "The address of this sign-in is malformed or longer than %d bytes. Go back to the program and try again.", maxQuery)
	}
	if q.Get("client_id") == "" || len(q["client_id"]) > 1 || len(q["redirect_uri"]) > 1 {
		return nil, nil, hub.Errorf(hub.Invalid, "The address of this sign-in must have one client_id and at most one redirect_uri.")
	}
	c, err := p.find(ctx, q.Get("client_id"), q.Get("redirect_uri"))
	if err != nil {
		return nil, nil, err
	}
	req := &request{client: c, redirect: q.Get("redirect_uri")}
	if len(q["state"]) == 1 {
		req.state = q.Get("state")
	}
	return req, q, nil
}

// complete reads the rest. Its errors are protocolErrors for the client.
func (p *provider) complete(req *request, q url.Values) error {
	for _, name := range []string{"response_type", "response_mode", "state", "scope", "code_challenge", "code_challenge_method", "request", "request_uri"} {
		if len(q[name]) > 1 {
			return wrong("invalid_request", "Give "+name+" once.")
		}
	}
	switch q.Get("response_type") {
	case "code":
	case "":
		return wrong("invalid_request", "Missing response_type parameter.")
	default:
		return wrong("unsupported_response_type", "Only response_type=code is supported.")
	}
	if mode := q.Get("response_mode"); mode != "" && mode != "query" {
		return wrong("invalid_request", "Only response_mode=query is supported.")
	}
	if q.Has("request") || q.Has("request_uri") {
		return wrong("invalid_request", "Request objects are not supported.")
	}
	req.scopes, req.asked = strings.Fields(q.Get("scope")), q.Get("scope") != ""
	req.challenge = q.Get("code_challenge")
	if req.client.public && req.challenge == "" {
		return wrong("invalid_request", "Code challenge required.")
	}
	return p.checkChallenge(req.challenge, q.Get("code_challenge_method"))
}

func (p *provider) checkChallenge(challenge, method string) error {
	switch {
	case challenge == "" && method != "":
		return wrong("invalid_request", "Missing code_challenge parameter.")
	case challenge == "" && p.RequirePKCE:
		return wrong("invalid_request", "Code challenge required.")
	case challenge == "":
		return nil
	case method != "S256": // none means plain
		return wrong("invalid_request", "Transform algorithm not supported: use code_challenge_method=S256.")
	case len(challenge) != challengeLen || strings.Trim(challenge, base64URL) != "":
		return wrong("invalid_request", "The code_challenge is not the base64url form of a SHA-256.")
	}
	return nil
}

const (
	challengeLen = 43
	base64URL    = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// back is the address that a browser goes back to with an answer.
func (req *request) back(issuer string, answer url.Values) string {
	answer.Set("iss", issuer)
	if req.state != "" {
		answer.Set("state", req.state)
	}
	to := req.client.redirect
	if strings.Contains(to, "?") {
		return to + "&" + answer.Encode()
	}
	return to + "?" + answer.Encode()
}
