package services_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// TestMain is also the hub's binary as shim and keeper, the service, and a replica that gets halted.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "spawn-exec":
			_ = local.ExecShim(os.Args[2:]) // it has said why
			os.Exit(1)
		case "service-keep":
			os.Exit(services.Keep(os.Args[2:]))
		case "a-service":
			os.Exit(service(os.Args[2], os.Args[3:]...))
		case "a-replica":
			os.Exit(replica(os.Args[2], os.Args[3], os.Args[4]))
		}
	}
	_ = flag.Set("test.parallel", "8") // most of the time they wait for leases
	_ = os.Setenv(canary, "a secret of the hub's")
	storetest.Main(m)
}

// canary is a variable of the hub that no service gets.
const canary = "EDGEHUB_CANARY"

// life is one line of the services' diary.
type life struct {
	Event string // start, stop, or double: another process of the service runs
	PID   int
	Token string
	Env   map[string]string
}

// service is a program that keeps a diary. It holds a lock, as only one process can.
func service(dir string, how ...string) int {
	say := func(event string) {
		env := map[string]string{}
		for _, entry := range os.Environ() {
			name, value, _ := strings.Cut(entry, "=")
			env[name] = value
		}
		line, _ := json.Marshal(life{event, os.Getpid(), env["JUPYTERHUB_API_TOKEN"], env}) // strings always encode
		f, err := os.OpenFile(filepath.Join(dir, "diary"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write(append(line, '\n'))
		_ = f.Close()
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		panic(err)
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		say("double")
		return 1
	}
	say("start")
	if len(how) > 0 && how[0] == "fails" {
		return 3
	}
	if len(how) > 0 && how[0] == "chats" {
		for line := strings.Repeat("x", 1023) + "\n"; ; {
			fmt.Print(line)
		}
	}
	if len(how) > 0 && how[0] == "leaves" { // a child in a session of its own, which keeps the lock
		child := exec.Command("sleep", "1000")
		child.SysProcAttr, child.ExtraFiles = &syscall.SysProcAttr{Setsid: true}, []*os.File{lock}
		if child.Start() != nil {
			return 4
		}
	}
	<-asked
	if len(how) > 0 && how[0] == "stays" {
		select {}
	}
	say("stop")
	return 0
}

// world is what replicas share.
type world struct {
	t    *testing.T
	dir  string // of the diary
	data string
	st   *store.Store
	acc  *account.Accounts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	st, _ := storetest.Open(t)
	return &world{t: t, dir: t.TempDir(), data: t.TempDir(), st: st, acc: accounts(t.Context(), st)}
}

func accounts(ctx context.Context, st *store.Store) *account.Accounts {
	signing, err := token.OpenSigning(ctx, st)
	if err != nil {
		panic(err)
	}
	a, err := account.New(st, token.New(st, signing))
	if err != nil {
		panic(err)
	}
	return a
}

func theSpec(dir string, how ...string) services.Spec {
	command := append([]string{"/proc/self/exe", "a-service", dir}, how...)
	return services.Spec{ServiceSpec: account.ServiceSpec{Service: hub.Service{Name: "svc", Command: command}},
		Environment: map[string]string{"MORE": "yes"}}
}

func newRunner(st *store.Store, acc *account.Accounts, name, data string, log *slog.Logger, specs ...services.Spec) *services.Runner {
	launch := func(s services.Spec, command []string, env map[string]string) (services.Spawner, error) {
		all, work, err := s.Account()
		if err != nil {
			return nil, err
		}
		maps.Copy(all, env)
		return local.New(local.Options{Dir: data, Command: command, Auth: routes.AuthNone, Env: all, WorkDir: work})
	}
	return services.New(services.Options{Store: st, Accounts: acc, Log: log, Replica: name, Specs: specs, Dir: data,
		Launch: launch, Keeper: []string{"/proc/self/exe", "service-keep"}, APIURL: "http://hub/hub/api", PublicURL: "https://hub.example.org/"})
}

// run runs a replica until the function that it returns is called, or the test ends.
func (w *world) run(name string, specs ...services.Spec) (stop func()) {
	w.t.Helper()
	var raw []account.ServiceSpec
	for _, s := range specs {
		raw = append(raw, s.ServiceSpec)
	}
	if err := w.acc.SyncServices(w.t.Context(), raw); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.NewTextHandler(w.t.Output(), nil)).With("replica", name)
	var all sync.WaitGroup
	data := filepath.Join(w.data, name) // a machine of its own, as far as files tell
	all.Go(func() { newRunner(w.st, w.acc, name, data, log, specs...).Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	w.t.Cleanup(stop)
	if err := os.MkdirAll(data, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return stop
}

// diary is what services wrote so far.
func (w *world) diary() []life {
	w.t.Helper()
	f, err := os.Open(filepath.Join(w.dir, "diary"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all []life
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l life
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			w.t.Fatalf("%v: %s", err, lines.Bytes())
		}
		if l.Event == "double" {
			w.t.Fatal("two processes of one service ran at once")
		}
		all = append(all, l)
	}
	return all
}

// await waits until the diary has n lines of an event.
func (w *world) await(event string, n int) life {
	w.t.Helper()
	for end := time.Now().Add(storetest.Patience + store.HoldTTL); ; time.Sleep(20 * time.Millisecond) {
		found := 0
		for _, l := range w.diary() {
			if l.Event != event {
				continue
			}
			if found++; found == n {
				return l
			}
		}
		if time.Now().After(end) {
			w.t.Fatalf("no %s number %d in %+v", event, n, w.diary())
		}
	}
}

// alive reports whether a process has not ended. One that waits for its parent to hear of its end has.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestOneProcessOfManyReplicas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stops := map[string]func(){}
	for _, name := range []string{"r1", "r2", "r3"} {
		stops[name] = w.run(name, theSpec(w.dir))
	}
	for n := 1; n <= 3; n++ {
		first := w.await("start", n)
		w.awaitRun(func(run hub.ServiceRun) bool { return run.Gen == int64(n) && run.PID > 0 })
		s, err := w.acc.Service(t.Context(), "svc")
		if err != nil {
			t.Fatal(err)
		}
		owner := s.Run.Replica
		if stops[owner] == nil {
			t.Fatalf("replica %s ran it again", owner)
		}
		stops[owner]() // orderly: the service is told to stop, and has, before the next one begins
		delete(stops, owner)
		if w.await("stop", n); alive(first.PID) {
			t.Error("the service outlived its replica")
		}
	}
}

func (w *world) awaitRun(good func(hub.ServiceRun) bool) hub.ServiceRun {
	w.t.Helper()
	for end := time.Now().Add(storetest.Patience); ; time.Sleep(20 * time.Millisecond) {
		s, err := w.acc.Service(w.t.Context(), "svc")
		if err == nil && s.Run != nil && good(*s.Run) {
			return *s.Run
		}
		if time.Now().After(end) {
			w.t.Fatalf("the service is %+v, %v", s.Run, err)
		}
	}
}

func TestEnvironmentAndToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("r1", theSpec(w.dir))
	first := w.await("start", 1)
	for name, want := range map[string]string{
		"JUPYTERHUB_SERVICE_NAME": "svc", "JUPYTERHUB_API_URL": "http://hub/hub/api", "JUPYTERHUB_BASE_URL": "/",
		"JUPYTERHUB_SERVICE_PREFIX": "/services/svc/", "JUPYTERHUB_SERVICE_URL": "", "JUPYTERHUB_CLIENT_ID": "service-svc", "JUPYTERHUB_HOST": "",
		"JUPYTERHUB_OAUTH_ACCESS_SCOPES": `["access:services!service=svc"]`, "JUPYTERHUB_OAUTH_SCOPES": `["access:services!service=svc"]`,
		"JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": "[]", "JUPYTERHUB_OAUTH_CALLBACK_URL": "",
		"JUPYTERHUB_PUBLIC_URL": "", "JUPYTERHUB_PUBLIC_HUB_URL": "https://hub.example.org/hub/", "MORE": "yes", "JPY_API_TOKEN": first.Token,
	} {
		if got, ok := first.Env[name]; !ok || got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"JUPYTERHUB_ACTIVITY_URL", "JUPYTERHUB_USER", canary} {
		if _, ok := first.Env[name]; ok {
			t.Errorf("a service has %s", name)
		}
	}
	if c, err := w.acc.ByToken(t.Context(), first.Token); err != nil || c.Service != "svc" {
		t.Errorf("its token: %+v %v", c, err)
	}
	_ = syscall.Kill(first.PID, syscall.SIGKILL)
	second := w.await("start", 2)
	if c, err := w.acc.ByToken(t.Context(), second.Token); err != nil || c.Service != "svc" || second.Token == first.Token {
		t.Errorf("the token of the second start: %+v %v", c, err)
	}
	w.awaitRun(func(run hub.ServiceRun) bool { return run.Gen == 2 && run.PID > 0 && run.Failure == "" })
	if _, err := w.acc.ByToken(t.Context(), first.Token); hub.KindOf(err) != hub.Unauthenticated {
		t.Errorf("the token of the first start: %v", err)
	}
}

func TestRestartsAndWhatIsSaidOfThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("r1", theSpec(w.dir, "fails"))
	w.await("start", 2)
	run := w.awaitRun(func(run hub.ServiceRun) bool { return run.Failure != "" })
	if !strings.Contains(run.Failure, "exited with code 3") || run.PID != 0 {
		t.Errorf("the service is %+v", run)
	}
}

// TestNothingIsLeft is about what a service started: it goes with it, also if it has a session of its own.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("r1", theSpec(w.dir, "leaves"))
	w.await("start", 1)
	stop()
	w.run("r2", theSpec(w.dir)) // says double if the lock is held
	w.await("start", 2)
}

// TestARemovedServiceEnds is about a replica with an older configuration file.
func TestARemovedServiceEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("r1", theSpec(w.dir))
	w.await("start", 1)
	if err := w.acc.SyncServices(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.await("stop", 1)
}

// TestAHaltedReplica is about a replica that stands still, as a machine without memory does: it cannot end the service that
// it runs, and does not know that it must. Its service does not even listen to SIGTERM.
func TestAHaltedReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	halted := w.replicaProcess()
	first := w.await("start", 1)
	if err := syscall.Kill(halted, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.run("r2", theSpec(w.dir, "stays"))
	second := w.await("start", 2)
	if alive(first.PID) || second.PID == first.PID {
		t.Error("the service of the halted replica runs")
	}
	if err := syscall.Kill(halted, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.awaitRun(func(run hub.ServiceRun) bool { return run.Replica == "r2" && run.Gen == 2 && run.PID > 0 })
	_ = syscall.Kill(second.PID, syscall.SIGKILL)
	w.await("start", 3) // the one that woke up has begun nothing: the diary would say double
	w.awaitRun(func(run hub.ServiceRun) bool { return run.Replica == "r2" && run.Gen == 3 })
}

// TestAKilledReplica is the same without a second machine: the service ends though nobody can tell it to.
func TestAKilledReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	killed := w.replicaProcess()
	first := w.await("start", 1)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(storetest.Patience + store.HoldTTL); alive(first.PID); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the service goes on without its replica")
		}
	}
	w.run("r2", theSpec(w.dir)) // says double if it is too early
	w.await("start", 2)
	w.awaitRun(func(run hub.ServiceRun) bool { return run.Replica == "r2" && run.Gen == 2 && run.PID > 0 })
}

// TestAKilledKeeper is about the process in between: the service does not outlive it, also if it listens to no SIGTERM.
func TestAKilledKeeper(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run("r1", theSpec(w.dir, "stays"))
	first := w.await("start", 1)
	run := w.awaitRun(func(run hub.ServiceRun) bool { return run.PID > 0 })
	if run.PID == first.PID {
		t.Fatal("there is no keeper")
	}
	_ = syscall.Kill(run.PID, syscall.SIGKILL)
	w.await("start", 2)
	if alive(first.PID) {
		t.Error("two processes of one service run")
	}
}

// TestNobodyIsLeftToKill kills the replica and the keeper: nobody is there any more who could end the service but the kernel.
func TestNobodyIsLeftToKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	replica := w.replicaProcess()
	first := w.await("start", 1)
	t.Cleanup(func() { _ = syscall.Kill(first.PID, syscall.SIGKILL) }) // gone already, then
	keeper := w.awaitRun(func(run hub.ServiceRun) bool { return run.PID > 0 }).PID
	_, _ = syscall.Kill(replica, syscall.SIGKILL), syscall.Kill(keeper, syscall.SIGKILL)
	for end := time.Now().Add(storetest.Patience); alive(first.PID); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the service goes on without its keeper")
		}
	}
}

// TestALongLogBeginsAnew has a service that prints without end.
func TestALongLogBeginsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run("r1", theSpec(w.dir, "chats"))
	w.await("start", 1)
	log := filepath.Join(w.data, "r1", "svc", "server.log")
	for end := time.Now().Add(storetest.Patience); ; time.Sleep(20 * time.Millisecond) {
		if info, err := os.Stat(log + ".1"); err == nil && info.Size() > 10<<20 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the log was not moved")
		}
	}
	stop()
	text, err := os.ReadFile(log)
	if err != nil || strings.Trim(strings.SplitN(string(text), "\n", 2)[0], "x") != "" {
		t.Errorf("the new log has holes, or is none: %v %.100q", err, text)
	}
}

// replicaProcess runs a replica in a process of its own.
func (w *world) replicaProcess() int {
	w.t.Helper()
	cmd := exec.Command("/proc/self/exe", "a-replica", storetest.Endpoint(w.t), w.st.Prefix(), w.dir)
	cmd.Stdout, cmd.Stderr = w.t.Output(), w.t.Output()
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid
}

func replica(endpoint, prefix, dir string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: 3 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	st := store.New(client, prefix)
	acc := accounts(ctx, st)
	spec := theSpec(dir, "stays")
	data := filepath.Join(dir, "data")
	if err := acc.SyncServices(ctx, []account.ServiceSpec{spec.ServiceSpec}); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		fmt.Println(err)
		return 1
	}
	newRunner(st, acc, "halted", data, slog.New(slog.NewTextHandler(os.Stdout, nil)), spec).Run(ctx)
	return 0
}
