package plugin

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// forger makes tokens that are wrong in one way or another.
type forger struct {
	now    int64
	key    ed25519.PrivateKey // of the hub
	other  ed25519.PrivateKey // of somebody else
	keys   map[string]*routes.Key
	good   []string
	signed map[string]bool // what the hub's key has signed lately
}

func newForger() *forger {
	f := &forger{now: 1_800_000_000, signed: map[string]bool{}}
	f.key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte("k"), 32))
	f.other = ed25519.NewKeyFromSeed(bytes.Repeat([]byte("o"), 32))
	public := f.key.Public().(ed25519.PublicKey)
	f.keys = map[string]*routes.Key{
		"k1": {ID: "k1", Hub: "h", Public: public}, "next": {ID: "next", Hub: "h", Public: public, NotBefore: f.now + 31},
		"last": {ID: "last", Hub: "h", Public: public, NotAfter: f.now - 30}, "short": {ID: "short", Hub: "h", Public: public[:31]},
		"hub2": {ID: "hub2", Hub: "h2", Public: public},
	}
	for i := range 8 {
		token, err := routes.SignToken("k1", f.key, routes.Claims{Issuer: "h", Subject: fmt.Sprint("user", i), UserID: fmt.Sprint("u", i), Session: "s", Token: "t",
			Groups: []string{"g"}, Scopes: []string{"inherit"}, IssuedAt: f.now - int64(i), Expires: f.now + 600, NotBefore: f.now - 1})
		if err != nil {
			panic(err)
		}
		f.good = append(f.good, token)
		f.signed[token] = true
	}
	return f
}

const forgedHeader = `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"k1"}`

// forge returns a token and how it was made.
func (f *forger) forge(rnd *rand.Rand) (how, token string) {
	if len(f.signed) > 1000 {
		f.signed = map[string]bool{}
		for _, token := range f.good {
			f.signed[token] = true
		}
	}
	good := f.good[rnd.Intn(len(f.good))]
	parts := strings.Split(good, ".")
	switch rnd.Intn(8) {
	case 0:
		return "bit", flip(rnd, good)
	case 1:
		i := rnd.Intn(3)
		parts[i] = strings.Split(f.good[rnd.Intn(len(f.good))], ".")[rnd.Intn(3)]
		return "swap", strings.Join(parts, ".")
	case 2:
		i := rnd.Intn(3)
		parts[i] = respell(rnd, parts[i])
		return "spelling", strings.Join(parts, ".")
	case 3:
		return "other key", sign(f.other, forgedHeader, f.payload(rnd))
	case 4:
		return "header", f.sign(f.header(rnd), f.payload(rnd))
	case 5:
		return "length", cut(rnd, good)
	case 6:
		mac := hmac.New(sha256.New, f.keys["k1"].Public)
		mac.Write([]byte(parts[0] + "." + parts[1]))
		parts[2] = base64.RawURLEncoding.EncodeToString(append(mac.Sum(nil), mac.Sum(nil)...))
		return "HMAC", strings.Join(parts, ".")
	}
	return "claims", f.sign(forgedHeader, f.payload(rnd))
}

// sign signs with the hub's key: then the claims decide.
func (f *forger) sign(header, payload string) string {
	token := sign(f.key, header, payload)
	f.signed[token] = true
	return token
}

func sign(key ed25519.PrivateKey, header, payload string) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return signed + "." + enc.EncodeToString(ed25519.Sign(key, []byte(signed)))
}

func flip(rnd *rand.Rand, s string) string {
	b := []byte(s)
	for range 1 + rnd.Intn(3) {
		b[rnd.Intn(len(b))] ^= 1 << rnd.Intn(8)
	}
	return string(b)
}

// respell writes the same bytes in another way, or nearly.
func respell(rnd *rand.Rand, part string) string {
	raw, _ := base64.RawURLEncoding.DecodeString(part)
	at := rnd.Intn(len(part) + 1)
	switch rnd.Intn(6) {
	case 0:
		return base64.URLEncoding.EncodeToString(raw) + strings.Repeat("=", rnd.Intn(3))
	case 1:
		return base64.RawStdEncoding.EncodeToString(raw)
	case 2:
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		return part[:len(part)-1] + string(alphabet[rnd.Intn(64)])
	case 3:
		return part[:at] + []string{"\n", "\r\n", " ", "\t", "\x00", "=", "%0A"}[rnd.Intn(7)] + part[at:]
	case 4:
		return part + "A"
	}
	return fmt.Sprintf("%x", raw)
}

func cut(rnd *rand.Rand, token string) string {
	at := rnd.Intn(len(token))
	return []string{token[:at], token[at:], token + token[at:], token + ".", "." + token, token[:at] + "." + token[at:], token + strings.Repeat("A", routes.MaxTokenLen),
		" " + token, strings.ToUpper(token), "Bearer " + token, token[:at] + token}[rnd.Intn(11)]
}

func (f *forger) header(rnd *rand.Rand) string {
	kid := []string{"k1", "k2", "next", "last", "short", "hub2", "", "K1", "k1 ", "../k1", `k1","kid":"k1`, strings.Repeat("k", 500)}[rnd.Intn(12)]
	alg := []string{"EdDSA", "EdDSA", "EdDSA", "none", "nOnE", "HS256", "RS256", "ES256", "Ed448", "eddsa", "Ed25519", ""}[rnd.Intn(12)]
	typ := []string{"edgehub-edge+jwt", "edgehub-edge+jwt", "edgehub-edge+jwt", "JWT", "at+jwt", "EDGEHUB-EDGE+JWT"}[rnd.Intn(6)]
	extra := []string{"", "", "", `,"jku":"http://evil.test"`, `,"jwk":{}`, `,"crit":["exp"]`, `,"b64":false`, `,"zip":"DEF"`, `,"alg":"none"`, `,"cty":"JWT"`, " "}[rnd.Intn(11)]
	return fmt.Sprintf(`{"alg":"%s","typ":"%s","kid":"%s"%s}`, alg, typ, kid, extra)
}

// payload is good claims with up to two changes.
func (f *forger) payload(rnd *rand.Rand) string {
	claims := [][2]string{{"iss", `"h"`}, {"aud", `"edge"`}, {"sub", `"alice"`}, {"uid", `"u1"`}, {"sid", `"s1"`}, {"scopes", `["inherit"]`},
		{"iat", fmt.Sprint(f.now - 10)}, {"exp", fmt.Sprint(f.now + 600)}}
	if rnd.Intn(2) == 0 {
		claims[6][1], claims[7][1] = fmt.Sprint(f.near(rnd)), fmt.Sprint(f.near(rnd))
	}
	for range rnd.Intn(3) {
		i := rnd.Intn(len(claims))
		switch rnd.Intn(5) {
		case 0:
			claims[i][1] = f.value(rnd)
		case 1:
			claims = append(claims[:i:i], claims[i+1:]...)
		case 2:
			claims = append(claims, [2]string{claims[i][0], f.value(rnd)})
		case 3:
			claims = append(claims, [2]string{otherCase(rnd, claims[i][0]), f.value(rnd)})
		default:
			claims = append(claims, [2]string{[]string{"nbf", "tid", "adm", "groups", "later"}[rnd.Intn(5)], f.value(rnd)})
		}
	}
	pairs := []string{}
	for _, c := range claims {
		name, _ := json.Marshal(c[0])
		pairs = append(pairs, string(name)+":"+c[1])
	}
	rnd.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
	text := "{" + strings.Join(pairs, ",") + "}"
	return []string{text, text, text, text, text, text, text, " " + text + "\n", text + "{}", text[:len(text)-1], "[" + text + "]", "null", ""}[rnd.Intn(13)]
}

// near is a time at which something changes.
func (f *forger) near(rnd *rand.Rand) int64 {
	return f.now + []int64{-3600, -3030, -600, -31, -30, -29, 0, 29, 30, 31, 570, 571, 3570, 3571, 3600, 3601}[rnd.Intn(16)]
}

func (f *forger) value(rnd *rand.Rand) string {
	near := fmt.Sprint(f.near(rnd))
	return []string{near, near, near, "0", "-1", "1", "253402300799", "9223372036854775807", "9223372036854775808", "1e99",
		"1.8e9", fmt.Sprint(f.now, ".5"), fmt.Sprintf(`"%d"`, f.now+600), "null", "true", `""`, `"h"`, `"edge"`, `"hub"`, `["edge"]`, `"bob"`, `"ed\u0067e"`, "{}", "[]", `["access:servers"]`,
		strings.Repeat("[", 50) + strings.Repeat("]", 50), `"\ud800"`, "\"\xff\""}[rnd.Intn(28)]
}

func otherCase(rnd *rand.Rand, name string) string {
	switch rnd.Intn(3) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.Replace(name, "s", "ſ", 1)
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
