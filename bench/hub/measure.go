package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/edgehub/edgehub/bench/proc"
)

// Measure runs the whole comparison and prints it.
func Measure(ctx context.Context, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	// Everything that was started ends with this context.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dir, err := os.MkdirTemp(o.Temp, "edgehub-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{Options: &o, dir: dir}
	if o.wants(Edgehub) {
		if err := b.measureEdgehub(ctx); err != nil {
			return err
		}
	}
	if err := b.measureJupyterHub(ctx); err != nil {
		return err
	}
	compare(b.results)
	return o.print(b.results)
}

// bench is one run.
type bench struct {
	*Options
	dir     string
	worlds  int
	results []*Result
}

// world is a folder for one hub.
func (b *bench) world() (string, error) {
	b.worlds++
	dir := filepath.Join(b.dir, fmt.Sprint(b.worlds))
	return dir, os.Mkdir(dir, 0o700)
}

func (b *bench) add(r *Result, users int, what string) *Result {
	r.Users, r.What = users, what
	b.results = append(b.results, r)
	return r
}

func (b *bench) measureEdgehub(ctx context.Context) error {
	for _, users := range b.Users {
		if err := b.edgehubWith(ctx, users); err != nil {
			return err
		}
	}
	return b.edgehubTokens(ctx)
}

func (b *bench) edgehubWith(ctx context.Context, users int) error {
	dir, err := b.world()
	if err != nil {
		return err
	}
	b.say("edgehub: %d users", users)
	e, err := newEdgehub(ctx, b.Options, dir)
	defer e.close()
	if err != nil {
		return err
	}
	before, err := e.stored(ctx)
	if err != nil {
		return err
	}
	if err := e.createUsers(ctx, users); err != nil {
		return err
	}
	after, err := e.stored(ctx)
	if err != nil {
		return err
	}
	b.add(&Result{Side: Edgehub, Value: float64(after-before) / float64(users), Unit: "bytes"}, users, perUser)
	return b.requests(ctx, &e.side, users)
}

func (b *bench) measureJupyterHub(ctx context.Context) error {
	if !b.wants(JupyterHub) {
		return nil
	}
	python, err := findJupyterHub(b.JupyterHub)
	if err != nil && len(b.Sides) == 0 {
		b.say("left out: jupyterhub (%s)", err)
		return nil
	}
	if err != nil {
		return err
	}
	for _, users := range b.Users {
		if users > b.MaxJupyterHub {
			b.say("jupyterhub: not with %d users (--max-jupyterhub)", users)
			continue
		}
		if err := b.jupyterhubWith(ctx, python, users); err != nil {
			return err
		}
	}
	return b.jupyterhubTokens(ctx, python)
}

func (b *bench) jupyterhubWith(ctx context.Context, python string, users int) error {
	dir, err := b.world()
	if err != nil {
		return err
	}
	b.say("jupyterhub: %d users", users)
	j, err := newJupyterHub(ctx, python, dir, users, 1)
	defer j.stop()
	if err != nil {
		return err
	}
	return b.requests(ctx, &j.side, users)
}

// requests measures a side that has its users.
func (b *bench) requests(ctx context.Context, s *side, users int) error {
	took, err := s.restart(ctx)
	if err != nil {
		return err
	}
	b.add(&Result{Side: s.name, Value: took.Seconds(), Unit: "s"}, users, ready)
	first, last, err := pages(ctx, s, users)
	if err != nil {
		return err
	}
	has := func(text string) func([]byte) bool {
		return func(body []byte) bool { return bytes.Contains(body, []byte(text)) }
	}
	name := userName(users / 2)
	for _, m := range []struct {
		what string
		r    request
	}{
		{whoami, s.get("/hub/api/user", has("token_id"))},
		{oneUser, s.get("/hub/api/users/"+name, has(name))},
		{firstPage, paged(s.get(first, isPage))},
		{lastPage, paged(s.get(last, isPage))},
	} {
		r, err := b.measure(ctx, s, m.r, 0)
		if err != nil {
			return err
		}
		b.add(r, users, m.what)
	}
	if err := b.create(ctx, s, users); err != nil {
		return err
	}
	bytes, err := proc.RSS(s.hub.PID())
	b.add(&Result{Side: s.name, Value: float64(bytes) / (1 << 20), Unit: "MB"}, users, memory)
	return err
}

// create makes users one by one.
func (b *bench) create(ctx context.Context, s *side, users int) error {
	if b.Create == 0 {
		return nil
	}
	r := request{method: http.MethodPost, token: func(int64) string { return s.token }, status: http.StatusCreated,
		path: func(n int64) string { return fmt.Sprintf("/hub/api/users/new-%07d", n) }}
	result, err := b.measure(ctx, s, r, int64(b.Create))
	if err != nil {
		return err
	}
	b.add(result, users, fmt.Sprintf("create %d users", b.Create))
	return nil
}

// userName is the name of the nth user that was there from the beginning.
func userName(n int) string { return fmt.Sprintf("user-%07d", n) }

// createAtOnce is how many users one request creates.
const createAtOnce = 1000

func (s *side) createUsers(ctx context.Context, users int) error {
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for start := 0; start < users; start += createAtOnce {
		names := []string{}
		for i := start; i < min(start+createAtOnce, users); i++ {
			names = append(names, userName(i))
		}
		body, err := json.Marshal(map[string]any{"usernames": names})
		if err != nil {
			return err
		}
		if _, err := s.ask(ctx, client, http.MethodPost, "/hub/api/users", string(body), http.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}

// ask does one request of the administrator.
func (s *side) ask(ctx context.Context, client *http.Client, method, path, body string, status int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.origin+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "token "+s.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", pageType)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != status {
		err = fmt.Errorf("%s: %s %s: %s %.300s", s.name, method, path, resp.Status, data)
	}
	return data, err
}
