package hub

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Names of the sides of the comparison.
const (
	Edgehub    = "edgehub"
	JupyterHub = "jupyterhub"
)

// Sides are all sides, in the order in which they run.
var Sides = []string{Edgehub, JupyterHub}

// Options are what the operator chooses.
type Options struct {
	// Users are the numbers of users to measure with. JupyterHub gets none of more than MaxJupyterHub.
	Users         []int
	MaxJupyterHub int
	// Tokens are the numbers of API tokens to look one up among.
	Tokens []int
	// Create is how many users are created, one by one.
	Create int
	// Seconds are measured for each figure.
	Seconds float64
	// Connections are kept busy by the client, each with one request after the other.
	Connections int
	// Sides are some of Sides; empty means all that can be had on this machine.
	Sides []string
	// JupyterHub is the jupyterhub program; empty: looked for.
	JupyterHub string
	// JSON prints one object a line instead of a table.
	JSON bool
	// Program is this program's file.
	Program string
	// Temp is where the run keeps its files; empty: the system's folder for that.
	Temp string
	// Out gets the results, Progress what happens meanwhile.
	Out, Progress io.Writer
}

// Defaults are the options without any flag.
func Defaults() Options {
	return Options{Users: []int{1000, 100000}, MaxJupyterHub: 10000, Tokens: []int{10, 100000}, Create: 1000, Seconds: 3, Connections: 16}
}

// check says what is wrong with the options, before anything is started.
func (o *Options) check() error {
	if len(o.Users) == 0 || slices.Min(o.Users) < 200 {
		return errors.New("--users: 200 at least, so that there are a first and a last page")
	}
	if len(o.Tokens) > 0 && slices.Min(o.Tokens) < 1 || o.Create < 0 {
		return errors.New("--tokens must be 1 at least, and --create not less than 0")
	}
	if o.Seconds <= 0 || o.Connections < 1 {
		return errors.New("--seconds must be more than 0, and --connections at least 1")
	}
	for _, s := range o.Sides {
		if !slices.Contains(Sides, s) {
			return fmt.Errorf("there is no side %q here. Choose from --sides %s", s, strings.Join(Sides, ","))
		}
	}
	return nil
}

func (o *Options) wants(side string) bool { return len(o.Sides) == 0 || slices.Contains(o.Sides, side) }

func (o *Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Progress, format+"\n", args...)
}

func (o *Options) duration() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }
