package local

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLog(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, `echo "start of $JUPYTERHUB_SERVER_NAME"; echo "api $JUPYTERHUB_API_TOKEN own $JUPYTER_TOKEN." >&2
		printf '\033[31mred\033[0m \a and\rcolumn\n\n'; exit 3`))
	spec := specFor(t, s, 1)
	spec.Env["JUPYTERHUB_SERVER_NAME"] = "first"
	start(t, s, spec)
	waitGone(t, s, "srv")
	want := "start of first\napi [secret] own [secret].\nred  andcolumn"
	other := newSpawner(t, s.opt) // never knew the secrets
	for _, s := range []*Spawner{s, other} {
		if got := s.LogTail("srv", 5); got != want {
			t.Errorf("the log ends with\n%s\nwant\n%s", got, want)
		}
	}
	if got := s.LogTail("srv", 1); got != "red  andcolumn" {
		t.Errorf("the last line is %q", got)
	}
	path := filepath.Join(s.opt.Dir, "srv", logFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v, want mode 0600", info, err)
	}

	spec.Gen, spec.Env["JUPYTERHUB_SERVER_NAME"] = 2, "second"
	start(t, s, spec)
	waitGone(t, s, "srv")
	if got := s.LogTail("srv", 9); !strings.HasPrefix(got, "start of second\n") {
		t.Errorf("the second log is\n%s", got)
	}
	if old, err := os.ReadFile(path + ".1"); err != nil || !strings.HasPrefix(string(old), "start of first\n") {
		t.Errorf("the log before is %q, %v", old, err)
	}
}

func TestNoSecretOnDisk(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	spec := specFor(t, s, 1)
	start(t, s, spec)
	stop(t, s, 1, 5*time.Second)
	err := filepath.WalkDir(filepath.Dir(s.opt.Dir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, secret := range []string{spec.Secret, spec.Env["JUPYTERHUB_API_TOKEN"]} {
			if strings.Contains(string(data), secret) {
				t.Errorf("%s holds a secret", path)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTailOfALongLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 1000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readEnd(path, 1050)
	if err != nil || len(got) != 1000 || got != text[len(text)-1000:] {
		t.Errorf("got %d bytes, %v, want 10 whole lines", len(got), err)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	s, err := seal([]string{"0123456789abcdef", "short", "0123456789abcdef-longer"})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"nothing":                                     "nothing",
		"short words stay":                            "short words stay",
		"x0123456789abcdefy 0123456789abcdef":         "x[secret]y [secret]",
		"0123456789abcdef-longer":                     "[secret]",
		"http://h/lab?token=deadbeef&x=1":             "http://h/lab?token=[secret]&x=1",
		"Authorization: token abc rest":               "Authorization: token [secret] rest",
		"\x1b]0;title\x07a\x1b[1;31mb\x1b[0m\xff":     "ab?",
		strings.Repeat("é", 200):                      strings.Repeat("é", 150) + "…",
		strings.Repeat("x", 295) + "0123456789abcdef": strings.Repeat("x", 295) + "[secr…",
	} {
		if got := s.clean(line); got != want {
			t.Errorf("clean(%q) = %q, want %q", line, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	const secret = "0123456789abcdef"
	s, err := seal([]string{secret})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a", "b")
	f.Add("\x1b[", "0")
	f.Fuzz(func(t *testing.T, before, after string) {
		got := s.clean(before + secret + after)
		if strings.Contains(got, secret) || strings.ContainsAny(got, "\x1b\n\r\x00") || len(got) > shortLine+len("…") {
			t.Errorf("clean(%q + secret + %q) = %q", before, after, got)
		}
	})
}
