package edgetest

import (
	"encoding/base64"
	"net/url"
	"strings"
	"sync"
)

// canaries are the secrets of a whole run. No output of an edge may show one.
var canaries = struct {
	mu   sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{Secret: true, Canary: true}}

// Keep remembers a secret of this run.
func Keep(secret string) {
	if len(secret) < 16 {
		return // too short to be found only where it is meant
	}
	canaries.mu.Lock()
	defer canaries.mu.Unlock()
	canaries.seen[secret] = true
	if i := strings.LastIndexByte(secret, '.'); len(secret)-i > 64 {
		canaries.seen[secret[i+1:]] = true // a signature is as good as its token
	}
}

// Leaked returns the secrets of this run that are in output: as they are, in base64, or escaped as in an address. It looks
// for the end of each: all edge tokens begin alike.
func Leaked(output string) []string {
	canaries.mu.Lock()
	defer canaries.mu.Unlock()
	found := []string{}
	for secret := range canaries.seen {
		end := secret[max(0, len(secret)-32):]
		for _, form := range []string{end, url.QueryEscape(end), base64.StdEncoding.EncodeToString([]byte(secret))[:20],
			base64.RawURLEncoding.EncodeToString([]byte(secret))[:20]} {
			if strings.Contains(output, form) {
				found = append(found, secret)
				break
			}
		}
	}
	return found
}
