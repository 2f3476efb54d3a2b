package differential

import (
	"flag"
	"os"
	"testing"

	"github.com/edgehub/edgehub/test/env"
)

var (
	record   = flag.Bool("record", false, "write JupyterHub's answers to golden/")
	document = flag.Bool("document", false, "write the allowed differences to docs/compatibility.md")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(env.Main(m))
}
