package edgetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// Cluster is an etcd of three members with a link on every way to them. Each Member's Client speaks to it directly,
// its Endpoint and the other members go through the links.
type Cluster struct {
	Members []*Member
}

// Member is one member of a cluster.
type Member struct {
	*Etcd
	Front *Link // from edges
	Peers *Link // from other members
}

// StartCluster starts three members: the program that EDGEHUB_TEST_ETCD names, or embedded ones.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	return StartClusterOf(t, "")
}

// StartClusterOf starts three members that run a program; see Etcd.Program.
func StartClusterOf(t testing.TB, program string) *Cluster {
	t.Helper()
	c := &Cluster{}
	initial := []string{}
	for i := range 3 {
		m := newMember(t, fmt.Sprintf("m%d", i))
		m.Program = program
		c.Members = append(c.Members, m)
		initial = append(initial, m.name+"="+m.advertise)
	}
	started := make(chan error)
	for _, m := range c.Members {
		m.initial = strings.Join(initial, ",")
		go func() { started <- m.Start() }()
	}
	for range c.Members {
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range c.Members {
		m.connect(t)
	}
	return c
}

func newMember(t testing.TB, name string) *Member {
	e := newEtcd(t, t.TempDir())
	t.Cleanup(e.Stop)
	e.name = name
	m := &Member{Etcd: e}
	m.Front = NewLink(t, strings.TrimPrefix(e.listen, "http://"))
	m.Peers = NewLink(t, strings.TrimPrefix(e.peer, "http://"))
	e.Endpoint = "http://" + m.Front.Addr
	e.advertise = "http://" + m.Peers.Addr
	return m
}

// connect makes the member's own client.
func (m *Member) connect(t testing.TB) {
	t.Helper()
	var err error
	m.Client, err = clientv3.New(clientv3.Config{Endpoints: []string{m.listen}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Client.Close() })
}

// Endpoints are where edges reach the members.
func (c *Cluster) Endpoints() []string {
	all := []string{}
	for _, m := range c.Members {
		all = append(all, m.Endpoint)
	}
	return all
}

// Version is that of a member's program.
func (m *Member) Version(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := m.Client.Status(ctx, m.listen)
	if err != nil {
		t.Fatal(err)
	}
	return s.Version
}

// Leader is the index of the member that leads, as the member asked sees it.
func (c *Cluster) Leader(t testing.TB, asked int) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		_, leader := c.Members[asked].status()
		for i, m := range c.Members {
			if id, _ := m.status(); leader != 0 && id == leader {
				return i
			}
		}
	}
	t.Fatal("the cluster has no leader")
	return 0
}

// status are the ids of a member and of the leader that it knows, 0 for none.
func (m *Member) status() (id, leader uint64) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := m.Client.Status(ctx, m.listen)
	if err != nil {
		return 0, 0
	}
	return s.Header.MemberId, s.Leader
}

// Isolate freezes everything between a member and the other members, in both directions. Edges still reach it.
func (c *Cluster) Isolate(i int) {
	id, _ := c.Members[i].status()
	c.Members[i].Peers.Freeze()
	for j, m := range c.Members {
		if j != i {
			m.Peers.Block(strconv.FormatUint(id, 16))
		}
	}
}

// Heal ends the faults of all links.
func (c *Cluster) Heal() {
	for _, m := range c.Members {
		m.Front.Heal()
		m.Peers.Heal()
	}
}

// Replace removes a member for good and adds an empty one in its place, at the same addresses.
func (c *Cluster) Replace(t testing.TB, i int) {
	t.Helper()
	m, helper := c.Members[i], c.Members[(i+1)%len(c.Members)]
	id, _ := m.status()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if heir, leader := helper.status(); leader == id {
		if _, err := m.Client.MoveLeader(ctx, heir); err != nil {
			t.Fatal(err)
		}
	}
	for { // etcd refuses until the others have been connected for some seconds
		_, err := helper.Client.MemberRemove(ctx, id)
		if err == nil || errors.Is(err, rpctypes.ErrMemberNotFound) {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	m.Stop()
	m.Wipe(t)
	if _, err := helper.Client.MemberAdd(ctx, []string{m.advertise}); err != nil {
		t.Fatal(err)
	}
	m.joins = true
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
}

// Pause stops the process of a member without its connections noticing, and Resume lets it go on. Only a program can be
// paused: without one the test is skipped.
func (m *Member) Pause(t testing.TB) {
	t.Helper()
	if m.process == nil {
		t.Skip("needs an etcd program: EDGEHUB_TEST_ETCD")
	}
	m.signal(t, syscall.SIGSTOP)
	t.Cleanup(func() { _ = m.process.Signal(syscall.SIGCONT) })
}

// Resume ends a pause.
func (m *Member) Resume(t testing.TB) {
	t.Helper()
	m.signal(t, syscall.SIGCONT)
}

func (m *Member) signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := m.process.Signal(s); err != nil {
		t.Fatal(err)
	}
}
