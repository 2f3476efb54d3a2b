package differential

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// step is one request of the script.
type step struct {
	// name is the file and the first line: "users: boss GET /hub/api/users". A line that comes again gets a number.
	name   string
	who    string
	method string
	path   string
	header [][2]string
	body   string
	save   [][2]string // variable, key of the answer
}

// readScript reads script/*.txt in the order of their names.
//
// A line that is not indented is a request, "WHO METHOD PATH". WHO is "nobody", a name for whom there is a token, "NAME_token", or
// "@NAME", a browser with its cookies. Indented lines below it say more:
//
//	Header: value
//	json: {"a": 1}          a body, with its Content-Type
//	form: a=1&b=2           the same
//	raw: {"a"               a body without a Content-Type
//	save: alice_id .id      keeps a value of the answer's JSON in a variable
//
// $NAME is the value of a variable, and $xsrf the browser's XSRF token.
func readScript(t *testing.T) []*step {
	t.Helper()
	files, err := filepath.Glob("script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no script", err)
	}
	var all []*step
	seen := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txt"), "-")
		for n, line := range strings.Split(string(text), "\n") {
			if err := readLine(&all, seen, section, line); err != nil {
				t.Fatalf("%s:%d: %s", file, n+1, err)
			}
		}
	}
	return all
}

func readLine(all *[]*step, seen map[string]int, section, line string) error {
	text := strings.TrimSpace(line)
	switch {
	case text == "" || text[0] == '#':
		return nil
	case line[0] != '\t' && line[0] != ' ':
		return readRequest(all, seen, section, text)
	case len(*all) == 0:
		return fmt.Errorf("there is no request above %q", text)
	}
	return (*all)[len(*all)-1].add(text)
}

func readRequest(all *[]*step, seen map[string]int, section, text string) error {
	words := strings.Fields(text)
	if len(words) != 3 {
		return fmt.Errorf("%q is not WHO METHOD PATH", text)
	}
	s := &step{name: section + ": " + text, who: words[0], method: words[1], path: words[2]}
	if seen[s.name]++; seen[s.name] > 1 {
		s.name = fmt.Sprintf("%s #%d", s.name, seen[s.name])
	}
	*all = append(*all, s)
	return nil
}

// add reads an indented line.
func (s *step) add(text string) error {
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		return fmt.Errorf("%q has no colon", text)
	}
	value = strings.TrimSpace(value)
	switch key {
	case "json":
		s.body = value
		s.header = append(s.header, [2]string{"Content-Type", "application/json"})
	case "form":
		s.body = value
		s.header = append(s.header, [2]string{"Content-Type", "application/x-www-form-urlencoded"})
	case "raw":
		s.body = value
	case "save":
		name, path, _ := strings.Cut(value, " ")
		s.save = append(s.save, [2]string{name, path})
	default:
		s.header = append(s.header, [2]string{key, value})
	}
	return nil
}
