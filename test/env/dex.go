package env

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

// DexPassword is the password of everybody at a Dex.
const DexPassword = "password"

// dexHash is the bcrypt hash of DexPassword.
const dexHash = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W"

// Dex is a real OpenID Connect provider. Its users sign in with a password, or, at its connector "proxy", with headers that say
// who they are.
type Dex struct {
	*Process
	// Issuer may be set to where something stands in front of it before it serves.
	Issuer string
	// Address is where it listens.
	Address string
	config  string
}

// NewDex makes a Dex that is not started: the hubs that it is for must be known first.
func NewDex(t testing.TB) *Dex {
	t.Helper()
	program := Peer(t, DexProgram)
	address := NewAddress() + ":5556"
	d := &Dex{Issuer: "http://" + address + "/dex", Address: address, config: filepath.Join(t.TempDir(), "dex.yml")}
	log := filepath.Join(ArtifactDir(t), "dex-"+address+".log")
	if err := os.Remove(log); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	w := &World{t: t}
	d.Process = newProcess(t, Process{name: "dex", path: program, args: []string{"serve", d.config}, log: log, code: -1,
		ready: w.answers(d.Issuer+"/.well-known/openid-configuration", `"issuer"`)})
	return d
}

// DexSecret is the secret of the client "hub" of every Dex.
const DexSecret = "secret-of-the-hub-at-dex"

// Serve starts the Dex for the client "hub" with that callback address, and with users by their e-mail addresses.
func (d *Dex) Serve(callback string, users ...string) {
	d.t.Helper()
	var people []any
	for _, email := range users {
		people = append(people, map[string]any{"email": email, "hash": dexHash, "username": email, "userID": "id-of-" + email})
	}
	text, err := yaml.Marshal(map[string]any{
		"issuer": d.Issuer, "storage": map[string]any{"type": "memory"}, "web": map[string]any{"http": d.Address},
		"oauth2":           map[string]any{"skipApprovalScreen": true},
		"staticClients":    []any{map[string]any{"id": "hub", "name": "Hub", "secret": DexSecret, "redirectURIs": []any{callback}}},
		"connectors":       []any{map[string]any{"type": "authproxy", "id": "proxy", "name": "Proxy", "config": map[string]any{}}},
		"enablePasswordDB": true, "staticPasswords": people,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.config, text, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.Start()
}

// Person is the headers with which somebody signs in at the connector "proxy": their id, name, and groups, separated by commas.
func (d *Dex) Person(id, name, groups string) http.Header {
	return http.Header{"X-Remote-User-Id": {id}, "X-Remote-User": {name}, "X-Remote-User-Name": {name},
		"X-Remote-User-Email": {name + "@example.org"}, "X-Remote-Group": {groups}}
}
