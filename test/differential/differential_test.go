package differential

import (
	"context"
	"strings"
	"testing"
)

// TestDifferential is the comparison. Every difference is a failure unless allowed.txt has it.
func TestDifferential(t *testing.T) {
	script := readScript(t)
	var theirs, ours map[string]answer
	t.Run("answers", func(t *testing.T) { // returns when both sides have ended
		t.Run("jupyterhub", func(t *testing.T) {
			t.Parallel()
			theirs = original(t, script)
		})
		t.Run("edgehub", func(t *testing.T) {
			t.Parallel()
			origin, token := startEdgehub(t)
			ours = answersOf(t, origin, token, `, "password": "`+password+`"`, script) // there it is a user's own
		})
	})
	if !t.Failed() {
		report(t, script, theirs, ours)
	}
}

// original are JupyterHub's answers: of the one that is installed, else recorded ones.
func original(t *testing.T, script []*step) map[string]answer {
	t.Helper()
	python, version := installed()
	if python == "" {
		version, answers := readGolden(t)
		t.Logf("no JupyterHub 6 here: comparing with recorded answers of %s", version)
		return answers
	}
	answers := answersOf(t, startJupyterHub(t, python), driver, "", script)
	if *record && !t.Failed() {
		writeGolden(t, version, script, answers)
	}
	checkGolden(t, version, answers)
	return answers
}

func answersOf(t *testing.T, origin, token, extra string, script []*step) map[string]answer {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	s, err := prepare(ctx, origin, token, extra)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := s.run(ctx, script)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// checkGolden says when the recorded answers are not those of the same JupyterHub any more: the script has changed, or the
// recording depends on something that it should not.
func checkGolden(t *testing.T, version string, answers map[string]answer) {
	t.Helper()
	recorded, golden := readGolden(t)
	if recorded != version {
		return
	}
	for name, a := range answers {
		if diff := differences(golden[name], a); len(diff) > 0 {
			t.Errorf("%s: not as recorded in %s (run with -record?): %s", name, goldenFile, strings.Join(diff, "; "))
		}
	}
}

// report fails the test for each difference that is not on the list, and for each entry of the list that is not needed.
func report(t *testing.T, script []*step, theirs, ours map[string]answer) {
	t.Helper()
	list := readAllowed(t)
	for _, st := range script {
		for _, diff := range differences(theirs[st.name], ours[st.name]) {
			if !allowed(list, st.name, diff) {
				t.Errorf("%s | %s", st.name, diff)
			}
		}
	}
	for _, r := range list {
		for _, e := range r.entries {
			switch {
			case e.used > 0:
			case r.pending != "":
				t.Logf("allowed.txt: nothing differs any more there (%s): %s", r.pending, e.line)
			default:
				t.Errorf("allowed.txt: nothing differs there, remove it: %s", e.line)
			}
		}
	}
}
