package hub

import "net/url"

// ServerClientID is what the id of every server's OAuth client begins with.
const ServerClientID = "jupyterhub-user-"

// CommandLineClientID is the id of `edgehub login`, a client of every hub.
const CommandLineClientID = "edgehub-cli"

// ClientID is the id of the server's OAuth client, in JupyterHub's form, which is also the name of the server's own cookie.
// Two servers may share one, alice's "b" and the default one of alice-b; their redirect URIs tell them apart.
func (s *Server) ClientID() string {
	id := ServerClientID + url.QueryEscape(string(s.User))
	if s.Name != "" {
		id += "-" + url.QueryEscape(string(s.Name))
	}
	return id
}

// Consent is what the hub asks a person before an OAuth client gets an access token for them.
type Consent struct {
	// Client is the client for people: "bob’s server", "The service grafana". Redirect is where its users go back to.
	Client   string
	Redirect string
	// Action takes the POST of the answer, Scopes are what the answer sends back, Asks are they for people.
	Action string
	Scopes []string
	Asks   []ConsentAsk
}

// ConsentAsk is one thing that the client wants to be allowed to do.
type ConsentAsk struct {
	// Text continues the sentence "It will be able to". On is what it is limited to: "the user alice", or empty.
	Text string
	On   string
}
