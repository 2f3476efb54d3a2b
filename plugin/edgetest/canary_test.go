package edgetest

import (
	"encoding/base64"
	"net/url"
	"testing"
)

func TestLeaked(t *testing.T) {
	const secret = "a secret/of this+test = 0123456789 and more of it"
	Keep(secret)
	for _, text := range []string{secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
		if len(Leaked("line\nbefore "+text+" after")) != 1 {
			t.Errorf("%q is not seen", text)
		}
	}
	if found := Leaked("nothing of it"); len(found) != 0 {
		t.Errorf("found %q", found)
	}
}
