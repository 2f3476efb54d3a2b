package web_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/edgehub/edgehub/controlplane/web"
)

func TestWhoHasTheAnswerAlreadyGets304(t *testing.T) {
	t.Parallel()
	status, value := http.StatusOK, "a"
	h := web.Adapter{Log: slog.New(slog.DiscardHandler), WriteError: web.JSONError}.Handle(func(w http.ResponseWriter, _ *http.Request) error {
		return web.JSON(w, status, value)
	})
	ask := func(method, match string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	tag := ask(http.MethodGet, "").Header().Get("ETag")
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if w := ask(http.MethodGet, match); w.Code != http.StatusNotModified || w.Body.Len() > 0 || w.Header().Get("ETag") != tag {
			t.Errorf("If-None-Match %s: %d %q", match, w.Code, w.Body)
		}
	}
	if w := ask(http.MethodGet, `"x"`); tag == "" || w.Code != http.StatusOK || w.Body.String() != `"a"` {
		t.Errorf("another tag than %q: %d %q", tag, w.Code, w.Body)
	}
	if w := ask(http.MethodPost, "*"); w.Code != http.StatusOK || w.Header().Get("ETag") != "" {
		t.Errorf("POST: %d %v", w.Code, w.Header())
	}
	value = "b"
	if w := ask(http.MethodGet, tag); w.Code != http.StatusOK || w.Header().Get("ETag") == tag {
		t.Errorf("another answer: %d %v", w.Code, w.Header())
	}
	status = http.StatusAccepted
	if w := ask(http.MethodGet, "*"); w.Code != http.StatusAccepted || w.Header().Get("ETag") != "" {
		t.Errorf("202: %d %v", w.Code, w.Header())
	}
}
