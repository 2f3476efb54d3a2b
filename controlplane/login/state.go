package login

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/web"
)

// stateLife is how long people may take at the provider.
const stateLife = 10 * time.Minute

// maxNext is the longest address to come back to that goes with the state: the state is a part of addresses itself.
const maxNext = 1024

// Cookie is the name of the cookie with the secret of a browser that is signing in. All its tabs share it.
const Cookie = "edgehub-login"

// state is what a sign-in is about. The provider hands it on sealed, and so cannot read it: the verifier of PKCE and the
// nonce stay between this hub's replicas.
type state struct {
	ID       string `json:"i"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Next     string `json:"x,omitempty"`
	Expires  int64  `json:"e"`
}

// spentLogin says that a state has been used. It lives as long as the state could.
type spentLogin struct {
	Schema int `json:"v"`
}

func newSeal(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func newState(next string) state {
	if len(next) > maxNext {
		next = ""
	}
	return state{ID: random(), Nonce: random(), Verifier: random(), Next: next, Expires: time.Now().Add(stateLife).Unix()}
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return base64.RawURLEncoding.EncodeToString(b)
}

// sealed is s for the address: only this browser can use it, and only with this provider.
func (l *Login) sealed(s state, provider, browser string) (string, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(l.seal.Seal(nil, nil, data, bound(provider, browser))), nil
}

func bound(provider, browser string) []byte { return []byte(provider + "|" + browser) }

// stale is the answer to whatever does not fit: which part does not is nobody's business.
func stale() error {
	return hub.Errorf(hub.Invalid, "This sign-in does not belong to this browser, or took longer than %d minutes. Please try again.", int(stateLife.Minutes()))
}

// open reverses sealed. It is Invalid if the state is of another browser or provider, or too old.
func (l *Login) open(sealed, provider, browser string) (state, error) {
	var s state
	data, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || browser == "" {
		return s, stale()
	}
	plain, err := l.seal.Open(nil, nil, data, bound(provider, browser))
	if err != nil || json.Unmarshal(plain, &s) != nil || time.Now().Unix() >= s.Expires {
		return state{}, stale()
	}
	return s, nil
}

// spend uses s up. Of many who use it at once, on whatever replicas, one at most succeeds.
func (l *Login) spend(ctx context.Context, s state) error {
	err := l.spent.CreateFor(ctx, store.ID(s.ID), spentLogin{Schema: hub.Schema}, 2*stateLife)
	if hub.KindOf(err) == hub.Conflict {
		return hub.Errorf(hub.Invalid, "This sign-in has been used already. Please try again.")
	}
	return err
}

// browser is the secret of the browser that r came from, which gets one if it has none. Each start lets it live longer.
func browser(w http.ResponseWriter, r *http.Request) (string, error) {
	secret, err := web.Cookie(r, Cookie)
	if err != nil {
		return "", err
	}
	if len(secret) != len(random()) {
		secret = random()
	}
	web.SetCookie(w, r, Cookie, secret, int(stateLife.Seconds()))
	return secret, nil
}
