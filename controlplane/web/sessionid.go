package web

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
)

// sessionIDCookie tells programs that ask the hub themselves who visits them that the browser's session has changed, so that
// they do not go by what they remember. It is JupyterHub's, and no credential.
const sessionIDCookie = "jupyterhub-session-id"

// SetSessionID gives the browser the cookie for a session, unless it has it.
func SetSessionID(w http.ResponseWriter, r *http.Request, session string) {
	sum := sha256.Sum256([]byte("session id cookie " + session))
	value := hex.EncodeToString(sum[:16])
	if found := r.CookiesNamed(sessionIDCookie); len(found) == 1 && found[0].Value == value {
		return
	}
	http.SetCookie(w, &http.Cookie{Name: sessionIDCookie, Value: value, Path: Base(r).Path("/"), HttpOnly: true, Secure: Secure(r), SameSite: http.SameSiteLaxMode})
}

// ForgetSessionID deletes that cookie if the browser sent it.
func ForgetSessionID(w http.ResponseWriter, r *http.Request) {
	if len(r.CookiesNamed(sessionIDCookie)) > 0 {
		http.SetCookie(w, &http.Cookie{Name: sessionIDCookie, Path: Base(r).Path("/"), MaxAge: -1, HttpOnly: true, Secure: Secure(r), SameSite: http.SameSiteLaxMode})
	}
}
