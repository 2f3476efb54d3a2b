package local

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// listener is a socket that takes connections.
type listener struct {
	socket string // as in /proc/<pid>/fd: "socket:[4711]"
	user   string // id of the one who made it
}

// listeners are the sockets to which a connection to 127.0.0.1 can go.
func listeners(port int) ([]listener, error) {
	four, err1 := listenersIn("/proc/net/tcp", port)
	six, err2 := listenersIn("/proc/net/tcp6", port)
	if errors.Is(err2, fs.ErrNotExist) { // a machine without IPv6
		err2 = nil
	}
	return append(four, six...), errors.Join(err1, err2)
}

func listenersIn(path string, port int) ([]listener, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []listener
	lines := bufio.NewScanner(f)
	lines.Scan() // names of the columns
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != "0A" {
			break // listeners come first, and there may be very many connections
		}
		if at := addressOf(fields[1]); int(at.Port()) == port && reached(at.Addr()) {
			found = append(found, listener{socket: "socket:[" + fields[9] + "]", user: fields[7]})
		}
	}
	return found, lines.Err()
}

func reached(a netip.Addr) bool {
	return a.IsUnspecified() || a == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// addressOf reads "0100007F:1F90": words of the machine's byte order, and a port.
func addressOf(text string) netip.AddrPort {
	words, port, _ := strings.Cut(text, ":")
	raw, _ := hex.DecodeString(words)
	for word := raw; len(word) >= 4; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	a, _ := netip.AddrFromSlice(raw)
	n, _ := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(n))
}
