// Command echoserver is a user's server for end-to-end tests. Like Jupyter it refuses every request without its token. It
// answers with a report of what reached it, echoes WebSockets, streams events, takes uploads and gives downloads, and it
// does what a hostile server would.
//
// It keeps a diary of its life in --dir, so that tests can tell that there were never two of one user's.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	port := flag.Int("port", 0, "port to listen on")
	prefix := flag.String("prefix", "/", "URL prefix, with a slash at both ends")
	user := flag.String("user", "", "whose server this is")
	dir := flag.String("dir", ".", "folder for the diary and the gates")
	parent := flag.Int("parent", 0, "process with which this one ends, whatever else happens")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	go endWith(*parent)
	if err := run(ctx, *port, newServer(*user, *prefix), *dir); err != nil {
		log.Fatal(err)
	}
}

// gatePause is how often a server looks whether a gate is still there: a file with which a test makes it wait.
const gatePause = 10 * time.Millisecond

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}

func run(ctx context.Context, port int, s *server, dir string) error {
	book := &diary{dir: dir, user: s.user, prefix: s.prefix, instance: s.instance}
	if err := book.begin(); err != nil {
		return err
	}
	for ctx.Err() == nil && exists(dir, "hold-"+s.user) {
		time.Sleep(gatePause)
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: s}
	go func() {
		<-ctx.Done()
		for exists(dir, "stay-"+s.user) {
			time.Sleep(gatePause)
		}
		_ = srv.Close()
	}()
	if err := book.write("ready"); err != nil {
		return err
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return book.write("stop")
}

// endWith ends this process when the tests have ended, even if they were killed.
func endWith(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		log.Fatal("the tests are gone")
	}
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(fds, -1); n > 0 {
			os.Exit(1)
		}
	}
}

// diary is the file in which all echo servers of a world write about their lives.
type diary struct {
	dir, user, prefix, instance string
}

// begin writes the first line. A lock that the kernel keeps for the life of the process tells whether there is another one.
func (d *diary) begin() error {
	lock, err := os.OpenFile(filepath.Join(d.dir, "lock"+strings.ReplaceAll(d.prefix, "/", "-")), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return err
	}
	// The file stays open until the process ends: Fd is not used again, but the descriptor must not be collected.
	fd, err := unix.Dup(int(lock.Fd()))
	if err != nil {
		return err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(d.write("double"), err)
	}
	return d.write("start")
}

func (d *diary) write(event string) error {
	line, err := json.Marshal(map[string]any{"event": event, "user": d.user, "instance": d.instance, "pid": os.Getpid(), "at": time.Now()})
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.dir, "diary"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

func newID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
