package routes

import (
	"crypto/hmac"
	"encoding/base64"
	"strconv"
)

// activityStart begins what the MAC of an Activity covers, so that no ticket's MAC is ever one of these.
const activityStart = "edgehub-activity."

// MaxActivities is how many activities one report of an edge holds at most.
const MaxActivities = 1000

// Activity says when the server behind a route was last used. Edges report it to the control plane, whose API everybody
// can reach, and edges have no credential there: each activity proves itself by a MAC with the secret of its route. Only
// edges, the control plane and that one server know the secret, and the server may report its own activity anyway.
type Activity struct {
	Prefix string `json:"prefix"`
	Gen    int64  `json:"gen"`
	At     int64  `json:"at"` // Unix seconds
	MAC    string `json:"mac"`
}

// CanSignActivity reports whether activity of r can be reported: it belongs to a server, and has a secret to sign with.
func CanSignActivity(r *Route) bool { return r.Gen > 0 && len(r.Secret) >= 16 }

// SignActivity says that r was used at a time.
func SignActivity(r *Route, at int64) *Activity {
	a := &Activity{Prefix: r.Prefix, Gen: r.Gen, At: at}
	a.MAC = base64.RawURLEncoding.EncodeToString(activityMAC(a, r.Secret))
	return a
}

// VerifyActivity reports whether a was made for r as it is now: signed with its secret, and of its generation. It says
// nothing about the time in it, which the signer may have made up.
func VerifyActivity(a *Activity, r *Route) bool {
	if !CanSignActivity(r) || a.Prefix != r.Prefix || a.Gen != r.Gen {
		return false
	}
	mac, ok := decode64(a.MAC)
	return ok && hmac.Equal([]byte(mac), activityMAC(a, r.Secret))
}

// activityMAC covers the numbers first: they hold no dot, so the text can be read in one way only.
func activityMAC(a *Activity, secret string) []byte {
	return ticketMAC(secret, activityStart+strconv.FormatInt(a.Gen, 10)+"."+strconv.FormatInt(a.At, 10)+"."+a.Prefix)
}
