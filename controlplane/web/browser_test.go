package web_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

func TestOurCookie(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		cookies []string
		proto   string
		want    string
		kind    hub.Kind // of the error, if want is "error"
	}{
		"none":                      {nil, "", "", 0},
		"one":                       {[]string{"a=1; edgehub-session=s; b=2"}, "", "s", 0},
		"two in one header":         {[]string{"edgehub-session=evil; edgehub-session=s"}, "", "error", hub.Invalid},
		"two headers":               {[]string{"edgehub-session=s", "edgehub-session=s"}, "", "error", hub.Invalid},
		"TLS":                       {[]string{"__Host-edgehub-session=s"}, "https", "s", 0},
		"TLS in capitals":           {[]string{"__Host-edgehub-session=s"}, "HTTPS", "s", 0},
		"TLS, plain name":           {[]string{"edgehub-session=evil"}, "https", "", 0},
		"TLS, both names":           {[]string{"edgehub-session=evil; __Host-edgehub-session=s"}, "https", "s", 0},
		"TLS, two":                  {[]string{"__Host-edgehub-session=evil; __Host-edgehub-session=s"}, "https", "error", hub.Invalid},
		"plain, name of TLS":        {[]string{"__Host-edgehub-session=s"}, "", "", 0},
		"a name that starts alike":  {[]string{"edgehub-session2=evil; xedgehub-session=evil"}, "", "", 0},
		"another case":              {[]string{"Edgehub-Session=evil"}, "", "", 0},
		"behind a Unicode space":    {[]string{"\u2000__Host-edgehub-session=evil"}, "https", "", 0}, // fact of 0.5
		"behind U+0085":             {[]string{"\u0085__Host-edgehub-session=evil; __Host-edgehub-session=s"}, "https", "s", 0},
		"in a nameless cookie":      {[]string{"=__Host-edgehub-session=evil"}, "https", "", 0},
		"in a version":              {[]string{`$Version=1; x="__Host-edgehub-session=evil"`}, "https", "", 0},
		"in quotes":                 {[]string{`x="; __Host-edgehub-session=s; y="`}, "https", "s", 0},
		"in an encoding of its own": {[]string{"__Host-edgehub%2Dsession=evil"}, "https", "", 0},
	} {
		r := httptest.NewRequest("GET", "/hub/", nil)
		r.Header["Cookie"] = c.cookies
		r.Header.Set("X-Forwarded-Proto", c.proto)
		got, err := web.Cookie(r, web.SessionCookie)
		if c.want == "error" {
			if got != "" || hub.KindOf(err) != c.kind || !strings.Contains(hub.MessageOf(err), "Clear the cookies") {
				t.Errorf("%s: got %q, %v; want a %s error that says what to do", what, got, err, c.kind)
			}
			continue
		}
		if got != c.want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", what, got, err, c.want)
		}
	}
}

func TestSetCookie(t *testing.T) {
	t.Parallel()
	for proto, want := range map[string]string{
		"":      "edgehub-session=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax",
		"https": "__Host-edgehub-session=s; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax",
	} {
		r, w := httptest.NewRequest("GET", "/hub/", nil), httptest.NewRecorder()
		r.Header.Set("X-Forwarded-Proto", proto)
		web.SetCookie(w, r, web.SessionCookie, "s", 60)
		if got := w.Header().Get("Set-Cookie"); got != want {
			t.Errorf("X-Forwarded-Proto %q:\n got %s\nwant %s", proto, got, want)
		}
	}
}

// xsrfOf is the XSRF of a hub with this key.
func xsrfOf(key string) web.XSRF {
	return web.XSRF{MAC: func(purpose, data string) []byte {
		h := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(h, "%s:%s", purpose, data)
		return h.Sum(nil)
	}}
}

func xsrfToken(t *testing.T, x web.XSRF, session string) string {
	t.Helper()
	w := httptest.NewRecorder()
	token := x.Token(w, httptest.NewRequest("GET", "/hub/login", nil), session)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != "_xsrf" || cookies[0].Value != token || cookies[0].Path != "/hub/" || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Fatalf("cookies %v, want one _xsrf with the token for /hub/", cookies)
	}
	return token
}

func TestXSRFCheck(t *testing.T) {
	t.Parallel()
	x := xsrfOf("key")
	mine, other, foreign, visitor := xsrfToken(t, x, "s1"), xsrfToken(t, x, "s2"), xsrfToken(t, xsrfOf("other hub"), "s1"), xsrfToken(t, x, "")
	if mine == xsrfToken(t, x, "s1") {
		t.Error("two tokens are equal")
	}
	nonce, mac, _ := strings.Cut(mine, ".")
	for what, c := range map[string]struct {
		session        string
		cookies        []string
		header, value  string // a header with the token
		query, form    string
		site           string
		ok             bool
		wantForWhatErr string
	}{
		"form field":                 {session: "s1", cookies: []string{mine}, form: mine, ok: true},
		"query":                      {session: "s1", cookies: []string{mine}, query: mine, ok: true},
		"header of Jupyter":          {session: "s1", cookies: []string{mine}, header: "X-XSRFToken", value: mine, ok: true},
		"header of others":           {session: "s1", cookies: []string{mine}, header: "X-CSRFToken", value: mine, ok: true},
		"same origin":                {session: "s1", cookies: []string{mine}, form: mine, site: "same-origin", ok: true},
		"typed by the user":          {session: "s1", cookies: []string{mine}, form: mine, site: "none", ok: true},
		"one of two cookies":         {session: "s1", cookies: []string{other, mine}, form: mine, ok: true},
		"visitor":                    {session: "", cookies: []string{visitor}, form: visitor, ok: true},
		"other replica's":            {session: "s1", cookies: []string{xsrfToken(t, xsrfOf("key"), "s1")}, form: "the cookie's", ok: true},
		"nothing sent":               {session: "s1", cookies: []string{mine}, wantForWhatErr: "missing"},
		"no cookie":                  {session: "s1", form: mine, wantForWhatErr: "does not match"},
		"another cookie":             {session: "s1", cookies: []string{other}, form: mine, wantForWhatErr: "does not match"},
		"of another session":         {session: "s1", cookies: []string{other}, form: other, wantForWhatErr: "does not match"},
		"of a visitor, signed in":    {session: "s1", cookies: []string{visitor}, form: visitor, wantForWhatErr: "does not match"},
		"of a session, signed out":   {session: "", cookies: []string{mine}, form: mine, wantForWhatErr: "does not match"},
		"of another hub":             {session: "s1", cookies: []string{foreign}, form: foreign, wantForWhatErr: "does not match"},
		"chosen by the attacker":     {session: "s1", cookies: []string{"evil"}, form: "evil", wantForWhatErr: "does not match"},
		"empty":                      {session: "s1", cookies: []string{""}, form: "", wantForWhatErr: "missing"},
		"dot only":                   {session: "s1", cookies: []string{"."}, form: ".", wantForWhatErr: "does not match"},
		"no authenticator":           {session: "s1", cookies: []string{nonce + "."}, form: nonce + ".", wantForWhatErr: "does not match"},
		"another nonce":              {session: "s1", cookies: []string{"x" + mine}, form: "x" + mine, wantForWhatErr: "does not match"},
		"shorter authenticator":      {session: "s1", cookies: []string{nonce + "." + mac[:20]}, form: nonce + "." + mac[:20], wantForWhatErr: "does not match"},
		"session moved to the nonce": {session: "s", cookies: []string{"1|" + mine}, form: "1|" + mine, wantForWhatErr: "does not match"},
		"very long":                  {session: "s1", cookies: []string{strings.Repeat("x", 4000)}, form: strings.Repeat("x", 4000), wantForWhatErr: "does not match"},
		"cross-site":                 {session: "s1", cookies: []string{mine}, form: mine, site: "cross-site", wantForWhatErr: "another site"},
		"sibling host":               {session: "s1", cookies: []string{mine}, form: mine, site: "same-site", wantForWhatErr: "another site"},
		"invented site":              {session: "s1", cookies: []string{mine}, form: mine, site: "Same-Origin", wantForWhatErr: "another site"},
	} {
		if c.form == "the cookie's" {
			c.form = c.cookies[0]
		}
		query, form := url.Values{}, url.Values{}
		if c.query != "" {
			query.Set("_xsrf", c.query)
		}
		if c.form != "" {
			form.Set("_xsrf", c.form)
		}
		r := httptest.NewRequest("POST", "/hub/logout?"+query.Encode(), strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, v := range c.cookies {
			r.AddCookie(&http.Cookie{Name: "_xsrf", Value: v})
		}
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		err := x.Check(r, c.session)
		if c.ok && err != nil {
			t.Errorf("%s: refused: %v", what, err)
		}
		if !c.ok && (hub.KindOf(err) != hub.Forbidden || err == nil || !strings.Contains(hub.MessageOf(err), c.wantForWhatErr)) {
			t.Errorf("%s: got %v, want it forbidden: %s", what, err, c.wantForWhatErr)
		}
	}
}

func TestXSRFTokenIsUsedAgainWhileItIsGood(t *testing.T) {
	t.Parallel()
	x := xsrfOf("key")
	good := xsrfToken(t, x, "s1")
	for session, again := range map[string]bool{"s1": true, "s2": false, "": false} {
		r, w := httptest.NewRequest("GET", "/hub/", nil), httptest.NewRecorder()
		r.AddCookie(&http.Cookie{Name: "_xsrf", Value: "planted"})
		r.AddCookie(&http.Cookie{Name: "_xsrf", Value: good})
		token := x.Token(w, r, session)
		if (token == good) != again || (w.Header().Get("Set-Cookie") == "") != again {
			t.Errorf("session %q: got %s (had %s) and cookie %q; want it used again: %t", session, token, good, w.Header().Get("Set-Cookie"), again)
		}
	}
}

// TestXSRFCheckReadsLittle is about a form with a file: its size must not be the sender's choice.
func TestXSRFCheckReadsLittle(t *testing.T) {
	t.Parallel()
	x := xsrfOf("key")
	token := xsrfToken(t, x, "s1")
	for size, ok := range map[int]bool{100: true, 3 * web.MaxBody: false} {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		file, err := w.CreateFormFile("file", "x")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.Write(make([]byte, size))
		_ = w.WriteField("_xsrf", token)
		_ = w.Close()
		left := form.Len()
		r := httptest.NewRequest("POST", "/hub/spawn", &form)
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.AddCookie(&http.Cookie{Name: "_xsrf", Value: token})
		if err := x.Check(r, "s1"); (err == nil) != ok {
			t.Errorf("a form with a file of %d bytes: got %v, want it accepted: %t", size, err, ok)
		}
		if read := left - form.Len(); read > web.MaxBody+64<<10 {
			t.Errorf("a form with a file of %d bytes: %d bytes were read", size, read)
		}
	}
}
