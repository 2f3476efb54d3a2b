package plugin

import (
	"math"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// TestPrometheusReadsTheMetrics gives them to Prometheus' own parser, with values at the ends of their ranges.
func TestPrometheusReadsTheMetrics(t *testing.T) {
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	c := config(w)
	c.StatusPath = "/.edgehub"
	set, err := c.check()
	if err != nil {
		t.Fatal(err)
	}
	s := newShared(set)
	waits := []time.Duration{0, 1, 1 << 18, 1<<18 + 1, time.Second, time.Hour}
	for _, d := range waits {
		answered(s.counts, decidedAllow, 999, d)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metrics(s)))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, metrics(s))
	}
	if len(families) < 15 {
		t.Errorf("%d families", len(families))
	}
	for name, f := range families {
		if f.GetHelp() == "" || !strings.HasPrefix(name, "edgehub_edge_") || len(f.GetMetric()) == 0 {
			t.Errorf("%s: help %q, %d samples", name, f.GetHelp(), len(f.GetMetric()))
		}
	}
	for _, m := range families["edgehub_edge_header_seconds"].GetMetric() {
		if m.GetLabel()[0].GetValue() != decidedAllow {
			continue
		}
		h := m.GetHistogram()
		if h.GetSampleCount() != uint64(len(waits)) || math.Abs(h.GetSampleSum()-3601) > 0.01 {
			t.Errorf("%d samples, %g s", h.GetSampleCount(), h.GetSampleSum())
		}
		last := uint64(0)
		for _, b := range h.GetBucket() {
			below := uint64(0)
			for _, d := range waits {
				if d.Seconds() < b.GetUpperBound() {
					below++
				}
			}
			if b.GetCumulativeCount() != below || b.GetCumulativeCount() < last {
				t.Errorf("bucket %g: %d, want %d", b.GetUpperBound(), b.GetCumulativeCount(), below)
			}
			last = below
		}
	}
}

// TestAnOldTableIsReadyAndSaysSo is an etcd that has been away: the edge goes on serving.
func TestAnOldTableIsReadyAndSaysSo(t *testing.T) {
	s := newState(newLogger())
	s.install(newView())
	s.prove()
	if a := readinessOf(s); !a.Ready || a.StaleFor != 0 {
		t.Errorf("just confirmed: %+v", a)
	}
	s.proved = time.Now().Add(-42*time.Second - time.Second/2)
	if a := readinessOf(s); !a.Ready || a.StaleFor != 42 || readyText(a) != "ready, but etcd has not answered for 42 s\n" {
		t.Errorf("after 42 s: %+v, %q", a, readyText(a))
	}
}

// TestAShortStatusTokenOpensNothing is about files that somebody forgot to fill.
func TestAShortStatusTokenOpensNothing(t *testing.T) {
	for _, text := range []string{"", "\n", "fifteen-charact"} {
		file := t.TempDir() + "/token"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(text))
		if err := mayRead(file, r); err == nil || strings.Contains(err.Error(), "fifteen") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestNamesAreFitForALog is threat T95: a name cannot begin another line or field, nor flood the log.
func TestNamesAreFitForALog(t *testing.T) {
	for name, want := range map[string]string{
		"jürgen@example.org": "jürgen@example.org", "a\r\nb": "a??b", "a\x00\u202eb": "a??b", `a"\b`: "a??b", "\xff": "?",
		strings.Repeat("x", 1000): strings.Repeat("x", 64), strings.Repeat("x", 63) + "é": strings.Repeat("x", 63) + "?",
	} {
		if got := clean(name); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	}
}
