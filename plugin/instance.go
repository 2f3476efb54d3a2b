package plugin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// instances remembers which generation of a server was behind an address. The machine of an earlier one may have vanished without
// a word, and what is sent over a connection to it waits for the kernel to give up, which takes a quarter of an hour.
type instances struct {
	carrier *http.Transport
	known   *cache // prefix and target -> generation
}

// instanceLife is how long after a pass was made a connection may be left that it was used with, in seconds.
const instanceLife = passLife + int64(idleTimeout/time.Second)

func newInstances(carrier *http.Transport) *instances {
	return &instances{carrier: carrier, known: newCache(cacheSize)}
}

// note closes the idle connections to users' servers if the server of r was started again, and has the address that it had
// before. That is rare, so all others may just open theirs again.
func (i *instances) note(r *routes.Route, now int64) {
	key := r.Prefix + "\n" + r.Target
	gen := strconv.FormatInt(r.Gen, 10)
	before, ok := lookup(i.known, key, now).(string)
	i.known.put(key, gen, now+instanceLife, now)
	if ok && before != gen {
		i.carrier.CloseIdleConnections()
	}
}
