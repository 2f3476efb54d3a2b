package yaegi

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
)

// TestClockThatNeverRuns takes the clock's goroutine out of the plugin. Tokens must end all the same.
func TestClockThatNeverRuns(t *testing.T) {
	l := loadFrom(t, func() (map[string][]byte, error) {
		files, err := plugin.Files()
		clock := []byte("s.fast.tick(ctx, late)")
		if bytes.Count(files["clock.go"], clock) != 1 {
			t.Error("clock.go does not start the clock as this test knows it")
		}
		files["clock.go"] = bytes.Replace(files["clock.go"], clock, nil, 1)
		return files, err
	}, io.MultiWriter(os.Stderr, logged))
	edgetest.TokenEnds(t, l.make)
}
